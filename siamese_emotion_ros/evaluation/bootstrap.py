"""Bootstrap confidence intervals of the headline figures, by resampling faces or whole subjects."""
from __future__ import annotations

from typing import Any, Dict, Optional, Sequence

import numpy as np

from siamese_emotion_ros.evaluation.answers import Answers
from siamese_emotion_ros.evaluation.metrics import confusion, headline, optional_float

#: Fewer faces or subjects than this have no interval: drawing one again and again would find it infinitely narrow.
FEWEST_UNITS = 5


def confidence_intervals(
    answers: Answers, subjects: Optional[Sequence[str]] = None, replicates: int = 2000, level: float = 0.95,
    seed: int = 0,
) -> Dict[str, Any]:
    """Percentile intervals (Efron) of every headline figure.

    Returns {level, replicates, seed, resampled, units (how many of those), and [low, high] for each figure}; None for
    a figure that some replicate lacks, and for all of fewer than FEWEST_UNITS. With `subjects` [N] whole people are
    drawn, because the faces of one person are not independent; otherwise faces are. Every figure depends on the
    confusion matrix alone, so drawing n faces with replacement is one multinomial draw over its cells: the same
    distribution, without touching the faces.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: expected a share between 0 and 1, such as 0.95")
    random = np.random.default_rng(seed)
    if subjects is None:
        matrix = confusion(answers.truth, answers.given, len(answers.classes))
        draws = random.multinomial(len(answers), matrix.ravel() / len(answers), size=replicates)
        matrices = draws.reshape(replicates, *matrix.shape)
    else:
        parts = _confusion_of_each(answers, subjects)
        times = random.multinomial(len(parts), np.full(len(parts), 1 / len(parts)), size=replicates)
        matrices = np.tensordot(times, parts, axes=1)
    tail = 100 * (1 - level) / 2
    units = len(answers) if subjects is None else len(parts)
    intervals = {
        name: [
            optional_float(bound) if units >= FEWEST_UNITS else None
            for bound in np.percentile(values, [tail, 100 - tail])
        ]
        for name, values in headline(matrices).items()
    }
    resampled = "faces" if subjects is None else "subjects"
    return {
        "level": level, "replicates": replicates, "seed": seed, "resampled": resampled, "units": units, **intervals,
    }


def _confusion_of_each(answers: Answers, subjects: Sequence[str]) -> np.ndarray:
    """int64 [S, C, C + 1]: the confusion matrix of each subject's faces."""
    names, rows = np.unique(np.asarray(subjects), return_inverse=True)
    parts = np.zeros((len(names), len(answers.classes), len(answers.classes) + 1), np.int64)
    np.add.at(parts, (rows, answers.truth, answers.given), 1)
    return parts
