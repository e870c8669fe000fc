"""Calibrates a gallery on labelled faces: its unknown threshold, and the confidence of its votes."""
from __future__ import annotations

import math
from dataclasses import replace
from typing import Callable, Tuple

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.neighbors import NearestAnchors, majority_vote

#: So many anchors are enough to carry a threshold over.
MOST_HELD_OUT = 2000


def threshold_keeping(share: float, gallery: Gallery, embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The distance within which at least `share` (0..1) of the rightly named faces have their nearest anchor.

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
    return _reaching(distances[right, 0], math.ceil(share * sum(right)))


def certainty_for(gallery: Gallery, embeddings: np.ndarray, labels: np.ndarray) -> Tuple[float, float]:
    """The sharpness and doubt with which the winner's score is nearest to the probability that it is right.

    Of powers from 1/16 to 8 and doubts from 0 to 2, the pair with the least mean squared difference (Brier score)
    between the winner's score and whether it is right. `embeddings` float32 [M, D] and `labels` int64 [M] are of faces
    that are not among the anchors.
    """
    anchors = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    distances, neighbors, _ = anchors.query(embeddings, gallery.k)
    votes = [
        majority_vote(gallery.labels[row], gap, len(gallery.classes)) for row, gap in zip(neighbors, distances)
    ]
    shares = np.stack([share for _, share in votes]).astype(np.float64)
    winners = np.array([winner for winner, _ in votes])
    right = winners == labels
    best, best_power, best_doubt = np.inf, 1.0, 0.0
    for power in np.geomspace(1 / 16, 8, 43):
        sharpened = shares**power
        won, total = sharpened[np.arange(len(winners)), winners], sharpened.sum(axis=1)
        for doubt in np.concatenate([[0.0], np.geomspace(0.001, 2, 48)]):
            confidence = (won + doubt) / (total + doubt * shares.shape[1])
            misjudged = float(np.mean((confidence - right) ** 2))
            if misjudged < best:
                best, best_power, best_doubt = misjudged, float(power), float(doubt)
    return best_power, best_doubt


def calibrated(gallery: Gallery, embeddings: np.ndarray, labels: np.ndarray, share: float) -> Gallery:
    """The gallery with what `threshold_keeping` and `certainty_for` find on labelled faces that are not its anchors."""
    sharpness, doubt = certainty_for(gallery, embeddings, labels)
    threshold = threshold_keeping(share, gallery, embeddings, labels)
    return replace(gallery, threshold=threshold, sharpness=sharpness, doubt=doubt)


def carried_threshold(full: Gallery, condense: Callable[[np.ndarray], Gallery], seed: int = 0) -> float:
    """The threshold of `full` as a distance among the fewer anchors that `condense` makes of those at given indices.

    With fewer anchors the nearest one is farther: the old threshold would call more faces unknown. A seeded tenth of
    the anchors (at most MOST_HELD_OUT, never the last of a class) stands in for new faces: the new threshold leaves the
    same share of them known among what `condense` makes of the others as the old one does among the others themselves.
    ValueError when `full` has no threshold, or no class with a second anchor.
    """
    if full.threshold is None:
        raise ValueError("the gallery has no threshold to carry over: calibrate one on labelled faces")
    order = np.random.default_rng(seed).permutation(len(full))
    _, firsts = np.unique(full.labels[order], return_index=True)
    spare = np.delete(order, firsts)
    if not len(spare):
        raise ValueError("no emotion has more than one anchor: there is nothing to measure the threshold on")
    held = spare[: min(MOST_HELD_OUT, max(1, len(spare) // 10))]
    others = np.setdiff1d(order, held)
    before, after = (
        _nearest(gallery, full.embeddings[held]) for gallery in (full.select(others), condense(others))
    )
    return _reaching(after, int((before <= full.threshold).sum()))


def _reaching(distances: np.ndarray, count: int) -> float:
    """The distance within which `count` of `distances`, or more that are equal, lie; the least one for 0."""
    return float(np.sort(distances)[max(count, 1) - 1])


def _nearest(gallery: Gallery, embeddings: np.ndarray) -> np.ndarray:
    """Distance, float32 [M], of the anchor nearest to each embedding."""
    anchors = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    return anchors.query(embeddings, 1)[0][:, 0]
