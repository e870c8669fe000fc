"""The worst mistakes: wrong labels given with the most confidence, to be looked at face by face."""
from __future__ import annotations

import base64
from collections import Counter
from typing import List, NamedTuple

import cv2
import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.datasets.images import shrunk
from siamese_emotion_ros.evaluation.answers import Answers

#: Longer side of a thumbnail in pixels; smaller faces stay as they are.
THUMBNAIL = 96

#: The same mistake is shown at most this often of one subject, which in a recording is a face under one true label: its
#: pictures are much alike, and would leave no room for others.
ALIKE = 3


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

    A face called unknown is no mistake of this kind: nothing was claimed about it. Where subjects are known, the same
    mistake comes ALIKE times of each at most.
    """
    wrong = np.flatnonzero(answers.known & (answers.decided != answers.truth))
    order = wrong[np.lexsort((answers.nearest[wrong], -answers.confidence[wrong]))]
    mistakes: List[Mistake] = []
    alike: Counter = Counter()
    for row in order:
        true, given = answers.classes[answers.truth[row]], answers.classes[answers.decided[row]]
        if faces.subjects is not None:
            alike[faces.subjects[row], true, given] += 1
            if alike[faces.subjects[row], true, given] > ALIKE:
                continue
        mistakes.append(Mistake(
            int(row), faces.names[row], true, given, float(answers.confidence[row]), float(answers.nearest[row]),
        ))
        if len(mistakes) == count:
            break
    return mistakes


def thumbnail(face: np.ndarray) -> str:
    """A uint8 gray face as a `data:` address of a PNG, for embedding in a page."""
    _, png = cv2.imencode(".png", shrunk(face, THUMBNAIL))
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
