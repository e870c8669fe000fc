"""What a gallery is like inside: how tight its classes are, and which of them its anchors confuse."""
from __future__ import annotations

from typing import List, NamedTuple, Optional, Set

import numpy as np

from siamese_emotion_ros.recognition.embedding import Progress
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.leave_one_out import decided_by_others, nearest_others
from siamese_emotion_ros.recognition.neighbors import NearestAnchors

#: A larger gallery is judged by a seeded sample of this many anchors, each still compared with all, and at least so
#: many of each class.
MOST_QUERIES, FEWEST_OF_CLASS = 2000, 50

#: The distance between the anchors of a class is measured on this many of them at most.
MOST_MEMBERS = 500


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


class Confusion(NamedTuple):
    """Two anchors of different classes that lie close together: their names, labels and Euclidean distance."""

    name: str
    label: str
    other_name: str
    other_label: str
    distance: float


class Judgement(NamedTuple):
    """What the anchors at `rows`, int64 [M] ascending, are taken for by the others: `decided`, class indices [M]."""

    rows: np.ndarray
    decided: np.ndarray


def judge_gallery(gallery: Gallery, seed: int = 0, progress: Optional[Progress] = None) -> Judgement:
    """Ask a gallery about its own anchors, each with itself left out; about a sample of those of a large gallery."""
    rows: np.ndarray = np.arange(len(gallery))
    if len(rows) > MOST_QUERIES:
        order = np.random.default_rng(seed).permutation(len(rows))
        of_each = [order[gallery.labels[order] == label][:FEWEST_OF_CLASS] for label in range(len(gallery.classes))]
        rows = np.unique(np.concatenate([order[:MOST_QUERIES], *of_each]))
    return Judgement(rows, decided_by_others(gallery, rows, progress=progress))


def describe_gallery(gallery: Gallery, judgement: Optional[Judgement] = None) -> List[ClassOfAnchors]:
    """Every class of a gallery, from its anchors alone; given a `judgement`, it is not judged again."""
    rows, decided = judge_gallery(gallery) if judgement is None else judgement
    return [_describe_class(gallery, label, rows, decided) for label in range(len(gallery.classes))]


def confusion_counts(gallery: Gallery, judgement: Judgement) -> np.ndarray:
    """How many judged anchors of each class (row) were taken for each class (column), int64 [C, C]."""
    counts = np.zeros((len(gallery.classes), len(gallery.classes)), np.int64)
    np.add.at(counts, (gallery.labels[judgement.rows], judgement.decided), 1)
    return counts


def nearest_confusions(gallery: Gallery, judgement: Judgement, most: int = 5) -> List[Confusion]:
    """The pairs of anchors of different classes that lie nearest to each other, among the judged; nearest first.

    Each anchor is named once, so that one stray among many does not fill the list.
    """
    if len(gallery.classes) < 2:
        return []
    anchors = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    rows = judgement.rows
    _, _, class_distances = anchors.query(gallery.embeddings[rows], 1)
    class_distances[np.arange(len(rows)), gallery.labels[rows]] = np.inf
    gaps = class_distances.min(axis=1)
    named: Set[int] = set()
    pairs: List[Confusion] = []
    for place in np.argsort(gaps, kind="stable"):
        row, label = int(rows[place]), int(class_distances[place].argmin())
        if len(pairs) == most:
            break
        if row in named:
            continue
        others = np.flatnonzero(gallery.labels == label)
        other = int(others[np.linalg.norm(gallery.embeddings[others] - gallery.embeddings[row], axis=1).argmin()])
        if other in named:
            continue
        named |= {row, other}
        pairs.append(Confusion(
            gallery.names[row], gallery.classes[gallery.labels[row]], gallery.names[other], gallery.classes[label],
            float(gaps[place]),
        ))
    return pairs


def _describe_class(gallery: Gallery, label: int, rows: np.ndarray, decided: np.ndarray) -> ClassOfAnchors:
    members = gallery.embeddings[gallery.labels == label].astype(np.float64)
    spread = float(np.sqrt(np.square(members - members.mean(axis=0)).sum(axis=1).mean()))
    taken_for = np.bincount(decided[gallery.labels[rows] == label], minlength=len(gallery.classes))
    asked = int(taken_for.sum())
    recall = taken_for[label] / asked
    wrong = taken_for.copy()
    wrong[label] = 0
    worst = int(wrong.argmax())
    return ClassOfAnchors(
        gallery.classes[label], len(members), spread, _nearest_own(members), float(recall),
        gallery.classes[worst] if wrong[worst] else None, float(wrong[worst] / asked),
    )


def _nearest_own(members: np.ndarray) -> Optional[float]:
    """Median distance to the nearest other member, over at most MOST_MEMBERS of them, evenly taken."""
    if len(members) < 2:
        return None
    rows = np.unique(np.linspace(0, len(members) - 1, MOST_MEMBERS).astype(np.int64))
    flat = members.astype(np.float32)
    nearest = NearestAnchors(flat, np.zeros(len(flat), np.int64), 1)
    return float(np.median(nearest_others(nearest, flat, rows, 1)[0]))
