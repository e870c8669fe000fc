"""Where known ends: the distance threshold of a gallery from faces whose labels are known."""
from __future__ import annotations

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.neighbors import NearestAnchors, majority_vote


def threshold_keeping(share: float, gallery: Gallery, embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The distance within which `share` (0..1) of the rightly named faces have their nearest anchor.

    `embeddings` float32 [M, D] and `labels` int64 [M] (indices into the gallery's classes) are of faces that are not
    among the anchors. ValueError when the gallery names none of them rightly.
    """
    anchors = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    distances, neighbors, _ = anchors.query(embeddings, gallery.k)
    right = [
        majority_vote(gallery.labels[row], gap, len(gallery.classes))[0] == label
        for row, gap, label in zip(neighbors, distances, labels)
    ]
    if not any(right):
        raise ValueError(
            f"the gallery names none of {len(labels)} calibration faces rightly: check the model and the labels"
        )
    return float(np.quantile(distances[right, 0], share))
