"""Exact Euclidean k-nearest-anchor search, per-class distances and the majority vote."""
from __future__ import annotations

import math
from typing import Optional, Tuple

import numpy as np
import torch

#: A longer query is answered in parts of at most this many rows …
QUERIES_AT_ONCE = 256

#: … and of at most this many distances, which bounds its memory (32 MB of float32, of which a query takes three).
DISTANCES_AT_ONCE = 1 << 23

#: So many differences of coordinates are measured at a time (16 MB of float32).
DIFFERENCES_AT_ONCE = 1 << 22

#: Up to so many pairs of a face and an anchor, measuring all takes no longer than finding out which are near.
PAIRS_MEASURED = 256

#: Anchors that caches do not hold [bytes]: one face is compared with them fastest as they stream by (einsum).
LARGER_THAN_CACHE = 1 << 23

#: OpenBLAS takes a second thread for the product of a vector and a matrix from 9,216 numbers on. Products of fewer stay
#: in the thread that asked; more would wait for cores on which something else runs.
NUMBERS_IN_ONE_THREAD = 9215

#: Faces of one frame, at most; more are a data set's, and all threads of torch may work on them.
FACES_OF_A_FRAME = 16

#: The product of a frame's faces and some anchors takes so many multiplications: up to 262,144 OpenBLAS stays in the
#: thread that asked, and so few numbers it multiplies where they lie, without copying the anchors first.
MULTIPLICATIONS_AT_ONCE = 1 << 17

#: The k-th smallest rank is bounded by the minima of so many columns of ranks for each of the k.
COLUMNS_FOR_EACH = 8

#: Largest relative error of a float32 operation.
ROUNDING = float(np.finfo(np.float32).eps) / 2


class NearestAnchors:
    """The anchors of a gallery, laid out once so that a query costs one matrix product and a look at the nearest.

    Half squared distances are ranked as |a|^2 / 2 - q.a (|q|^2 is the same for every anchor). That loses digits when a
    query lies almost on an anchor, so every anchor whose rank is within the rounding error of being among the nearest
    is measured again as |q - a|, and the answer is chosen by these distances: it is that of measuring all.

    The embeddings are not copied; what is kept beside them takes 12 bytes an anchor.
    """

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray, n_classes: int) -> None:
        """`embeddings` float32 [N, D] and `labels` int64 [N], each label in 0..n_classes-1 and each class present."""
        self._anchors = np.ascontiguousarray(embeddings, np.float32)
        count, dimensions = self._anchors.shape
        squares = np.einsum("nd,nd->n", self._anchors, self._anchors)
        self._longest = math.sqrt(squares.max())
        self._half_squares = np.multiply(squares, np.float32(0.5), out=squares)
        # Sums of D products are off by D roundings at most: the ranks of two anchors by that share of
        # |a|^2 / 2 + |q||a|, and halves of their measured squares by that share of themselves. Neither is more than
        # (|q| + |a|)^2 / 2.
        self._error = 2 * (dimensions + 2) * ROUNDING
        # Classes are looked at as slices of the ranks in this order.
        self._order = np.argsort(labels, kind="stable")
        self._is_sorted = bool((np.diff(self._order) == 1).all())
        edges = np.searchsorted(labels[self._order], np.arange(n_classes + 1))
        self._class_starts, self._class_sizes = edges[:-1], np.diff(edges)
        self._step = max(1, NUMBERS_IN_ONE_THREAD // dimensions)
        whole = count // self._step * self._step
        self._slices = self._anchors[:whole].reshape(-1, self._step, dimensions)
        self._remainder = self._anchors[whole:]

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
        if not len(embeddings):
            n_classes = len(self._class_starts)
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64), np.empty((0, n_classes), np.float32)
        if len(embeddings) * len(self) <= PAIRS_MEASURED:
            return self._nearest_of_all(embeddings, k)
        rows = max(1, min(QUERIES_AT_ONCE, DISTANCES_AT_ONCE // len(self)))
        if len(embeddings) <= rows:
            return self._nearest_of_candidates(embeddings, k)
        parts = [
            self._nearest_of_candidates(embeddings[start : start + rows], k)
            for start in range(0, len(embeddings), rows)
        ]
        distances, indices, class_distances = (np.concatenate(column) for column in zip(*parts))
        return distances, indices, class_distances

    def _nearest_of_all(self, embeddings: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The answer by its definition: every anchor is measured."""
        differences = self._anchors - embeddings[:, None]
        squares = np.einsum("mnd,mnd->mn", differences, differences)
        distances = np.sqrt(squares, out=squares)
        class_distances = np.minimum.reduceat(distances.take(self._order, axis=1), self._class_starts, axis=1)
        nearest = distances.argsort(axis=1, kind="stable")[:, :k]
        first_places = np.arange(0, distances.size, len(self))[:, None]
        return distances.take(nearest + first_places), nearest, class_distances

    def _nearest_of_candidates(self, embeddings: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same answer, of those anchors that may be in it."""
        n_queries, count = len(embeddings), len(self)
        places = self._candidates(self._ranks(embeddings), embeddings, k)
        if n_queries == 1:
            return self._nearest_to_one(embeddings, places, k)
        rows = places // count
        anchors = self._order.take(places - rows * count)
        distances = self._measure(embeddings, rows, anchors)
        # Candidates come query by query and class by class, and no class of any query is without one.
        class_places = np.arange(0, n_queries * count, count)[:, None] + self._class_starts
        of_class = places.searchsorted(class_places.ravel())
        class_distances = np.minimum.reduceat(distances, of_class).reshape(class_places.shape)
        nearest_first = np.lexsort((anchors, distances, rows))
        chosen = nearest_first.take(of_class[:: class_places.shape[1], None] + np.arange(k))
        return distances.take(chosen), anchors.take(chosen), class_distances

    def _nearest_to_one(
        self, embeddings: np.ndarray, places: np.ndarray, k: int
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The answer for a single query, in fewer steps: most frames show one face, and a step takes a microsecond."""
        anchors = self._order.take(places)
        distances = self._measure(embeddings, None, anchors)
        class_distances = np.minimum.reduceat(distances, places.searchsorted(self._class_starts))
        chosen = np.lexsort((anchors, distances))[None, :k]
        return distances.take(chosen), anchors.take(chosen), class_distances[None]

    def _ranks(self, embeddings: np.ndarray) -> np.ndarray:
        """|a|^2 / 2 - q.a of every query and anchor, float32 [M, N]."""
        if len(embeddings) > FACES_OF_A_FRAME:
            products = torch.mm(torch.from_numpy(embeddings), torch.from_numpy(self._anchors).T).numpy()
        elif len(embeddings) > 1:
            products = self._products_of_faces(embeddings)
        elif self._anchors.nbytes > LARGER_THAN_CACHE:
            products = np.einsum("nd,d->n", self._anchors, embeddings[0])[None]
        else:
            products = self._products_of_face(embeddings[0])
        return np.subtract(self._half_squares, products, out=products)

    def _products_of_face(self, embedding: np.ndarray) -> np.ndarray:
        """The product of one query, float32 [D], with every anchor, float32 [1, N], a few anchors at a time."""
        products = np.empty((1, len(self)), np.float32)
        whole = len(self) - len(self._remainder)
        if whole:
            np.matmul(self._slices, embedding, out=products[0, :whole].reshape(-1, self._step))
        np.matmul(self._remainder, embedding, out=products[0, whole:])
        return products

    def _products_of_faces(self, embeddings: np.ndarray) -> np.ndarray:
        """The product of a few queries, float32 [M, D], with every anchor, float32 [M, N], a few anchors at a time."""
        (n_queries, dimensions), count = embeddings.shape, len(self)
        products = np.empty((n_queries, count), np.float32)
        step = max(1, MULTIPLICATIONS_AT_ONCE // embeddings.size)
        whole = count // step * step
        if whole:
            slices = self._anchors[:whole].reshape(-1, step, dimensions).transpose(0, 2, 1)
            into = products[:, :whole].reshape(n_queries, -1, step).transpose(1, 0, 2)
            np.matmul(embeddings, slices, out=into)
        np.matmul(embeddings, self._anchors[whole:].T, out=products[:, whole:])
        return products

    def _candidates(self, ranks: np.ndarray, embeddings: np.ndarray, k: int) -> np.ndarray:
        """Places, int64 ascending, of the ranks that may be among the k smallest of their row, or smallest of a class.

        They are counted through the rows, in each of which the anchors now come class by class.
        """
        n_queries, count = ranks.shape
        by_class = ranks if self._is_sorted else ranks.take(self._order, axis=1)
        limits = np.minimum.reduceat(by_class, self._class_starts, axis=1)
        # As k of the columns have a minimum up to this, k anchors have a rank up to this.
        columns = COLUMNS_FOR_EACH * k
        deep = count // columns
        if deep > 1:
            table = ranks[:, : deep * columns].reshape(n_queries, deep, columns)
            ranks = np.minimum.reduce(table, axis=1)
        np.maximum(limits, np.partition(ranks, k - 1, axis=1)[:, k - 1 : k], out=limits)
        flat = embeddings.ravel()
        reach = math.sqrt(flat.dot(flat)) + self._longest
        limits += np.float32(self._error * reach * reach)
        # Not "<=": beside a query that is NaN everything is a candidate, and it is answered with NaN.
        beyond = by_class > np.repeat(limits, self._class_sizes, axis=1)
        return np.logical_not(beyond, out=beyond).ravel().nonzero()[0]

    def _measure(self, embeddings: np.ndarray, rows: Optional[np.ndarray], anchors: np.ndarray) -> np.ndarray:
        """|q - a| of the pairs of a query and an anchor, float32; rows None = the only query with each anchor."""
        step = max(1, DIFFERENCES_AT_ONCE // embeddings.shape[1])
        if len(anchors) > step:
            parts = [slice(start, start + step) for start in range(0, len(anchors), step)]
            return np.concatenate([
                self._measure(embeddings, None if rows is None else rows[part], anchors[part]) for part in parts
            ])
        differences = self._anchors.take(anchors, axis=0)
        differences -= embeddings if rows is None else embeddings.take(rows, axis=0)
        squares = np.einsum("cd,cd->c", differences, differences)
        return np.sqrt(squares, out=squares)


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
