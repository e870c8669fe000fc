"""Leave-one-out k-NN: each anchor of a gallery is classified by all the others."""
from __future__ import annotations

from typing import Optional, Tuple

import numpy as np

from siamese_emotion_ros.recognition.embedding import Progress
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.neighbors import QUERIES_AT_ONCE, NearestAnchors, majority_vote


def nearest_others(
    anchors: NearestAnchors, embeddings: np.ndarray, rows: np.ndarray, k: int
) -> Tuple[np.ndarray, np.ndarray]:
    """The k nearest other anchors of the anchors at `rows`: distances float32 and indices int64, both [M, k].

    `embeddings` float32 [N, D] are those that `anchors` was made of. ValueError unless k is 1..N-1.
    """
    if not 1 <= k < len(anchors):
        raise ValueError(f"k is {k}: expected 1 to {len(anchors) - 1}, the number of other anchors")
    distances, found, _ = anchors.query(embeddings[rows], k + 1)
    itself = found == rows[:, None]
    # Anchors identical to this one may have pushed it out; then the last of them goes instead.
    itself[~itself.any(axis=1), -1] = True
    return distances[~itself].reshape(len(rows), k), found[~itself].reshape(len(rows), k)


def decided_by_others(gallery: Gallery, rows: np.ndarray, progress: Optional[Progress] = None) -> np.ndarray:
    """The class, int64 [M], that the k nearest others give each anchor at `rows`; a lone anchor is given its own.

    k is the gallery's own, and at most the number of others. `progress` counts anchors.
    """
    k = min(gallery.k, len(gallery) - 1)
    if k == 0:
        return gallery.labels[rows]
    anchors = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    decided = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), QUERIES_AT_ONCE):
        part = rows[start : start + QUERIES_AT_ONCE]
        for place, (gaps, found) in enumerate(zip(*nearest_others(anchors, gallery.embeddings, part, k))):
            decided[start + place], _ = majority_vote(gallery.labels[found], gaps, len(gallery.classes))
        if progress is not None:
            progress(start + len(part), len(rows))
    return decided
