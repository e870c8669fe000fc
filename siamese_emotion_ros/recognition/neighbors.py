"""Exact Euclidean k-nearest-anchor search, per-class distances and the majority vote."""
from __future__ import annotations

from typing import Callable, Optional, Tuple

import numpy as np
import torch

#: The search of src/nearest.c, which colcon compiles, and pip where there is a compiler; None where it is missing.
COMPILED: Optional[Callable[..., None]]
try:
    from siamese_emotion_ros.recognition import _nearest

    COMPILED = _nearest.search
except ImportError:
    COMPILED = None

#: A longer query is answered in parts of at most this many rows …
QUERIES_AT_ONCE = 256

#: … and, without the compiled search, of at most this many distances, which bounds its memory (32 MB of float32).
DISTANCES_AT_ONCE = 1 << 23

#: Bytes that a processor fetches from memory at a time.
CACHE_LINE = 64


def on_cache_lines(array: np.ndarray) -> np.ndarray:
    """The array itself where it lies in C order from the start of a cache line on, else such a copy.

    Of embeddings that do, no load of the compiled search touches two lines: it takes three quarters of the time.
    """
    if array.flags.c_contiguous and array.ctypes.data % CACHE_LINE == 0:
        return array
    room = np.empty(array.nbytes + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class NearestAnchors:
    """The anchors of a gallery, each of which is measured for every query: |q - a| in float32, with no approximation.

    The compiled search takes as long as faiss's IndexFlatL2, which does not give the nearest of each class. The
    embeddings are not copied, and best begin on a cache line, as a Gallery's do; what is kept beside them takes 4 bytes
    an anchor.
    """

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray, n_classes: int) -> None:
        """`embeddings` float32 [N, D] and `labels` int64 [N], each label in 0..n_classes-1, else ValueError.

        A class without an anchor is infinitely far from everything.
        """
        if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
            raise ValueError(f"labels go from {labels.min()} to {labels.max()}: expected 0 to {n_classes - 1}")
        self._anchors = np.ascontiguousarray(embeddings, np.float32)
        self._labels = np.ascontiguousarray(labels, np.int32)
        self._n_classes = n_classes

    def __len__(self) -> int:
        return len(self._anchors)

    def query(self, embeddings: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The k nearest anchors of each of M embeddings, and the nearest anchor of each class.

        Returns distances float32 [M, k] (nearest first), anchor indices int64 [M, k] into the gallery, and class
        distances float32 [M, n_classes]. Anchors at equal distance come in gallery order. ValueError for a k outside
        1..len(self).
        """
        if not 1 <= k <= len(self):
            raise ValueError(f"k is {k}: expected 1 to {len(self)}, the number of anchors")
        embeddings = np.ascontiguousarray(embeddings, np.float32)
        count = len(embeddings)
        distances = np.empty((count, k), np.float32)
        indices = np.empty((count, k), np.int64)
        class_distances = np.empty((count, self._n_classes), np.float32)
        search, rows = COMPILED, QUERIES_AT_ONCE
        if search is None:
            search, rows = by_definition, max(1, min(rows, DISTANCES_AT_ONCE // len(self)))
        for start in range(0, count, rows):
            part = slice(start, start + rows)
            search(self._anchors, self._labels, embeddings[part], distances[part], indices[part], class_distances[part])
        return distances, indices, class_distances


def by_definition(
    anchors: np.ndarray, labels: np.ndarray, embeddings: np.ndarray, distances: np.ndarray, nearest: np.ndarray,
    class_distances: np.ndarray,
) -> None:
    """The reference for the compiled search, several times slower: same arguments, of which it fills the last three."""
    # Not by |q|^2 + |a|^2 - 2 q.a, which loses the digits that tell near anchors apart.
    every = torch.cdist(
        torch.from_numpy(embeddings), torch.from_numpy(anchors), compute_mode="donot_use_mm_for_euclid_dist"
    ).numpy()
    k = distances.shape[1]
    limits = np.partition(every, k - 1, axis=1)[:, k - 1]
    for row, limit in enumerate(limits):
        # Not "<=": beside an embedding that is NaN everything is as near, and it is answered with NaN.
        near = np.flatnonzero(np.logical_not(every[row] > limit))
        nearest[row] = near[every[row, near].argsort(kind="stable")[:k]]
        distances[row] = every[row, nearest[row]]
    for label in range(class_distances.shape[1]):
        class_distances[:, label] = every[:, labels == label].min(axis=1, initial=np.inf)


def majority_vote(
    labels: np.ndarray, distances: np.ndarray, n_classes: int, sharpness: float = 1.0, doubt: float = 0.0
) -> Tuple[int, np.ndarray]:
    """The class that most of k neighbours have, and every class's score.

    `labels` int64 [k] and `distances` [k] belong together. Among classes with equally many votes the one with the
    smaller summed distance wins. Returns the class index and the scores float32 [n_classes]: each class's share of the
    vote to the power `sharpness`, plus `doubt`, all brought to sum 1.
    """
    votes = np.bincount(labels, minlength=n_classes)
    summed = np.bincount(labels, weights=distances, minlength=n_classes)
    leaders = np.flatnonzero(votes == votes.max())
    winner = int(leaders[np.argmin(summed[leaders])])
    shares = votes / len(labels)
    if sharpness != 1.0 or doubt:
        # In double precision: in single, a third to the power 99 is nothing, and so would be the sum of the scores.
        shares = shares**sharpness + doubt
        shares /= shares.sum()
    return winner, shares.astype(np.float32)
