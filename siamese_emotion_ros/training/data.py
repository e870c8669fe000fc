"""Training faces in memory: one uint8 tensor, indexed directly; batches need no worker processes and no copies."""
from __future__ import annotations

import functools
import hashlib
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from siamese_emotion_ros.recognition.preprocessing import FLATTEST_DEVIATION, SCALINGS
from siamese_emotion_ros.training.config import ConfigError
from siamese_emotion_ros.training.sampling import BatchSampler


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is judged by.

    faces        uint8 [N, 1, S, S], S the side at which they are augmented.
    labels       int64 [N], indices into `classes`.
    train, val   int64 indices of faces.
    provenance   what the model file will say about the data.
    soft_labels  float32 [N, C], rows that add up to 1; None to learn from `labels` alone.
    """

    faces: Tensor
    labels: Tensor
    classes: Tuple[str, ...]
    train: np.ndarray
    val: np.ndarray
    provenance: Mapping[str, str]
    soft_labels: Optional[Tensor] = None

    def __post_init__(self) -> None:
        if self.faces.dtype != torch.uint8 or self.faces.dim() != 4 or self.faces.shape[1] != 1:
            raise ValueError(f"faces are {self.faces.dtype} {list(self.faces.shape)}: expected uint8 [N, 1, S, S]")
        if len(self.labels) != len(self.faces):
            raise ValueError(f"{len(self.labels)} labels for {len(self.faces)} faces: expected one each")
        trained = set(self.labels.numpy()[self.train].tolist())
        absent = [name for label, name in enumerate(self.classes) if label not in trained]
        if absent:
            raise ValueError(
                f"no training face of {', '.join(absent)}: leave it out of data.classes or check the data set"
            )

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that is learned from and judged by."""
        digest = hashlib.sha256()
        for values in (self.faces, self.labels, self.soft_labels, self.train, self.val):
            if values is not None:
                digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
                digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


class Batch(NamedTuple):
    """Faces uint8 [N, 1, S, S] with labels int64 [N] (and soft labels [N, C]); epoch and step say which batch it is."""

    faces: Tensor
    labels: Tensor
    soft_labels: Optional[Tensor]
    epoch: int
    step: int


class BatchLoader:
    """Iterates over the training batches of an epoch; Lightning calls `set_epoch` and keeps its `state_dict`.

    With `pinned`, batches are in page-locked memory, from which a GPU copies them while the step before still runs.
    """

    def __init__(self, data: TrainingData, sampler: BatchSampler, pinned: bool = False) -> None:
        self._data = data
        self._pinned = pinned
        self._sampler = sampler
        self._rows = torch.from_numpy(data.train)
        self._epoch = 0
        self._first_step = 0
        self._next_step = 0
        #: Which process this is, among those of a distributed run.
        self.rank = 0
        #: Seconds spent on forming batches since the start, for the loader's share of the time.
        self.seconds = 0.0

    @property
    def sampler(self) -> BatchLoader:
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of `epoch` from now on."""
        self._epoch = epoch

    def state_dict(self) -> Dict[str, Any]:
        """Which step of the epoch comes next, and of which data."""
        return {"next_step": self._next_step, "data": self._data.fingerprint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration at the step of `state`; ConfigError when it is of other data."""
        if state.get("data", self._data.fingerprint) != self._data.fingerprint:
            raise ConfigError(
                "the run was started on other faces, labels or votes than these: resume it with the same copy of the "
                "data and the same data.options, or start a new run"
            )
        self._first_step = int(state["next_step"]) % self._sampler.steps

    def __len__(self) -> int:
        return self._sampler.steps

    def __iter__(self) -> Iterator[Batch]:
        started = time.perf_counter()
        epoch, first = self._epoch, self._first_step
        self._first_step = 0
        batches = torch.from_numpy(self._sampler.epoch(epoch, self.rank))
        for step in range(first, len(batches)):
            rows = self._rows[batches[step]]
            soft = None if self._data.soft_labels is None else self._drawn(self._data.soft_labels, rows)
            batch = Batch(self._drawn(self._data.faces, rows), self._drawn(self._data.labels, rows), soft, epoch, step)
            self._next_step = step + 1
            self.seconds += time.perf_counter() - started
            yield batch
            started = time.perf_counter()

    def _drawn(self, values: Tensor, rows: Tensor) -> Tensor:
        drawn = values[rows]
        return drawn.pin_memory() if self._pinned else drawn


class Probe(NamedTuple):
    """A part of the validation faces: uint8 [N, 1, S, S], labels int64 [N], and whether they are anchors or queries."""

    faces: Tensor
    labels: Tensor
    anchors: bool


class ProbeLoader:
    """The validation of a run in parts: anchors from the training faces, then queries from the validation faces.

    At most `anchors` and `queries` faces (None: all), drawn once by the seed, the same after every epoch.
    """

    def __init__(
        self, data: TrainingData, anchors: Optional[int], queries: Optional[int], seed: int, batch_size: int = 256
    ) -> None:
        self._data = data
        rng = np.random.default_rng([seed, 1])
        self._parts: List[Tuple[Tensor, bool]] = []
        for indices, most, are_anchors in ((data.train, anchors, True), (data.val, queries, False)):
            rows = torch.from_numpy(np.sort(rng.permutation(indices)[:most]))
            self._parts += [(part, are_anchors) for part in rows.split(batch_size)]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Probe]:
        for rows, are_anchors in self._parts:
            yield Probe(self._data.faces[rows], self._data.labels[rows], are_anchors)


def resized(faces: Tensor, side: int) -> Tensor:
    """Faces [N, 1, S, S] in 0..255 as [N, 1, side, side]; the torch twin of recognition.preprocessing.resize."""
    if faces.shape[3] == side:
        return faces
    faces = faces.float()
    while faces.shape[3] >= 2 * side:
        faces = F.interpolate(faces, size=(faces.shape[2] // 2, faces.shape[3] // 2), mode="area")
    return F.interpolate(faces, size=(side, side), mode="bicubic").clamp(0, 255)


def scale(faces: Tensor, scaling: str) -> Tensor:
    """Faces [N, 1, H, W] in 0..255 as float32 network input; the torch twin of recognition.preprocessing."""
    faces = faces.float()
    if scaling == "unit":
        return faces / 255
    if scaling == "standardize":
        deviation, mean = torch.std_mean(faces, dim=(2, 3), keepdim=True, correction=0)
        return (faces - mean) / deviation.clamp_min(FLATTEST_DEVIATION)
    raise ValueError(f"unknown scaling {scaling!r}: expected one of {', '.join(SCALINGS)}")
