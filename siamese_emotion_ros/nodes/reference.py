"""Prints parameters and services as README shows them: python3 -m siamese_emotion_ros.nodes.reference."""
from __future__ import annotations

from typing import NamedTuple, Tuple

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


class Service(NamedTuple):
    """A service that a node offers, besides those of every lifecycle node and of parameters."""

    name: str
    type: str
    description: str


SERVICES: Tuple[Service, ...] = (
    Service("siamese_emotion/add_anchors", "siamese_emotion_ros/srv/AddAnchors",
            "Enrol the next faces, or given images, as anchors of an emotion, which may be a new one."),
    Service("siamese_emotion/remove_anchors", "siamese_emotion_ros/srv/RemoveAnchors",
            "Take anchors out, by name or by emotion."),
    Service("siamese_emotion/calibrate_neutral", "siamese_emotion_ros/srv/CalibrateNeutral",
            "Learn what sets one person's neutral face apart, and subtract it."),
    Service("siamese_emotion/describe_gallery", "siamese_emotion_ros/srv/DescribeGallery",
            "Say what the gallery in use is made of."),
    Service("siamese_emotion/save_gallery", "siamese_emotion_ros/srv/SaveGallery",
            "Write the gallery in use to a file in `gallery_dir`."),
    Service("siamese_emotion/reset_gallery", "siamese_emotion_ros/srv/ResetGallery",
            "Forget what was enrolled, and read the gallery's file again."),
    Service("emotion_evaluator/report", "std_srvs/srv/Trigger",
            "Report on what was heard, and write it to `output_dir`."),
    Service("emotion_evaluator/reset", "std_srvs/srv/Trigger", "Forget what was heard."),
)

#: README holds what is between these; a test compares it with markdown() and services().
BEGIN, END = "<!-- parameters: made by siamese_emotion_ros.nodes.reference -->", "<!-- end of parameters -->"
BEGIN_SERVICES = "<!-- services: made by siamese_emotion_ros.nodes.reference -->"
END_SERVICES = "<!-- end of services -->"


def markdown() -> str:
    """A heading and a table for each node."""
    return "\n\n".join(f"#### `{table.node_name}`\n\n{table.markdown()}" for table in TABLES)


def services() -> str:
    """One table of all services."""
    rows = [f"| `{service.name}` | `{service.type}` | {service.description} |" for service in SERVICES]
    return "\n".join(["| Service | Type | |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(BEGIN, markdown(), END, sep="\n\n")
    print("", BEGIN_SERVICES, services(), END_SERVICES, sep="\n\n")
