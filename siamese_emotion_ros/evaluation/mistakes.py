"""The worst mistakes: wrong labels given with the most confidence, to be looked at face by face."""
from __future__ import annotations

import base64
from typing import List, NamedTuple

import cv2
import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.evaluation.answers import Answers

#: Longer side of a thumbnail in pixels; smaller faces stay as they are.
THUMBNAIL = 96


class Mistake(NamedTuple):
    """A face with a wrong label: its name, both labels, how sure the answer was, and how near its nearest anchor."""

    row: int
    name: str
    true: str
    given: str
    confidence: float
    nearest: float


def worst_mistakes(faces: FaceSet, answers: Answers, count: int = 32) -> List[Mistake]:
    """The wrong labels that were given, the surest first and among equally sure ones the nearest first.

    A face called unknown is no mistake of this kind: nothing was claimed about it.
    """
    wrong = np.flatnonzero(answers.known & (answers.decided != answers.truth))
    order = wrong[np.lexsort((answers.nearest[wrong], -answers.confidence[wrong]))][:count]
    return [
        Mistake(
            int(row), faces.names[row], answers.classes[answers.truth[row]], answers.classes[answers.decided[row]],
            float(answers.confidence[row]), float(answers.nearest[row]),
        )
        for row in order
    ]


def thumbnail(face: np.ndarray) -> str:
    """A uint8 gray face as a `data:` address of a PNG, for embedding in a page."""
    scale = THUMBNAIL / max(face.shape)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in face.shape[::-1])
        face = cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA)
    _, png = cv2.imencode(".png", face)
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
