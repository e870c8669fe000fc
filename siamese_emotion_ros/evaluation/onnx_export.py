"""A model as an ONNX file for other runtimes, checked against torch on the way out."""
from __future__ import annotations

import json

import numpy as np

from siamese_emotion_ros.recognition.artifacts import StoredModel
from siamese_emotion_ros.recognition.model import EmbeddingModel, load_network
from siamese_emotion_ros.recognition.onnx_backend import OnnxSession, serialize

#: A larger difference from torch than this, in any number of any embedding, is an error of the export.
TOLERANCE = 1e-4

#: Batch sizes of the check: one face, and another size than the one exported with.
CHECKED_BATCHES = (1, 5)


def to_onnx(stored: StoredModel) -> bytes:
    """The network as an ONNX model: `faces` float32 [N, 1, S, S] -> `embeddings` float32 [N, D], any N.

    The input is what recognition.preprocessing.preprocess makes; what it takes to make it is in the model's metadata
    (input_size, scaling), with the fingerprint that galleries name. ArtifactError as load_network.
    """
    import onnx

    graph = onnx.load_from_string(serialize(load_network(stored), stored.spec.input_size))
    onnx.checker.check_model(graph, full_check=True)
    described = {
        "architecture": stored.spec.architecture,
        "input_size": str(stored.spec.input_size),
        "embedding_dim": str(stored.spec.embedding_dim),
        "scaling": stored.spec.scaling,
        "fingerprint": stored.fingerprint,
        "provenance": json.dumps(dict(stored.spec.provenance), sort_keys=True),
    }
    for key, value in described.items():
        graph.metadata_props.add(key=key, value=value)
    serialized: bytes = graph.SerializeToString()
    return serialized


def largest_difference(content: bytes, model: EmbeddingModel) -> float:
    """The largest absolute difference between ONNX Runtime's embeddings and torch's, over the same random inputs."""
    session = OnnxSession(content)
    random = np.random.default_rng(0)
    side = model.spec.input_size
    worst = 0.0
    for batch in CHECKED_BATCHES:
        faces = random.standard_normal((batch, 1, side, side)).astype(np.float32)
        difference = np.abs(session(faces) - model.embed_preprocessed(faces)).max()
        # A NaN would compare as small.
        worst = max(worst, float(difference) if np.isfinite(difference) else float("inf"))
    return worst
