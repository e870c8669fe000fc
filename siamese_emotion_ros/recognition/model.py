"""A network on a device with its preprocessing: faces in, embeddings out."""
from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple

import numpy as np
import torch

from siamese_emotion_ros.recognition.artifacts import (
    HEAD_BIAS,
    HEAD_WEIGHT,
    ArtifactError,
    ModelSpec,
    PathLike,
    StoredModel,
    read_model,
)
from siamese_emotion_ros.recognition.embedding_network import EmbeddingNetwork
from siamese_emotion_ros.recognition.networks import build_network, is_quantized, weight_shapes
from siamese_emotion_ros.recognition.onnx_backend import OnnxSession, is_available, serialize
from siamese_emotion_ros.recognition.preprocessing import Faces, preprocess

PRECISIONS: Dict[str, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16}

#: What computes embeddings. `onnx` is ONNX Runtime (an optional package; cpu and fp32 only); `auto` takes it where it
#: is installed and usable, else torch.
BACKENDS = ("auto", "torch", "onnx")

#: A longer sequence of faces is embedded in parts of this many, which bounds its memory.
FACES_AT_ONCE = 128


def choose_device(device: str) -> torch.device:
    """The torch device for `auto` (cuda where there is one, else cpu), `cpu`, `cuda` or `cuda:<n>`.

    ValueError for another name or for a cuda device that this machine does not have.
    """
    has_cuda = torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if has_cuda else "cpu")
    name, _, index = device.partition(":")
    if name not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise ValueError(f"device is {device!r}: expected auto, cpu, cuda or cuda:<number>")
    if name == "cuda" and not (has_cuda and int(index or 0) < torch.cuda.device_count()):
        raise ValueError(f"device is {device!r}, but torch {torch.__version__} sees no such GPU: use auto or cpu")
    return torch.device(device)


def choose_backend(backend: str, device: torch.device, precision: str) -> str:
    """`torch` or `onnx` for one of BACKENDS; ValueError for another, or for an onnx that cannot be had here."""
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}: expected one of {', '.join(BACKENDS)}")
    suited = device.type == "cpu" and precision == "fp32"
    if backend == "onnx" and not suited:
        raise ValueError(f"backend is 'onnx' on {device} in {precision}: expected cpu and fp32; use backend torch")
    if backend == "onnx" and not is_available():
        raise ValueError(
            "backend is 'onnx', but onnxruntime or onnx is missing or broken: pip install onnxruntime onnx, or use "
            "backend torch"
        )
    return "onnx" if backend != "torch" and suited and is_available() else "torch"


class EmbeddingModel:
    """The embedding network of one model file. Its fingerprint names it in galleries and messages.

    embed() may be called from several threads: nothing is kept between calls.
    """

    def __init__(
        self, stored: StoredModel, device: str = "auto", precision: str = "fp32", backend: str = "torch",
        threads: int = 1,
    ) -> None:
        """ArtifactError when the weights do not fit the network that the spec names; ValueError for the settings.

        A quantized network computes in its integers whatever `precision` is asked for, and `precision` then says int8.

        `threads` is for the onnx backend; torch's are set by torch.set_num_threads in the thread that embeds.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}: expected one of {', '.join(PRECISIONS)}")
        self.spec: ModelSpec = stored.spec
        self.fingerprint = stored.fingerprint
        self.precision = precision
        self.device = choose_device(device)
        self.head: Optional[Tuple[np.ndarray, np.ndarray]] = None
        if stored.spec.head_classes:
            self.head = (
                stored.weights[HEAD_WEIGHT].astype(np.float32), stored.weights[HEAD_BIAS].astype(np.float32)
            )
        self.backend = choose_backend(backend, self.device, precision)
        network = load_network(stored)
        self._dtype = PRECISIONS[precision]
        if is_quantized(stored.spec.architecture):
            self.precision = "int8"
            self._dtype = torch.float32  # float16 cannot hold the sums
        self._session: Optional[OnnxSession] = None
        if self.backend == "onnx":
            self._session = OnnxSession(serialize(network, stored.spec.input_size), threads)
            return
        on_cpu = self.device.type == "cpu" and self._dtype == torch.float32
        module = (network.for_cpu() if on_cpu else network).to(device=self.device, dtype=self._dtype)
        self._network = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(
        cls, path: PathLike, device: str = "auto", precision: str = "fp32", backend: str = "torch", threads: int = 1
    ) -> EmbeddingModel:
        """The model in a file; ArtifactError when it cannot be used."""
        try:
            return cls(read_model(path), device, precision, backend, threads)
        except RuntimeError as error:
            raise ArtifactError(f"{path}: the model could not be put on {device}: {error}") from error

    @property
    def embedding_dim(self) -> int:
        """D, the number of dimensions of an embedding."""
        return self.spec.embedding_dim

    def embed(self, faces: Faces) -> np.ndarray:
        """Embeddings float32 [N, D] of N uint8 faces, each [H, W] gray or [H, W, 3] BGR of any size."""
        size, scaling = self.spec.input_size, self.spec.scaling
        parts = [
            self.embed_preprocessed(preprocess(faces[start : start + FACES_AT_ONCE], size, scaling))
            for start in range(0, len(faces), FACES_AT_ONCE)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, self.embedding_dim), np.float32)

    def embed_preprocessed(self, inputs: np.ndarray) -> np.ndarray:
        """Embeddings float32 [N, D] of what `preprocess` returned, float32 [N, 1, S, S], in one pass."""
        if self._session is not None:
            return self._session(inputs)
        with torch.inference_mode():
            return self._network(torch.from_numpy(inputs).to(self.device, self._dtype)).float().cpu().numpy()

    def head_probabilities(self, embeddings: np.ndarray, classes: Sequence[str]) -> Optional[np.ndarray]:
        """What the classification head says of embeddings [N, D], choosing among `classes`: float64 [N, C].

        Each row sums to 1. None when the model has no head, or one that does not know all the classes.
        """
        if self.head is None or not set(classes) <= set(self.spec.head_classes):
            return None
        weight, bias = self.head
        columns = [self.spec.head_classes.index(label) for label in classes]
        logits = (embeddings @ weight[columns].T + bias[columns]).astype(np.float64)
        shares: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def warm_up(self) -> None:
        """Run twice on noise, so that the first real face does not wait for allocations and kernel choice.

        ArtifactError for a network that cannot be computed here, as no CPU of an older torch can in fp16, or that
        computes with finite weights what is not finite: its answers would be chance.
        """
        noise = np.random.default_rng(0).standard_normal((1, 1, *[self.spec.input_size] * 2), np.float32)
        try:
            for _ in range(2):
                embeddings = self.embed_preprocessed(noise)
        except RuntimeError as error:
            remedy = "precision fp32, or device cuda" if self.precision == "fp16" else "another device or backend"
            raise ArtifactError(
                f"model {self.fingerprint[:12]} cannot be computed on {self.device} in {self.precision} "
                f"({str(error).splitlines()[0]}): use {remedy}"
            ) from error
        if not np.isfinite(embeddings).all():
            remedy = "use precision fp32" if self.precision == "fp16" else "train or export the model again"
            raise ArtifactError(
                f"model {self.fingerprint[:12]} gives embeddings with NaN or infinity in {self.precision}: {remedy}"
            )


def load_network(stored: StoredModel) -> EmbeddingNetwork:
    """The network of a model file with its weights, for inference on the CPU; ArtifactError when they do not fit."""
    spec = stored.spec
    try:
        # Compared before it is built: a file of 200 bytes can claim a network of 29 GB.
        expected = weight_shapes(spec.architecture, spec.input_size, spec.embedding_dim)
    except ValueError as error:
        raise ArtifactError(str(error)) from error
    found = {name: array.shape for name, array in stored.weights.items() if name not in (HEAD_WEIGHT, HEAD_BIAS)}
    if found != expected:
        wrong = sorted(
            f"{name} is {found.get(name, 'missing')}, expected {expected.get(name, 'nothing of that name')}"
            for name in set(found) | set(expected) if found.get(name) != expected.get(name)
        )
        raise ArtifactError(f"the weights do not fit the network {spec.architecture!r}: {'; '.join(wrong[:3])}")
    network = build_network(spec.architecture, spec.input_size, spec.embedding_dim).eval()
    network.load_state_dict({name: torch.from_numpy(stored.weights[name]) for name in expected})
    try:
        network.check_weights()
    except ValueError as error:
        raise ArtifactError(f"the weights: {error}: make the file again with `siamese-emotion quantize`") from error
    return network.requires_grad_(False)
