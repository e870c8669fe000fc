"""Exact Euclidean k-nearest-anchor search, per-class distances and the majority vote."""
from __future__ import annotations

from typing import Tuple

import numpy as np
import torch

#: A longer query is answered in parts of this many rows, which bounds its memory.
QUERIES_AT_ONCE = 256


class NearestAnchors:
    """The anchors of a gallery, laid out once so that a query costs one matrix product and a partial sort.

    Squared distances are ranked as |a|^2 - 2 q.a (|q|^2 is the same for every anchor); those kept are then measured
    again as |q - a|, because the expanded form loses digits when a query lies almost on an anchor.
    """

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray, n_classes: int) -> None:
        """`embeddings` float32 [N, D] and `labels` int64 [N], each label in 0..n_classes-1 and each class present."""
        # Sorted by class, each class is one slice, and its nearest anchor one argmin away.
        self._order = np.argsort(labels, kind="stable")
        self._anchors = np.ascontiguousarray(embeddings[self._order], np.float32)
        edges = np.searchsorted(labels[self._order], np.arange(n_classes + 1))
        self._class_slices = list(zip(edges[:-1].tolist(), edges[1:].tolist()))
        self._squares = np.einsum("nd,nd->n", self._anchors, self._anchors)

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
        parts = [
            self._query(embeddings[start : start + QUERIES_AT_ONCE], k)
            for start in range(0, len(embeddings), QUERIES_AT_ONCE)
        ] or [self._query(embeddings, k)]
        if len(parts) == 1:
            return parts[0]
        distances, indices, class_distances = (np.concatenate(column) for column in zip(*parts))
        return distances, indices, class_distances

    def _query(self, embeddings: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        # By torch, in the threads that have just embedded the faces: numpy's own would wait for the same cores.
        ranks = (torch.from_numpy(embeddings) @ torch.from_numpy(self._anchors).T).numpy()
        ranks *= -2.0
        ranks += self._squares
        near = np.argpartition(ranks, k - 1, axis=1)[:, :k]
        of_class = np.stack(
            [start + ranks[:, start:end].argmin(axis=1) for start, end in self._class_slices], axis=1
        )
        distances = self._measure(embeddings, near)
        by_distance = np.lexsort((self._order[near], distances), axis=1)
        near = np.take_along_axis(near, by_distance, axis=1)
        distances = np.take_along_axis(distances, by_distance, axis=1)
        return distances, self._order[near], self._measure(embeddings, of_class)

    def _measure(self, embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
        difference = self._anchors[rows]
        difference -= embeddings[:, None, :]
        return np.sqrt(np.einsum("mkd,mkd->mk", difference, difference))


def majority_vote(
    labels: np.ndarray, distances: np.ndarray, n_classes: int, sharpness: float = 1.0
) -> Tuple[int, np.ndarray]:
    """The class that most of k neighbours have, and every class's score.

    `labels` int64 [k] and `distances` [k] belong together. Among classes with equally many votes the one with the
    smaller summed distance wins. Returns the class index and the scores float32 [n_classes]: each class's share of the
    vote to the power `sharpness`, brought to sum 1.
    """
    votes = np.bincount(labels, minlength=n_classes)
    summed = np.bincount(labels, weights=distances, minlength=n_classes)
    leaders = np.flatnonzero(votes == votes.max())
    winner = int(leaders[np.argmin(summed[leaders])])
    shares = (votes / np.float32(len(labels))).astype(np.float32)
    if sharpness != 1.0:
        shares **= np.float32(sharpness)
        shares /= shares.sum()
    return winner, shares
