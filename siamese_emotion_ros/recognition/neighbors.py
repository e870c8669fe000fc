"""Exact Euclidean k-nearest-anchor search, per-class distances and the majority vote."""
from __future__ import annotations

import math
from typing import Tuple

import numpy as np
import torch

#: A longer query is answered in parts of at most this many rows …
QUERIES_AT_ONCE = 256

#: … and of at most this many distances, which bounds its memory (64 MB of float32).
DISTANCES_AT_ONCE = 1 << 24

#: So many differences of coordinates are measured at a time (16 MB of float32).
DIFFERENCES_AT_ONCE = 1 << 22

#: Anchors that caches do not hold [bytes]: one face is compared with them fastest as they stream by (einsum).
LARGER_THAN_CACHE = 1 << 24

#: OpenBLAS takes a second thread for the product of a vector and a matrix from 9,216 numbers on. Products of fewer stay
#: in the thread that asked; more would wait for cores on which something else runs.
NUMBERS_IN_ONE_THREAD = 9215

#: Largest relative error of a float32 operation.
ROUNDING = float(np.finfo(np.float32).eps) / 2


class NearestAnchors:
    """The anchors of a gallery, laid out once so that a query costs one matrix product and a look at the nearest.

    Squared distances are ranked as |a|^2 - 2 q.a (|q|^2 is the same for every anchor). That loses digits when a query
    lies almost on an anchor, so every anchor whose rank is within the rounding error of being among the nearest is
    measured again as |q - a|, and the answer is chosen by these distances: it is that of measuring all.

    The embeddings are not copied; what is kept beside them takes 12 bytes an anchor.
    """

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray, n_classes: int) -> None:
        """`embeddings` float32 [N, D] and `labels` int64 [N], each label in 0..n_classes-1 and each class present."""
        self._anchors = np.ascontiguousarray(embeddings, np.float32)
        self._n_classes = n_classes
        self._squares = np.einsum("nd,nd->n", self._anchors, self._anchors)
        self._longest = math.sqrt(self._squares.max())
        # Ranks are looked at class by class, and each class in blocks: blocks without a near anchor are passed over by
        # their minimum. Their number grows like the root of that of the anchors.
        self._order = np.argsort(labels, kind="stable")
        self._is_sorted = bool((np.diff(self._order) == 1).all())
        edges = np.searchsorted(labels[self._order], np.arange(n_classes + 1))
        self._block = max(1, math.isqrt(len(self._anchors)) // 4)
        blocks = [np.arange(start, end, self._block) for start, end in zip(edges[:-1], edges[1:])]
        self._block_starts = np.concatenate(blocks)
        self._block_ends = np.append(self._block_starts[1:], len(self._anchors))
        sizes = [len(starts) for starts in blocks]
        self._block_class = np.repeat(np.arange(n_classes), sizes)
        self._class_blocks = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._class_starts = edges[:-1]
        self._within_block = np.arange(self._block)

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
        rows = max(1, min(QUERIES_AT_ONCE, DISTANCES_AT_ONCE // len(self)))
        if len(embeddings) <= rows:
            return self._query(embeddings, k)
        parts = [self._query(embeddings[start : start + rows], k) for start in range(0, len(embeddings), rows)]
        distances, indices, class_distances = (np.concatenate(column) for column in zip(*parts))
        return distances, indices, class_distances

    def _query(self, embeddings: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        n_queries, n_classes = len(embeddings), self._n_classes
        if not n_queries:
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64), np.empty((0, n_classes), np.float32)
        rows, columns = self._candidates(self._ranks(embeddings), embeddings, k)
        anchors = self._order.take(columns)
        distances = self._measure(embeddings, rows, anchors)
        # Candidates come query by query and class by class, and no class of any query is without one.
        places = rows * len(self) + columns
        class_places = (np.arange(n_queries)[:, None] * len(self) + self._class_starts).ravel()
        of_class = places.searchsorted(class_places)
        class_distances = np.minimum.reduceat(distances, of_class).reshape(n_queries, n_classes)
        nearest_first = np.lexsort((anchors, distances, rows))
        chosen = nearest_first[of_class[::n_classes, None] + np.arange(k)]
        return distances[chosen], anchors[chosen], class_distances

    def _ranks(self, embeddings: np.ndarray) -> np.ndarray:
        """|a|^2 - 2 q.a of every query and anchor, float32 [M, N], the anchors class by class."""
        doubled = embeddings * np.float32(-2.0)
        if len(embeddings) > 1:
            # By torch, in the threads that have just embedded the faces.
            ranks = torch.mm(torch.from_numpy(doubled), torch.from_numpy(self._anchors).T).numpy()
        elif self._anchors.nbytes > LARGER_THAN_CACHE:
            ranks = np.einsum("nd,d->n", self._anchors, doubled[0])[None]
        else:
            ranks = self._products(doubled)
        ranks += self._squares
        return ranks if self._is_sorted else ranks.take(self._order, axis=1)

    def _products(self, query: np.ndarray) -> np.ndarray:
        """The product of one query, float32 [1, D], with every anchor, float32 [1, N], a few anchors at a time."""
        count, dimensions = self._anchors.shape
        step = max(1, NUMBERS_IN_ONE_THREAD // dimensions)
        whole = count // step * step
        products = np.empty((count, 1), np.float32)
        np.matmul(
            self._anchors[:whole].reshape(-1, step, dimensions), query.T, out=products[:whole].reshape(-1, step, 1)
        )
        np.matmul(self._anchors[whole:], query.T, out=products[whole:])
        return products.T

    def _candidates(self, ranks: np.ndarray, embeddings: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the ranks that may be among the k smallest of their row, or smallest of their class."""
        smallest = ranks if self._block == 1 else np.minimum.reduceat(ranks, self._block_starts, axis=1)
        of_class = np.minimum.reduceat(smallest, self._class_blocks, axis=1)
        # As k blocks have a minimum up to this, k anchors have a rank up to this.
        among = smallest if k <= smallest.shape[1] else ranks
        limit = np.maximum(of_class, np.partition(among, k - 1, axis=1)[:, k - 1 : k])
        # Sums of D products are off by D roundings at most: the ranks of two anchors by that share of |a|^2 + 2|q||a|,
        # and their measured squares each by that share of themselves, which are limit + |q|^2.
        reach = math.sqrt(np.einsum("md,md->m", embeddings, embeddings).max()) + self._longest
        limit += np.float32(2 * (embeddings.shape[1] + 2) * ROUNDING) * (limit + np.float32(reach * reach))
        # Not "<=": beside a query that is NaN everything is a candidate, and it is answered with NaN.
        rows, blocks = (~(smallest > limit.take(self._block_class, axis=1))).nonzero()
        if self._block == 1:
            return rows, blocks
        columns = self._block_starts.take(blocks)[:, None] + self._within_block
        inside = columns < self._block_ends.take(blocks)[:, None]
        near = ranks.take(rows[:, None] * len(self) + columns, mode="clip")
        hit, place = (inside & ~(near > limit[rows, self._block_class.take(blocks)][:, None])).nonzero()
        return rows.take(hit), columns[hit, place]

    def _measure(self, embeddings: np.ndarray, rows: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """|q - a| of the pairs of a query and an anchor, float32."""
        distances = np.empty(len(rows), np.float32)
        step = max(1, DIFFERENCES_AT_ONCE // embeddings.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            difference = self._anchors.take(anchors[part], axis=0)
            difference -= embeddings.take(rows[part], axis=0)
            np.einsum("cd,cd->c", difference, difference, out=distances[part])
        return np.sqrt(distances, out=distances)


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
    shares = (votes / np.float32(len(labels))).astype(np.float32)
    if sharpness != 1.0 or doubt:
        shares **= np.float32(sharpness)
        shares += np.float32(doubt)
        shares /= shares.sum()
    return winner, shares
