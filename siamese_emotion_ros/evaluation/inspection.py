"""What a gallery is like inside: how tight its classes are, and which of them its anchors confuse."""
from __future__ import annotations

from typing import List, NamedTuple, Optional

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.neighbors import NearestAnchors

#: A larger gallery is judged by a seeded sample of this many anchors, each still compared with all.
MOST_QUERIES = 2000


class ClassOfAnchors(NamedTuple):
    """One class of a gallery.

    anchors: how many. spread: root mean square distance of them from their mean. nearest_own: median distance from an
    anchor to the nearest other one of its class; None for a lone anchor. recall: share of anchors that the k nearest
    others name rightly. confused_with, confused_share: the class they are most often taken for, and how often; None
    when all are named rightly.
    """

    label: str
    anchors: int
    spread: float
    nearest_own: Optional[float]
    recall: float
    confused_with: Optional[str]
    confused_share: float


def describe_gallery(gallery: Gallery, seed: int = 0) -> List[ClassOfAnchors]:
    """Every class of a gallery, from its anchors alone: each is asked about with itself left out."""
    from siamese_emotion_ros.recognition.neighbors import majority_vote

    rows: np.ndarray = np.arange(len(gallery))
    if len(rows) > MOST_QUERIES:
        rows = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_QUERIES])
    k = min(gallery.k, len(gallery) - 1)
    if k:
        nearest = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
        distances, anchors, _ = nearest.query(gallery.embeddings[rows], k + 1)
        distances, anchors = _without_self(distances, anchors, rows)
        decided = np.array([
            majority_vote(gallery.labels[found], gaps, len(gallery.classes))[0]
            for found, gaps in zip(anchors, distances)
        ])
    else:
        decided = gallery.labels[rows]
    return [_describe_class(gallery, label, rows, decided) for label in range(len(gallery.classes))]


def _without_self(distances: np.ndarray, anchors: np.ndarray, rows: np.ndarray) -> tuple:
    """The first k of k + 1 neighbours that are not the anchor itself (which identical anchors may have pushed out)."""
    own = anchors == rows[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(rows), anchors.shape[1] - 1)
    return distances[~own].reshape(shape), anchors[~own].reshape(shape)


def _describe_class(gallery: Gallery, label: int, rows: np.ndarray, decided: np.ndarray) -> ClassOfAnchors:
    members = gallery.embeddings[gallery.labels == label].astype(np.float64)
    spread = float(np.sqrt(np.square(members - members.mean(axis=0)).sum(axis=1).mean()))
    taken_for = np.bincount(decided[gallery.labels[rows] == label], minlength=len(gallery.classes))
    asked = max(int(taken_for.sum()), 1)
    recall = taken_for[label] / asked
    wrong = taken_for.copy()
    wrong[label] = 0
    worst = int(wrong.argmax())
    return ClassOfAnchors(
        gallery.classes[label], len(members), spread, _nearest_own(members), float(recall),
        gallery.classes[worst] if wrong[worst] else None, float(wrong[worst] / asked),
    )


def _nearest_own(members: np.ndarray, most: int = 500) -> Optional[float]:
    """Median distance to the nearest other member, over at most `most` members evenly taken."""
    if len(members) < 2:
        return None
    rows = np.unique(np.linspace(0, len(members) - 1, most).astype(np.int64))
    flat = members.astype(np.float32)
    nearest = NearestAnchors(flat, np.zeros(len(flat), np.int64), 1)
    distances, anchors, _ = nearest.query(flat[rows], 2)
    others, _ = _without_self(distances, anchors, rows)
    return float(np.median(others))
