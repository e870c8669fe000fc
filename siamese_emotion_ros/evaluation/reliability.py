"""Is a confidence of 0.8 right eight times out of ten? Reliability bins and the expected calibration error."""
from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np

from siamese_emotion_ros.evaluation.answers import Answers


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> Dict[str, Any]:
    """Expected calibration error and the bins behind it (Guo et al., "On calibration of modern neural networks", 2017).

    `confidence` float [N] in 0..1 and `right` bool [N]. `bins` bins of equal width, each open below and closed above
    (the first holds 0 too). Returns {expected_calibration_error: mean of |accuracy - confidence| weighted by the faces
    in a bin, bins: [{low, high, n, confidence, accuracy}, …]} with the empty bins left out.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    # float32 shares such as 3/15 must land on their edge, not a rounding error beyond it.
    values = np.round(confidence.astype(np.float64), 6)
    of_face = np.clip(np.searchsorted(np.round(edges, 6), values, side="left") - 1, 0, bins - 1)
    n = np.bincount(of_face, minlength=bins)
    filled = np.flatnonzero(n)
    mean_confidence = np.bincount(of_face, weights=values, minlength=bins)[filled] / n[filled]
    accuracy = np.bincount(of_face, weights=right, minlength=bins)[filled] / n[filled]
    return {
        "expected_calibration_error": float(np.sum(n[filled] * np.abs(accuracy - mean_confidence)) / len(values)),
        "bins": [
            {
                "low": float(edges[b]), "high": float(edges[b + 1]), "n": int(n[b]),
                "confidence": float(mean), "accuracy": float(share),
            }
            for b, mean, share in zip(filled, mean_confidence, accuracy)
        ],
    }


def mean_confidences(answers: Answers) -> Dict[str, Optional[float]]:
    """For each class the mean confidence of the faces that were given it, beside which to hold its precision.

    None for a class that was never answered. Over all classes confidence may be what it promises, and yet too much for
    some of them and too little for others.
    """
    n_classes = len(answers.classes)
    given = answers.given
    counts = np.bincount(given, minlength=n_classes + 1)
    sums = np.bincount(given, weights=answers.confidence, minlength=n_classes + 1)
    return {
        label: float(sums[c] / counts[c]) if counts[c] else None for c, label in enumerate(answers.classes)
    }
