"""Model and gallery files: safetensors with checked metadata, never pickle, written atomically."""
from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

import numpy as np
import safetensors
import safetensors.numpy
import torch

from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.networks import NETWORKS, is_quantized
from siamese_emotion_ros.recognition.plain_text import check_plain
from siamese_emotion_ros.recognition.preprocessing import SCALINGS
from siamese_emotion_ros.recognition.whole_files import PathLike, write_atomically

MODEL_FORMAT = "siamese_emotion_ros/model/1"
GALLERY_FORMAT = "siamese_emotion_ros/gallery/1"

#: Larger files are refused before they are read: a million 128-d anchors take half of this.
MAX_BYTES = 1 << 30

MAX_INPUT_SIZE = 512
MAX_EMBEDDING_DIM = 8192

#: A classification head over the embedding (the paper's second stage) travels in the model file under these names.
HEAD_WEIGHT, HEAD_BIAS = "head.weight", "head.bias"


class ArtifactError(ValueError):
    """A model or gallery file that cannot be used; the message says what it was, what was expected and what to do."""


@dataclass(frozen=True)
class ModelSpec:
    """What it takes to run a model: its network, its input and, when it has one, what its head tells apart.

    input_size: side of the square input, pixels. scaling: one of preprocessing.SCALINGS. head_classes: the classes of
    the optional classification head, in the order of its outputs. provenance: how the weights came to be (data, config,
    seed, command), for people to read.
    """

    architecture: str
    input_size: int
    embedding_dim: int
    scaling: str
    head_classes: Tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.architecture not in NETWORKS:
            raise ValueError(
                f"unknown architecture {self.architecture!r}: expected one of {', '.join(sorted(NETWORKS))}"
            )
        if not 1 <= self.input_size <= MAX_INPUT_SIZE:
            raise ValueError(f"input_size is {self.input_size}: expected 1 to {MAX_INPUT_SIZE} pixels")
        if not 1 <= self.embedding_dim <= MAX_EMBEDDING_DIM:
            raise ValueError(f"embedding_dim is {self.embedding_dim}: expected 1 to {MAX_EMBEDDING_DIM}")
        if self.scaling not in SCALINGS:
            raise ValueError(f"unknown scaling {self.scaling!r}: expected one of {', '.join(SCALINGS)}")
        check_plain("head_classes", self.head_classes)
        if len(set(self.head_classes)) != len(self.head_classes):
            raise ValueError(f"head_classes are {list(self.head_classes)}: expected distinct labels")
        check_plain("provenance", [*self.provenance.keys(), *self.provenance.values()])


class StoredModel(NamedTuple):
    """A model as read from a file: `weights` maps parameter names to arrays, head.* among them, in floats."""

    spec: ModelSpec
    weights: Dict[str, np.ndarray]
    fingerprint: str


def write_model(
    path: PathLike,
    state: Mapping[str, torch.Tensor],
    spec: ModelSpec,
    half: bool = False,
) -> str:
    """Write a network's state dict (plus head.weight [C, D] and head.bias [C], if any) and return its fingerprint.

    `half` stores float16: half the size, and within 1e-3 of the same embedding. Integer buffers are kept as they are.
    ValueError for weights that are not finite (in float16: larger than 65,504).
    """
    weights = {}
    for name, tensor in state.items():
        array = np.asarray(tensor.detach().cpu().numpy(), order="C")
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what overflows is refused below, by name
                array = array.astype(np.float16 if half else np.float32)
        weights[name] = array
    _check_finite(weights, "weights")
    metadata = {
        "format": MODEL_FORMAT,
        "architecture": spec.architecture,
        "input_size": str(spec.input_size),
        "embedding_dim": str(spec.embedding_dim),
        "scaling": spec.scaling,
        "head_classes": json.dumps(list(spec.head_classes)),
        "provenance": json.dumps(dict(spec.provenance), sort_keys=True),
    }
    write_atomically(path, safetensors.numpy.save(weights, metadata))
    return _model_fingerprint(spec, weights)


def read_model(path: PathLike) -> StoredModel:
    """Read and check a model file; ArtifactError for anything that is not a usable model."""
    tensors, metadata = _read(path, MODEL_FORMAT, "model")
    try:
        spec = ModelSpec(
            architecture=_text(metadata, "architecture"),
            input_size=_integer(metadata, "input_size"),
            embedding_dim=_integer(metadata, "embedding_dim"),
            scaling=_text(metadata, "scaling"),
            head_classes=tuple(_strings(metadata, "head_classes")) if "head_classes" in metadata else (),
            provenance={str(key): str(value) for key, value in _json(metadata, "provenance", dict).items()},
        )
        _check_dtypes(tensors, is_quantized(spec.architecture))
        _check_finite(tensors, "weights")
        _check_head(tensors, spec)
    except ValueError as error:
        raise ArtifactError(f"{path}: {error}") from error
    return StoredModel(spec, tensors, _model_fingerprint(spec, tensors))


def write_gallery(path: PathLike, gallery: Gallery, half: bool = False) -> str:
    """Write a gallery and return the fingerprint it will have when read.

    `half` stores the embeddings as float16: half the size, and a slightly different gallery. ValueError for one that is
    too large to be read again.
    """
    stored = gallery.embeddings.astype(np.float16 if half else np.float32)
    gallery = replace(gallery, embeddings=stored.astype(np.float32))
    tensors = {"embeddings": stored, "labels": gallery.labels}
    if gallery.images is not None:
        tensors["images"] = gallery.images
    metadata = {
        "format": GALLERY_FORMAT,
        "classes": json.dumps(list(gallery.classes)),
        "names": json.dumps(list(gallery.names)),
        "model": gallery.model_fingerprint,
        "k": str(gallery.k),
        "threshold": json.dumps(gallery.threshold),
        "sharpness": json.dumps(gallery.sharpness),
        "doubt": json.dumps(gallery.doubt),
    }
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    content = safetensors.numpy.save(contiguous, metadata)
    if len(content) > MAX_BYTES:
        raise ValueError(
            f"{len(gallery)} anchors take {len(content)} bytes: a gallery file has at most {MAX_BYTES}; condense it, "
            "or leave out the images"
        )
    write_atomically(path, content)
    return gallery.fingerprint


def read_gallery(path: PathLike) -> Gallery:
    """Read and check a gallery file; ArtifactError for anything that is not a usable gallery."""
    tensors, metadata = _read(path, GALLERY_FORMAT, "gallery")
    try:
        missing = {"embeddings", "labels"} - set(tensors)
        if missing:
            raise ValueError(f"it holds no {' and no '.join(sorted(missing))}: build the gallery again")
        threshold = _json(metadata, "threshold", (int, float, type(None)))
        return Gallery(
            embeddings=_float32(tensors["embeddings"]),
            labels=tensors["labels"],
            classes=tuple(_strings(metadata, "classes")),
            names=tuple(_strings(metadata, "names")),
            model_fingerprint=_text(metadata, "model"),
            k=_integer(metadata, "k"),
            threshold=threshold,
            images=tensors.get("images"),
            # Galleries of the first release have none.
            sharpness=_json(metadata, "sharpness", (int, float)) if "sharpness" in metadata else 1.0,
            doubt=_json(metadata, "doubt", (int, float)) if "doubt" in metadata else 0.0,
        )
    except ValueError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _read(path: PathLike, expected: str, what: str) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
    """The tensors and metadata of a safetensors file whose metadata says `format: expected`."""
    file = Path(path)
    try:
        if file.is_dir():
            raise ArtifactError(f"{path} is a folder: name a {what} file in it")
        if not file.is_file():
            raise ArtifactError(f"{path}: no such {what} file: check the path")
        content = _content(file, what)
        tensors = safetensors.numpy.load(content)
        metadata = _metadata(content)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}): check the file's permissions") from error
    except ArtifactError:
        raise
    except KeyError as error:  # a type that numpy has not
        raise ArtifactError(
            f"{path}: it holds tensors of type {error.args[0]}: expected float16, float32 or integers; save them so"
        ) from error
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path}: not a whole safetensors file ({error}): "
            "it may be truncated, still being written, or something else"
        ) from error
    found = metadata.get("format")
    if found != expected:
        raise ArtifactError(f"{path}: its format is {found!r}: expected a {what} file, {expected!r}")
    return tensors, metadata


def _content(file: Path, what: str) -> bytes:
    """All of a file that is not too large and that nobody writes to meanwhile."""
    with open(file, "rb") as handle:
        before = os.fstat(handle.fileno())
        if before.st_size > MAX_BYTES:
            raise ArtifactError(f"{file}: {before.st_size} bytes: a {what} file has at most {MAX_BYTES}")
        # Read whole rather than mapped: a mapped file that shrinks while it is read kills the process.
        content = handle.read(before.st_size)
        after = os.fstat(handle.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        # It could be half the old file and half the new one, and nothing in it would tell.
        raise ArtifactError(f"{file}: still being written: try again when it is whole, and rename files into place")
    return content


def _metadata(content: bytes) -> Dict[str, str]:
    """The `__metadata__` of a safetensors file that the library has already accepted."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__") or {}


def _text(metadata: Mapping[str, str], key: str) -> str:
    if key not in metadata:
        raise ValueError(f"its metadata has no {key!r}: write it again with this package")
    return metadata[key]


def _integer(metadata: Mapping[str, str], key: str) -> int:
    text = _text(metadata, key)
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise ValueError(f"{key} is {text[:20]!r} in its metadata: expected a whole number")
    return int(text)


def _json(metadata: Mapping[str, str], key: str, kinds: Union[type, Tuple[type, ...]]) -> Any:
    """The JSON value under `key`, which is one of `kinds`."""
    text = _text(metadata, key)
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{key} in its metadata is not JSON: write it again with this package") from error
    if not isinstance(value, kinds):
        raise ValueError(f"{key} in its metadata is {text[:40]!r}: write it again with this package")
    return value


def _strings(metadata: Mapping[str, str], key: str) -> List[str]:
    values = _json(metadata, key, list)
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key} in its metadata holds something other than text: expected a list of strings")
    return values


def _float32(array: np.ndarray) -> np.ndarray:
    if array.dtype not in (np.float16, np.float32):
        raise ValueError(f"embeddings are {array.dtype}: expected float16 or float32")
    return array.astype(np.float32, copy=False)


def _check_dtypes(weights: Mapping[str, np.ndarray], quantized: bool) -> None:
    for name, array in weights.items():
        allowed = [np.float16, np.float32, np.int64]  # int64: the counters of batch normalisation
        if quantized and name not in (HEAD_WEIGHT, HEAD_BIAS):
            allowed += [np.int8, np.int32]
        if array.dtype not in allowed:
            raise ValueError(f"weights {name!r} are {array.dtype}: expected float16 or float32, or int64 counters")


def _check_finite(tensors: Mapping[str, np.ndarray], what: str) -> None:
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{what} {name!r} hold NaN or infinity: train or export the model again")


def _check_head(tensors: Mapping[str, np.ndarray], spec: ModelSpec) -> None:
    shapes: Dict[str, Optional[Tuple[int, ...]]] = {
        name: tensors[name].shape if name in tensors else None for name in (HEAD_WEIGHT, HEAD_BIAS)
    }
    classes = len(spec.head_classes)
    expected = {HEAD_WEIGHT: (classes, spec.embedding_dim), HEAD_BIAS: (classes,)} if classes else dict.fromkeys(shapes)
    if shapes != expected:
        raise ValueError(f"the head's tensors have shapes {shapes}: expected {expected} for {classes} head_classes")


def _model_fingerprint(spec: ModelSpec, weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 (hex) over all that decides an embedding: not the head, not the provenance."""
    digest = hashlib.sha256()
    digest.update(json.dumps([spec.architecture, spec.input_size, spec.embedding_dim, spec.scaling]).encode())
    for name in sorted(set(weights) - {HEAD_WEIGHT, HEAD_BIAS}):
        digest.update(f"{name} {weights[name].dtype} {weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name]).data)
    return digest.hexdigest()
