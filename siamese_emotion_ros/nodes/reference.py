"""Prints the parameters of every node as the README shows them: python3 -m siamese_emotion_ros.nodes.reference."""
from __future__ import annotations

from typing import Tuple

from siamese_emotion_ros.nodes import (
    bag_player,
    emotion_evaluator,
    emotion_overlay,
    face_crop,
    hri_mirror,
    image_source,
    siamese_emotion,
)
from siamese_emotion_ros.nodes.parameters import ParameterTable

TABLES: Tuple[ParameterTable, ...] = (
    image_source.PARAMETERS, face_crop.PARAMETERS, siamese_emotion.PARAMETERS, emotion_overlay.PARAMETERS,
    hri_mirror.PARAMETERS, bag_player.PARAMETERS, emotion_evaluator.PARAMETERS,
)

#: README holds what is between these; a test compares it with markdown().
BEGIN, END = "<!-- parameters: made by siamese_emotion_ros.nodes.reference -->", "<!-- end of parameters -->"


def markdown() -> str:
    """A heading and a table for each node."""
    return "\n\n".join(f"#### `{table.node_name}`\n\n{table.markdown()}" for table in TABLES)


if __name__ == "__main__":
    print(BEGIN, markdown(), END, sep="\n\n")
