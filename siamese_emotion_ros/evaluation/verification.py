"""Same emotion or not? ROC and equal-error rate of embedding distances over sampled pairs of faces."""
from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import numpy as np

#: Distances of this many pairs are computed at once, which bounds the memory (4,096 pairs of 2,048 floats: 32 MB).
PAIRS_AT_ONCE = 4096

#: Points of a ROC curve that are kept for a report.
CURVE_POINTS = 200


def verification(
    embeddings: np.ndarray, labels: np.ndarray, pairs: int = 20000, seed: int = 0
) -> Optional[Dict[str, Any]]:
    """How well the distance tells pairs of the same class from pairs of different classes.

    `embeddings` float32 [N, D], `labels` int64 [N]. `pairs` pairs of each kind are drawn. Returns {pairs, seed, auc,
    equal_error_rate, equal_error_distance, roc: {false_accept, true_accept}}: a pair is accepted as the same when its
    distance is at most a threshold; at `equal_error_distance` as many different pairs are accepted as same ones are
    rejected. None when there is no pair of one kind.
    """
    from sklearn.metrics import auc, roc_curve

    random = np.random.default_rng(seed)
    drawn = [sample(labels, pairs, random) for sample in (sample_same, sample_different)]
    if any(first.size == 0 for first, _ in drawn):
        return None
    distances = np.concatenate([pair_distances(embeddings, first, second) for first, second in drawn])
    same = np.repeat([True, False], pairs)
    false_accept, true_accept, scores = roc_curve(same, -distances, drop_intermediate=True)
    rate, distance = _equal_error(false_accept, 1 - true_accept, -scores)
    area = float(auc(false_accept, true_accept))
    shown = np.unique(np.linspace(0, len(false_accept) - 1, CURVE_POINTS).astype(int))
    return {
        "pairs": pairs,
        "seed": seed,
        "auc": area,
        "equal_error_rate": rate,
        "equal_error_distance": distance,
        "roc": {"false_accept": false_accept[shown].tolist(), "true_accept": true_accept[shown].tolist()},
    }


def sample_same(labels: np.ndarray, count: int, random: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
    """`count` pairs (i, j), i != j, drawn evenly, with replacement, from all pairs of one class; empty if none is."""
    order, start, size, place = _class_runs(labels)
    total = (size - 1).sum()
    if total == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first = random.choice(len(labels), size=count, p=(size - 1) / total)
    offset = random.integers(0, size[first] - 1)
    second = start[first] + offset + (offset >= place[first] - start[first])
    return order[first], order[second]


def sample_different(labels: np.ndarray, count: int, random: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
    """`count` pairs (i, j) drawn evenly, with replacement, from all pairs of two classes; empty if none exists."""
    order, start, size, _ = _class_runs(labels)
    others = len(labels) - size
    if others.sum() == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first = random.choice(len(labels), size=count, p=others / others.sum())
    offset = random.integers(0, others[first])
    second = offset + np.where(offset >= start[first], size[first], 0)
    return order[first], order[second]


def pair_distances(embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean distances float32 [P] between the embeddings at `first` [P] and at `second` [P]."""
    distances = np.empty(len(first), np.float32)
    for low in range(0, len(first), PAIRS_AT_ONCE):
        part = slice(low, low + PAIRS_AT_ONCE)
        difference = embeddings[first[part]] - embeddings[second[part]]
        distances[part] = np.sqrt(np.einsum("pd,pd->p", difference, difference))
    return distances


def _class_runs(labels: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Faces sorted by class, and for each place in that order: where its class starts, its size, and the place."""
    order = np.argsort(labels, kind="stable")
    _, of_face, size = np.unique(labels[order], return_inverse=True, return_counts=True)
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    return order, start[of_face], size[of_face], np.arange(len(labels))


def _equal_error(false_accept: np.ndarray, false_reject: np.ndarray, distances: np.ndarray) -> Tuple[float, float]:
    """Where the two errors meet, linearly between the last point below and the first at or above the crossing."""
    crossing = int(np.argmax(false_accept >= false_reject))
    low, high = crossing - 1, crossing  # the curve starts where all pairs are rejected, which is no crossing
    gap_low, gap_high = (float(false_reject[i] - false_accept[i]) for i in (low, high))
    part = gap_low / (gap_low - gap_high)
    rate = false_accept[low] + part * (false_accept[high] - false_accept[low])
    # The curve starts at an infinite score, where nothing is accepted.
    near = distances[high] if not np.isfinite(distances[low]) else distances[low]
    return float(rate), float(near + part * (distances[high] - near))
