"""Approximate k-nearest-anchor search for galleries too large to measure every anchor; needs faiss."""
from __future__ import annotations

import math
from typing import Any, Tuple, Union

import numpy as np
import torch

from siamese_emotion_ros.recognition.neighbors import NearestAnchors

#: How anchors are searched: all of them measured, or those of the cells nearest to the face.
SEARCHES = ("exact", "approximate")

#: A class of fewer anchors is searched exactly: that takes no longer than finding the cells.
FEWEST_FOR_CELLS = 4096

#: Anchors by which the middles of the cells are found, for each cell.
TRAINED_BY = 48

#: The share of the cells that is looked at, and the fewest.
PROBED_SHARE, FEWEST_PROBED = 1 / 16, 8


class ApproximateAnchors:
    """The anchors of each class in an inverted file of its own (faiss IndexIVFFlat), asked like NearestAnchors.

    Distances are exact; what may be missed are anchors in cells that are not looked at. A class of its own file gives
    the nearest anchor of every class, also of those that are far away.
    """

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray, n_classes: int, seed: int = 0) -> None:
        """As NearestAnchors. ModuleNotFoundError where faiss is not installed."""
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        self._size = len(embeddings)
        self._rows = [np.flatnonzero(labels == label) for label in range(n_classes)]
        self._indexes = [_index(faiss, np.ascontiguousarray(embeddings[rows], np.float32), seed) for rows in self._rows]

    def __len__(self) -> int:
        return self._size

    def query(self, embeddings: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As NearestAnchors.query, but an anchor may be missed and a farther one stand in its place.

        Where the cells that are looked at hold fewer than k anchors of a class, all its cells are.
        """
        if not 1 <= k <= len(self):
            raise ValueError(f"k is {k}: expected 1 to {len(self)}, the number of anchors")
        asked = np.ascontiguousarray(embeddings, np.float32)
        found = [_search(index, asked, min(k, len(rows))) for index, rows in zip(self._indexes, self._rows)]
        squares = np.concatenate([squares for squares, _ in found], axis=1)
        anchors = np.concatenate([rows[places] for (_, places), rows in zip(found, self._rows)], axis=1)
        nearest_first = np.lexsort((anchors, squares), axis=1)[:, :k]
        class_squares = np.stack([squares[:, 0] for squares, _ in found], axis=1)
        distances = np.sqrt(np.maximum(np.take_along_axis(squares, nearest_first, axis=1), 0))
        return distances, np.take_along_axis(anchors, nearest_first, axis=1), np.sqrt(np.maximum(class_squares, 0))


def anchors_for(
    search: str, embeddings: np.ndarray, labels: np.ndarray, n_classes: int
) -> Union[NearestAnchors, ApproximateAnchors]:
    """The anchors laid out for one of SEARCHES; ValueError for another word or where faiss is not installed."""
    if search not in SEARCHES:
        raise ValueError(f"search is {search!r}: expected one of {', '.join(SEARCHES)}")
    if search == "exact":
        return NearestAnchors(embeddings, labels, n_classes)
    try:
        return ApproximateAnchors(embeddings, labels, n_classes)
    except ModuleNotFoundError as error:
        raise ValueError(
            "search is 'approximate', which needs faiss: pip install 'siamese_emotion_ros[search]', or search exactly"
        ) from error


def _index(faiss: Any, points: np.ndarray, seed: int) -> Any:
    if len(points) < FEWEST_FOR_CELLS:
        index = faiss.IndexFlatL2(points.shape[1])
    else:
        cells = int(math.sqrt(len(points)))
        middles = faiss.IndexFlatL2(points.shape[1])
        index = faiss.IndexIVFFlat(middles, points.shape[1], cells)
        index.cp.niter = 8
        drawn = np.random.default_rng(seed).permutation(len(points))[: TRAINED_BY * cells]
        index.train(points[np.sort(drawn)])
        index.nprobe = max(FEWEST_PROBED, math.ceil(cells * PROBED_SHARE))
    index.add(points)
    return index


def _search(index: Any, asked: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray]:
    """Squared distances float32 and places int64, both [M, k], nearest first; k of them in any case."""
    squares, places = index.search(asked, k)
    short = (places[:, -1] < 0).nonzero()[0]
    if len(short):
        import faiss

        everywhere = faiss.SearchParametersIVF(nprobe=index.nlist)  # type: ignore[call-arg]
        squares[short], places[short] = index.search(asked[short], k, params=everywhere)
    return squares, places
