"""Is the crop that the robot cuts the crop that the network knows? Faces at known places in made-up scenes."""
from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.evaluation.answers import answers_of_neighbors
from siamese_emotion_ros.faces.cropping import crop_square
from siamese_emotion_ros.faces.detectors import Detector
from siamese_emotion_ros.faces.finder import FaceFinder, FinderSettings
from siamese_emotion_ros.faces.geometry import Box, iou
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
    seed: int = 0, progress: Optional[Callable[[int, int], None]] = None,
) -> List[Row]:
    """One row for each detector and margin; `progress` counts scenes searched.

    ValueError when a detector finds none of the faces, or no margin is given.
    """
    if not margins:
        raise ValueError("no margin is given: expected at least one, such as 0.0")
    queries = queries.restrict(gallery.classes)
    scenes = [scene(face, seed, row) for row, face in enumerate(queries.faces)]
    rows = []
    for number, detector in enumerate(detectors):
        places: List[Optional[Box]] = []
        crops: List[List[np.ndarray]] = [[] for _ in margins]
        for row, (frame, known) in enumerate(scenes):
            place = None
            for at, margin in enumerate(margins):
                crop, place = _cut(detector, margin, frame, known)
                if crop is not None:
                    crops[at].append(crop)
            places.append(place)
            if progress is not None:
                progress(number * len(scenes) + row + 1, len(detectors) * len(scenes))
        found = np.array([row for row, place in enumerate(places) if place is not None], np.int64)
        if not len(found):
            raise ValueError(f"{detector.name} finds none of {len(scenes)} faces: give more faces, or leave it out")
        offsets = np.array([_offset(places[row], scenes[row][1]) for row in found])
        right, down, size = np.median(offsets, axis=0)
        labels = queries.labels[found]
        for margin, cut in zip(margins, crops):
            at_known_box = [crop_square(scenes[row][0], scenes[row][1], margin) for row in found]
            top1, known_top1 = (_top1(model, gallery, faces, labels) for faces in (cut, at_known_box))
            share = len(found) / len(scenes)
            rows.append(Row(detector.name, margin, share, float(right), float(down), float(size), top1, known_top1))
    return rows


def _cut(
    detector: Detector, margin: float, frame: np.ndarray, known: Box
) -> Tuple[Optional[np.ndarray], Optional[Box]]:
    """The crop that the robot would cut of the face at `known`, and its square; None where it finds no face there."""
    faces = FaceFinder(detector, FinderSettings(margin=margin)).find(frame)
    squares = [Box(*(float(number) for number in face.roi)) for face in faces]
    best = max(range(len(faces)), key=lambda i: iou(squares[i], known), default=None)
    if best is None or iou(squares[best], known) < SAME_PLACE:
        return None, None
    return faces[best].crop, squares[best]


def _offset(square: Optional[Box], known: Box) -> Tuple[float, float, float]:
    assert square is not None
    side = known.width
    right, down = square.center_x - known.center_x, square.center_y - known.center_y
    return right / side, down / side, max(square.width, square.height) / side


def _top1(model: EmbeddingModel, gallery: Gallery, faces: List[np.ndarray], labels: np.ndarray) -> float:
    answers = answers_of_neighbors(model, gallery, Settings(), model.embed(faces), labels)
    return float((answers.decided == answers.truth).mean())
