"""Approximate k-nearest-anchor search for galleries too large to measure every anchor; needs faiss."""
from __future__ import annotations

import math
from typing import Any, Tuple, Union

import numpy as np
import torch

from siamese_emotion_ros.recognition.neighbors import NearestAnchors

#: How anchors are searched: all of them measured, those of the cells nearest to the face, or by walking from neighbour
#: to neighbour.
SEARCHES = ("exact", "ivf", "hnsw")

#: A class of fewer anchors is searched exactly: that takes no longer.
FEWEST_TO_APPROXIMATE = 4096

#: ivf: anchors by which the centroids of the cells are found, for each cell.
TRAINING_POINTS_PER_CELL = 48

#: ivf: the share of the cells that is probed, and the fewest.
NPROBE_SHARE, MIN_NPROBE = 1 / 16, 8

#: hnsw: links of an anchor, and candidates kept while the graph is built.
HNSW_M, EF_CONSTRUCTION = 16, 80

#: hnsw: candidates kept during a search, for each of the k and at least.
EF_SEARCH_PER_K, MIN_EF_SEARCH = 2, 32

#: Anchors by which the recall is measured.
RECALL_SAMPLE = 200


class ApproximateAnchors:
    """The anchors of each class in an index of its own (faiss IndexIVFFlat or IndexHNSWFlat), asked as NearestAnchors.

    Distances are exact; what may be missed are anchors in cells, or on ways, that are not looked at. A class of its own
    index gives the nearest anchor of every class, also of those that are far away. The embeddings are copied, and hnsw
    keeps 2 HNSW_M numbers of 4 bytes more for each.
    """

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray, n_classes: int, search: str = "ivf") -> None:
        """As NearestAnchors, searched by "ivf" or "hnsw". ModuleNotFoundError where faiss is not installed."""
        import faiss

        self._faiss: Any = faiss
        self._size = len(embeddings)
        self._rows = [np.flatnonzero(labels == label) for label in range(n_classes)]
        make = {"ivf": _cells, "hnsw": _graph}[search]
        self._in_our_threads()
        self._indexes = [
            make(faiss, points) if len(points) >= FEWEST_TO_APPROXIMATE else _flat(faiss, points)
            for points in (np.ascontiguousarray(embeddings[rows], np.float32) for rows in self._rows)
        ]

    def __len__(self) -> int:
        return self._size

    def query(self, embeddings: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As NearestAnchors.query, but an anchor may be missed and a farther one stand in its place.

        A class of which fewer than k anchors are found that way is searched to the last one.
        """
        if not 1 <= k <= len(self):
            raise ValueError(f"k is {k}: expected 1 to {len(self)}, the number of anchors")
        self._in_our_threads()
        asked = np.ascontiguousarray(embeddings, np.float32)
        found = [self._search(index, asked, min(k, len(rows))) for index, rows in zip(self._indexes, self._rows)]
        squares = np.concatenate([squares for squares, _ in found], axis=1)
        anchors = np.concatenate([rows[places] for (_, places), rows in zip(found, self._rows)], axis=1)
        nearest_first = np.lexsort((anchors, squares), axis=1)[:, :k]
        class_squares = np.stack([squares[:, 0] for squares, _ in found], axis=1)
        distances = np.sqrt(np.maximum(np.take_along_axis(squares, nearest_first, axis=1), 0))
        return distances, np.take_along_axis(anchors, nearest_first, axis=1), np.sqrt(np.maximum(class_squares, 0))

    def _search(self, index: Any, asked: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray]:
        """Squared distances float32 and places int64, both [M, k], nearest first; k of them in any case."""
        squares, places = index.search(asked, k, params=self._how(index, k))
        short = (places[:, -1] < 0).nonzero()[0]
        if len(short):
            squares[short], places[short] = self._search_all(index, asked[short], k)
        return squares, places

    def _how(self, index: Any, k: int) -> Any:
        """The parameters of a search that finds most of the k nearest."""
        if isinstance(index, self._faiss.IndexHNSWFlat):
            return self._faiss.SearchParametersHNSW(efSearch=max(MIN_EF_SEARCH, EF_SEARCH_PER_K * k))
        if isinstance(index, self._faiss.IndexIVFFlat):
            probed = max(MIN_NPROBE, math.ceil(index.nlist * NPROBE_SHARE))
            return self._faiss.SearchParametersIVF(nprobe=probed)
        return None

    def _search_all(self, index: Any, asked: np.ndarray, k: int) -> Tuple[np.ndarray, np.ndarray]:
        if isinstance(index, self._faiss.IndexHNSWFlat):
            return self._faiss.downcast_index(index.storage).search(asked, k)
        everywhere = self._faiss.SearchParametersIVF(nprobe=index.nlist)
        return index.search(asked, k, params=everywhere)

    def _in_our_threads(self) -> None:
        """Give faiss as many threads as torch has; the number is set for the calling thread alone."""
        self._faiss.omp_set_num_threads(torch.get_num_threads())


def anchors_for(
    search: str, embeddings: np.ndarray, labels: np.ndarray, n_classes: int
) -> Union[NearestAnchors, ApproximateAnchors]:
    """The anchors laid out for one of SEARCHES; ValueError for another word or where faiss is not installed."""
    if search not in SEARCHES:
        raise ValueError(f"search is {search!r}: expected one of {', '.join(SEARCHES)}")
    if search == "exact":
        return NearestAnchors(embeddings, labels, n_classes)
    try:
        return ApproximateAnchors(embeddings, labels, n_classes, search)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"search is {search!r}, which needs faiss: pip install faiss-cpu, or search exactly"
        ) from error


def measured_recall(
    anchors: ApproximateAnchors, embeddings: np.ndarray, labels: np.ndarray, n_classes: int, k: int
) -> float:
    """The share 0..1 of the k nearest others of a sample of the anchors that a search finds.

    `embeddings` float32 [N, D] and `labels` int64 [N] are those `anchors` was made of. A gallery's own anchors stand in
    for faces; each finds itself, which is not counted. 1.0 in a gallery of one.
    """
    sample = np.random.default_rng(0).permutation(len(embeddings))[:RECALL_SAMPLE]
    asked = min(k + 1, len(embeddings))
    if asked == 1:
        return 1.0
    wanted = NearestAnchors(embeddings, labels, n_classes).query(embeddings[sample], asked)[1]
    found = anchors.query(embeddings[sample], asked)[1]
    hits = [len(np.intersect1d(one[one != row], other)) for row, one, other in zip(sample, wanted, found)]
    return float(np.sum(hits) / np.sum(wanted != sample[:, None]))


def _flat(faiss: Any, points: np.ndarray) -> Any:
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)
    return index


def _cells(faiss: Any, points: np.ndarray) -> Any:
    cells = int(math.sqrt(len(points)))
    centroids = faiss.IndexFlatL2(points.shape[1])
    index = faiss.IndexIVFFlat(centroids, points.shape[1], cells)
    index.cp.niter = 8
    drawn = np.random.default_rng(0).permutation(len(points))[: TRAINING_POINTS_PER_CELL * cells]
    index.train(points[np.sort(drawn)])
    index.add(points)
    return index


def _graph(faiss: Any, points: np.ndarray) -> Any:
    index = faiss.IndexHNSWFlat(points.shape[1], HNSW_M)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.add(points)
    return index
