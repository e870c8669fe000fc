"""Is the crop that the robot cuts the crop that the network knows? Faces at known places in made-up scenes."""
from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.evaluation.anchors import warn_of_anchors
from siamese_emotion_ros.evaluation.answers import answers_of_neighbors
from siamese_emotion_ros.faces.cropping import crop_square
from siamese_emotion_ros.faces.detectors import Detector
from siamese_emotion_ros.faces.finder import FaceFinder
from siamese_emotion_ros.faces.geometry import Box, iou
from siamese_emotion_ros.recognition.embedding import Progress
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Settings

WIDTH, HEIGHT = 640, 480

#: Sides of the faces in a scene [pixels]: a person at three metres and at one.
SMALLEST, LARGEST = 72, 200

#: A detection that overlaps the known square less than this (intersection over union) is of something else.
SAME_PLACE = 0.3


class Row(NamedTuple):
    """What a detector's crops with one margin are worth.

    found: share of the faces that the detector finds. right, down: median offset of its square's centre from the known
    one's, and size: median ratio of the sides, both in sides of the known square, where the face was found. top1: share
    of the faces found whose crop is named rightly (no threshold); known_top1: the same faces, cut at the known box.
    """

    detector: str
    margin: float
    found: float
    right: float
    down: float
    size: float
    top1: float
    known_top1: float


def scene(face: np.ndarray, seed: int, row: int) -> Tuple[np.ndarray, Box]:
    """Face number `row`, uint8 gray, somewhere in a textured 640x480 scene, and its square; a function of its inputs.

    Returns uint8 [480, 640] gray. The face's edges fade into the scene over a twentieth of its side.
    """
    random = np.random.default_rng([seed, row])
    frame = texture(WIDTH, HEIGHT, random)
    side = int(random.integers(SMALLEST, LARGEST + 1))
    left, top = int(random.integers(0, WIDTH - side + 1)), int(random.integers(0, HEIGHT - side + 1))
    large = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    ramp = np.clip(np.minimum(np.arange(side) + 1, np.arange(side)[::-1] + 1) / (side / 20), 0, 1).astype(np.float32)
    weight = np.minimum(ramp[:, None], ramp[None, :])
    inside = frame[top : top + side, left : left + side]
    inside += weight * (large - inside)
    return np.clip(frame, 0, 255).astype(np.uint8), Box(float(left), float(top), float(side), float(side))


def texture(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """A picture of nothing, float32 [height, width] around the middle of 0..255: noise at four scales."""
    picture = np.full((height, width), random.uniform(70, 170), np.float32)
    for cells in (4, 10, 30, 90):
        coarse = random.normal(0, 60 / cells**0.5, (cells * height // width + 1, cells)).astype(np.float32)
        picture += np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return picture


def framing(
    model: EmbeddingModel, gallery: Gallery, detectors: Sequence[Detector], margins: Sequence[float], queries: FaceSet,
    seed: int = 0, progress: Optional[Progress] = None,
) -> List[Row]:
    """One row for each detector and margin; `progress` counts scenes searched.

    Warns LeakWarning where some of the queries are anchors of the gallery. ValueError when a detector finds none of the
    faces, or no margin is given.
    """
    if not margins:
        raise ValueError("no margin is given: expected at least one, such as 0.0")
    queries = queries.restrict(gallery.classes)
    warn_of_anchors(model, gallery, queries)
    scenes = [scene(face, seed, row) for row, face in enumerate(queries.faces)]
    rows = []
    for number, detector in enumerate(detectors):
        finder = FaceFinder(detector)
        found: Dict[int, Box] = {}
        for row, (frame, known) in enumerate(scenes):
            square = _square_at(finder, frame, known)
            if square is not None:
                found[row] = square
            if progress is not None:
                progress(number * len(scenes) + row + 1, len(detectors) * len(scenes))
        if not found:
            raise ValueError(f"{detector.name} finds none of {len(scenes)} faces: give more faces, or leave it out")
        offsets = [_offset(square, scenes[row][1]) for row, square in found.items()]
        right, down, size = np.median(np.array(offsets), axis=0)
        labels = queries.labels[list(found)]
        for margin in margins:
            as_found = [crop_square(scenes[row][0], square, margin) for row, square in found.items()]
            as_known = [crop_square(*scenes[row], margin) for row in found]
            top1, known_top1 = (_top1(model, gallery, faces, labels) for faces in (as_found, as_known))
            share = len(found) / len(scenes)
            rows.append(Row(detector.name, margin, share, float(right), float(down), float(size), top1, known_top1))
    return rows


def _square_at(finder: FaceFinder, frame: np.ndarray, known: Box) -> Optional[Box]:
    """The square, as the robot would cut it, of the face at `known`; None where no face is found there."""
    squares = [detection.square for detection in finder.detections(frame)]
    best = max(squares, key=lambda square: iou(square, known), default=None)
    return None if best is None or iou(best, known) < SAME_PLACE else best


def _offset(square: Box, known: Box) -> Tuple[float, float, float]:
    side = known.width
    right, down = square.center_x - known.center_x, square.center_y - known.center_y
    return right / side, down / side, max(square.width, square.height) / side


def _top1(model: EmbeddingModel, gallery: Gallery, faces: List[np.ndarray], labels: np.ndarray) -> float:
    answers = answers_of_neighbors(model, gallery, Settings(), model.embed(faces), labels)
    return float((answers.decided == answers.truth).mean())
