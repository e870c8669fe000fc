"""A network run by ONNX Runtime, which needs about half of torch's time for one face on a CPU."""
from __future__ import annotations

import inspect
import io
import warnings
from typing import Any, Dict

import numpy as np
import torch

from siamese_emotion_ros.recognition.embedding_network import EmbeddingNetwork

#: Understood by ONNX Runtime 1.12 and TensorRT 8.5 (JetPack 5) onwards.
OPSET = 17

INPUT, OUTPUT = "faces", "embeddings"


def is_available() -> bool:
    """Whether the optional packages onnxruntime and onnx (which torch exports with) are installed and can be used."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except Exception:  # whatever it is: onnx beside a protobuf of another age raises a TypeError
        return False
    return True


def serialize(network: EmbeddingNetwork, input_size: int) -> bytes:
    """A network as an ONNX model: `faces` float32 [N, 1, S, S] -> `embeddings` float32 [N, D], any N."""
    content = network.onnx_model(OPSET, INPUT, OUTPUT)
    if content is not None:
        return content
    # The TorchScript exporter is the one that torch 2.0 (JetPack) has too.
    chosen: Dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(2, 1, input_size, input_size),), file,  # type: ignore[arg-type]
            input_names=[INPUT], output_names=[OUTPUT], dynamic_axes={INPUT: {0: "n"}, OUTPUT: {0: "n"}},
            opset_version=OPSET, **chosen,
        )
    return file.getvalue()


class OnnxSession:
    """An ONNX model in ONNX Runtime on the CPU; may be called from several threads."""

    def __init__(self, content: bytes, threads: int = 1) -> None:
        """`threads` share the work on one batch. ImportError without the package onnxruntime."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait for the next face by spinning would take the cores that find it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """float32 [N, 1, S, S] -> float32 [N, D]."""
        (embeddings,) = self._session.run([OUTPUT], {INPUT: faces})
        return np.asarray(embeddings)
