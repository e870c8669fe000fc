"""What faces whose labels are known tell a gallery: where known ends, and how sure a vote is."""
from __future__ import annotations

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.leave_one_out import nearest_others
from siamese_emotion_ros.recognition.neighbors import NearestAnchors, majority_vote

#: So many anchors are enough to carry a threshold over.
MOST_SAMPLES = 4000


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


def sharpness_for(gallery: Gallery, embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The sharpness with which the winner's score is nearest to the probability that it is right.

    Of powers from 1/8 to 8, the one with the least mean squared difference (Brier score) between the score of the
    winner and whether it is right. `embeddings` float32 [M, D] and `labels` int64 [M] are of faces that are not among
    the anchors.
    """
    anchors = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    distances, neighbors, _ = anchors.query(embeddings, gallery.k)
    votes = [
        majority_vote(gallery.labels[row], gap, len(gallery.classes)) for row, gap in zip(neighbors, distances)
    ]
    shares = np.stack([share for _, share in votes]).astype(np.float64)
    winners = np.array([winner for winner, _ in votes])
    right = winners == labels
    powers = np.geomspace(1 / 8, 8, 97)

    def misjudged(power: float) -> float:
        scores = shares**power
        confidence = scores[np.arange(len(scores)), winners] / scores.sum(axis=1)
        return float(np.mean((confidence - right) ** 2))

    return float(powers[np.argmin([misjudged(power) for power in powers])])


def carried_threshold(full: Gallery, condensed: Gallery, seed: int = 0) -> float:
    """The threshold of `full` as a distance among the fewer anchors of `condensed`, which was made of it.

    It leaves the same share of full's anchors known, each compared with the others only: with fewer anchors the nearest
    one is farther, and the old threshold would call more faces unknown. Judged by a seeded sample of at most
    MOST_SAMPLES anchors. ValueError when `full` has no threshold, or a single anchor.
    """
    if full.threshold is None:
        raise ValueError("the gallery has no threshold to carry over: calibrate one on labelled faces")
    rows = np.random.default_rng(seed).permutation(len(full))[:MOST_SAMPLES]
    anchors = NearestAnchors(full.embeddings, full.labels, len(full.classes))
    before = nearest_others(anchors, full.embeddings, rows, 1)[0][:, 0]
    fewer = NearestAnchors(condensed.embeddings, condensed.labels, len(condensed.classes))
    after, found, _ = fewer.query(full.embeddings[rows], min(2, len(condensed)))
    # An anchor that was kept is not a face that was met: its next one counts.
    itself = np.array([condensed.names[anchor] == full.names[row] for anchor, row in zip(found[:, 0], rows)])
    distances = np.where(itself, after[:, -1], after[:, 0])
    return float(np.quantile(distances, np.mean(before <= full.threshold)))
