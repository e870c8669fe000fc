"""The first half of a frame's story: from a camera frame to its faces, each with id, place, score and crop."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Optional, Tuple

import cv2
import numpy as np

from .cropping import MAX_CROP_SIDE, check_frame, crop_square
from .detectors import Detection, Detector
from .geometry import Box, Roi, intersection, roi_in_frame
from .tracker import FaceTracker

#: A face with less than this share of its square inside the frame is left out: nobody could read its emotion.
MIN_VISIBLE = 0.5


@dataclass(frozen=True)
class Face:
    """One face of one frame.

    face_id: 1, 2, …, the same person's from frame to frame. roi: the face square (forehead to chin) as far as
    it lies in the frame. score: the detector's, 0..1. landmarks: float32 [5, 2] in full-frame pixels (the
    person's right eye, left eye, nose, right and left corner of the mouth) or None. crop: gray uint8 [s, s],
    the face square with the margin, from the full frame at its own resolution, at most 128 pixels a side.
    """

    face_id: int
    roi: Roi
    score: float
    landmarks: Optional[np.ndarray]
    crop: np.ndarray


@dataclass(frozen=True)
class FinderSettings:
    """What may be set besides the detector; ValueError for what makes no sense.

    detection_width: the detector searches a copy whose longer side has this many pixels. margin: added to the
    face square on each side, as a fraction of it; 0 is what the shipped models were trained with. upscale:
    also enlarge frames that are smaller than that, to find smaller faces.
    """

    detection_width: int = 320
    margin: float = 0.0
    upscale: bool = False

    def __post_init__(self) -> None:
        if not 32 <= self.detection_width <= 4096:
            raise ValueError(f"detection_width is {self.detection_width}: expected 32 to 4096 pixels")
        if not (math.isfinite(self.margin) and 0.0 <= self.margin <= 1.0):
            raise ValueError(f"margin is {self.margin}: expected 0.0 to 1.0 of the face's side")


class FaceFinder:
    """Finds and follows the faces of a stream of frames.

    Detector and settings may be replaced at any time, from another thread too (see `replace`): the frame in work ends
    with the old ones, and the ids go on. Frames themselves are given one after the other.
    """

    def __init__(
        self, detector: Detector, settings: Optional[FinderSettings] = None, tracker: Optional[FaceTracker] = None,
    ) -> None:
        self._search = detector, settings if settings is not None else FinderSettings()  # one reference, read once
        self._tracker = tracker if tracker is not None else FaceTracker()

    @property
    def detector(self) -> Detector:
        """What searches the next frame."""
        return self._search[0]

    @property
    def settings(self) -> FinderSettings:
        """How the next frame is searched."""
        return self._search[1]

    def replace(self, detector: Detector, settings: FinderSettings) -> None:
        """Search with these from the next frame on."""
        self._search = detector, settings

    def find(self, frame: np.ndarray, rgb: bool = False) -> List[Face]:
        """The faces of `frame`, uint8 [H, W, 3] or [H, W] gray, in the order of their ids; it is not changed.

        rgb: the order of its colours is RGB; otherwise it is BGR. Raises ValueError for a frame of another dtype or
        shape, or an empty or absurdly large one.
        """
        detector, settings = self._search
        detections = _detections(detector, settings, frame, rgb)
        ids = self._tracker.update([detection.square for detection in detections])
        height, width = frame.shape[:2]
        faces = [
            Face(
                face_id=face_id,
                roi=roi_in_frame(detection.square, width, height),
                score=detection.score,
                landmarks=detection.landmarks,
                crop=crop_square(frame, detection.square, settings.margin, MAX_CROP_SIDE, rgb),
            )
            for face_id, detection in zip(ids, detections)
        ]
        return sorted(faces, key=lambda face: face.face_id)

    def detections(self, frame: np.ndarray) -> List[Detection]:
        """What `find` cuts out of a BGR or gray frame, best score first; nobody is followed. ValueError as `find`."""
        return _detections(*self._search, frame)

    def reset(self) -> None:
        """Forget who was where, as after time jumped back (a bag that loops); ids are not given again."""
        self._tracker.reset()


def _detections(
    detector: Detector, settings: FinderSettings, frame: np.ndarray, rgb: bool = False
) -> List[Detection]:
    check_frame(frame)
    searched, scale = _searched_copy(frame, settings)
    if rgb and searched.ndim == 3:  # of the small copy, not of the whole frame
        searched = cv2.cvtColor(searched, cv2.COLOR_RGB2BGR)
    return _visible(detector.detect(searched, scale), frame)


def _searched_copy(frame: np.ndarray, settings: FinderSettings) -> Tuple[np.ndarray, float]:
    """The image that the detector searches, and its scale; the frame itself where it is small enough."""
    height, width = frame.shape[:2]
    scale = settings.detection_width / max(height, width)
    if scale == 1.0 or (scale > 1.0 and not settings.upscale):
        return frame, 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR), scale


def _visible(detections: List[Detection], frame: np.ndarray) -> List[Detection]:
    whole_frame = Box(0.0, 0.0, float(frame.shape[1]), float(frame.shape[0]))
    return [
        detection for detection in detections
        if intersection(detection.square, whole_frame) >= MIN_VISIBLE * detection.square.area
    ]
