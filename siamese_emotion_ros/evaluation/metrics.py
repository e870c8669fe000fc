"""Classification figures out of a confusion matrix, for one matrix or for a thousand bootstrap replicates at once."""
from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from siamese_emotion_ros.evaluation.answers import Answers


class Counts(NamedTuple):
    """One-vs-rest counts, each int64 [..., C]. An unknown answer is a false negative of the true class and a true
    negative of every other: nothing was claimed about them."""

    tp: np.ndarray
    tn: np.ndarray
    fp: np.ndarray
    fn: np.ndarray


def confusion(truth: np.ndarray, given: np.ndarray, n_classes: int) -> np.ndarray:
    """int64 [C, C + 1]: how often each true class (row) was given each answer (column); the last column is unknown."""
    cells = truth * (n_classes + 1) + given
    return np.bincount(cells, minlength=n_classes * (n_classes + 1)).reshape(n_classes, n_classes + 1)


def one_vs_rest_counts(matrix: np.ndarray) -> Counts:
    """Counts of each class from confusion matrices [..., C, C + 1]."""
    tp = np.diagonal(matrix, axis1=-2, axis2=-1)
    fn = matrix.sum(axis=-1) - tp
    fp = matrix[..., :-1].sum(axis=-2) - tp
    tn = matrix.sum(axis=(-2, -1))[..., None] - tp - fn - fp
    return Counts(tp, tn, fp, fn)


def headline(matrix: np.ndarray) -> Dict[str, np.ndarray]:
    """The figures of confusion matrices [..., C, C + 1], each of shape [...] (NaN where there is no face to count).

    top1                 share of all faces given their own label; unknown counts as wrong.
    macro_f1             mean of 2 TP / (2 TP + FP + FN) over the classes that have faces or answers, as scikit-learn's:
                         of the others there is nothing to say, and one that is answered without faces counts 0.
    balanced_accuracy    mean recall of the classes that have faces.
    mean_one_vs_rest     mean of (TP + TN) / n over the classes that have faces or answers: the paper's accuracy. It
                         always looks high: guessing among C equally frequent classes reaches 1 - 2 (C - 1) / C^2.
    unknown_rate         share of faces that were given no label; coverage is 1 minus it.
    accuracy_when_known  share of the faces given a label that were given their own.
    """
    counts = one_vs_rest_counts(matrix)
    support = counts.tp + counts.fn
    f1, is_met = _f1(counts), counts.tp + counts.fp + counts.fn > 0
    n = support.sum(axis=-1)
    unknown = matrix[..., -1].sum(axis=-1)
    right = counts.tp.sum(axis=-1)
    return {
        "top1": _ratio(right, n),
        "macro_f1": _ratio(np.where(is_met, f1, 0.0).sum(axis=-1), is_met.sum(axis=-1)),
        "balanced_accuracy": _ratio(_ratio(counts.tp, support, empty=0.0).sum(axis=-1), (support > 0).sum(axis=-1)),
        "mean_one_vs_rest": _ratio(
            np.where(is_met, _ratio(counts.tp + counts.tn, n[..., None]), 0.0).sum(axis=-1), is_met.sum(axis=-1)
        ),
        "unknown_rate": _ratio(unknown, n),
        "coverage": _ratio(n - unknown, n),
        "accuracy_when_known": _ratio(right, n - unknown),
    }


def per_class(matrix: np.ndarray, classes: Sequence[str]) -> Dict[str, Dict[str, Optional[float]]]:
    """For each class of a confusion matrix [C, C + 1]: n, TP, TN, FP, FN, one_vs_rest, precision, recall, f1.

    A ratio with nothing to divide by is None: precision of a class never answered, recall of one without faces,
    f1 of one that is both.
    """
    counts = one_vs_rest_counts(matrix)
    tp, tn, fp, fn = counts
    ratios = {
        "one_vs_rest": _ratio(tp + tn, tp + tn + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "f1": _f1(counts),
    }
    whole = {"n": tp + fn, "TP": tp, "TN": tn, "FP": fp, "FN": fn}
    return {
        label: {
            **{name: int(values[c]) for name, values in whole.items()},
            **{name: optional_float(values[c]) for name, values in ratios.items()},
        }
        for c, label in enumerate(classes)
    }


def largest_confusions(matrix: np.ndarray, classes: Sequence[str], count: int) -> List[Tuple[str, str, int]]:
    """The most frequent mistakes of a confusion matrix [C, C + 1]: (true class, wrong class, faces), most first."""
    wrong = matrix[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    cells = [(int(cell) // len(classes), int(cell) % len(classes)) for cell in order]
    return [(classes[row], classes[column], int(wrong[row, column])) for row, column in cells if wrong[row, column]]


def unknown_curve(answers: Answers, points: int = 41) -> List[Dict[str, float]]:
    """What a threshold would cost: coverage and accuracy among the known, for thresholds at evenly spaced coverages.

    Each entry is {threshold, coverage, accuracy}; thresholds are distances of nearest anchors, ascending and distinct.
    """
    order = np.argsort(answers.nearest, kind="stable")
    nearest = answers.nearest[order].astype(np.float64)
    right = np.cumsum((answers.decided == answers.truth)[order])
    wanted = np.ceil(np.linspace(0.0, 1.0, points + 1)[1:] * len(answers)).astype(np.int64)
    # All faces at one distance become known together.
    ends = np.unique(np.searchsorted(nearest, nearest[wanted - 1], side="right"))
    return [
        {
            "threshold": float(nearest[end - 1]),
            "coverage": float(end / len(answers)),
            "accuracy": float(right[end - 1] / end),
        }
        for end in ends
    ]


def optional_float(value: Union[float, np.ndarray]) -> Optional[float]:
    """A float for JSON, which has no NaN and no infinity: None for those."""
    return float(value) if np.isfinite(value) else None


def _f1(counts: Counts) -> np.ndarray:
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def _ratio(part: np.ndarray, whole: np.ndarray, empty: float = np.nan) -> np.ndarray:
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.full(part.shape, empty), where=whole > 0)
