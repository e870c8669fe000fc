"""The report of an evaluation: the figures with everything needed to know, and to repeat, what they are figures of."""
from __future__ import annotations

import json
from typing import Any, Dict, Mapping, Optional, Sequence

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.evaluation.anchors import anchors_notice
from siamese_emotion_ros.evaluation.measurement import Measurement
from siamese_emotion_ros.recognition.whole_files import PathLike, write_atomically

FORMAT = "siamese_emotion_ros/evaluation/1"


def build_report(
    measurement: Measurement,
    dataset: str,
    split: str,
    loaded: FaceSet,
    facts: Mapping[str, Any],
    anchors_dataset: Optional[str] = None,
    notices: Sequence[str] = (),
) -> Dict[str, Any]:
    """A JSON-ready report.

    The measurement's figures, and: format; dataset and split (names); anchors_dataset (None for a stored gallery);
    skipped and left_out (faces that were not evaluated, counted by reason where there is one); notices (what makes the
    figures too good, in sentences); facts (how to repeat it, for people).
    """
    figures = measurement.figures
    notices = list(notices)
    if figures["queries_among_anchors"]:
        notices.append(anchors_notice(figures["queries_among_anchors"], figures["n"]))
    return {
        "format": FORMAT,
        "dataset": dataset,
        "split": split,
        "anchors_dataset": anchors_dataset,
        **figures,
        "skipped": len(loaded.skipped),
        "left_out": loaded.left_out_counts(),
        "notices": notices,
        "facts": {
            **facts,
            "model": figures["model_id"],
            "gallery": figures["gallery_id"],
            "k": figures["k"],
            "threshold": figures["threshold"],
            "classes": ", ".join(figures["classes"]),
        },
    }


def write_report(path: PathLike, report: Mapping[str, Any]) -> None:
    """Write the report as JSON, whole or not at all."""
    write_atomically(path, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
