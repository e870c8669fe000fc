"""Face detectors under one roof: libfacedetection, OpenCV's YuNet and Haar, and `auto`, the best of those present."""
from __future__ import annotations

import importlib.util
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import cv2
import numpy as np

from .geometry import FACE_SQUARE, Box, face_square, intersection
from .libfacedetection import fastest_search, import_yuface

DETECTORS: Tuple[str, ...] = ("auto", "libfacedetection", "yunet", "haar")

#: Keeps 99 of 100 of Haar's boxes on faces in five clips, and every frame's face in the longest with the networks.
SCORE_THRESHOLD = 0.6

#: Smallest face square looked for, in pixels of the full frame: half of the network's 48.
MIN_SIZE = 24

#: Of two squares that share this much of the smaller one, the better-scored stays (a nose found inside a
#: face).
SAME_FACE_OVERLAP = 0.6

_CASCADE = "haarcascade_frontalface_default.xml"
#: Distributions' OpenCV has no `cv2.data`; its cascades lie here (Debian and Ubuntu: package opencv-data).
_CASCADE_FOLDERS = (
    "/usr/share/opencv4/haarcascades", "/usr/local/share/opencv4/haarcascades", "/usr/share/opencv/haarcascades",
)

PathLike = Union[str, Path]


class DetectorError(ValueError):
    """A detector that cannot be had here, or not with these settings; the message says what to do."""


@dataclass(frozen=True)
class Detection:
    """One face found.

    square: the face square (see `geometry`), in pixels of the full frame, possibly reaching outside of it.
    score: 0..1, larger is surer; comparable within one detector. landmarks: float32 [5, 2], x and y in
    full-frame pixels of the person's right eye, left eye, nose, right and left corner of the mouth; None
    where the detector has none.
    """

    square: Box
    score: float
    landmarks: Optional[np.ndarray]


class _Found(NamedTuple):
    """What a detector itself says, in pixels of the image that it searched: [N, 4], [N], [N, 5, 2] or None."""

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: Optional[np.ndarray]


class Detector(ABC):
    """Finds faces in an image; made by `make_detector`. Not to be used by two threads at the same time."""

    name = ""

    def __init__(self, score_threshold: float, min_size: int) -> None:
        if not 0.0 <= score_threshold <= 1.0:
            raise DetectorError(f"the score threshold is {score_threshold}: expected 0.0 to 1.0")
        if not min_size >= 0:
            raise DetectorError(f"the smallest face is {min_size} pixels: expected 0 or more")
        self.score_threshold = score_threshold
        self.min_size = min_size

    def detect(self, image: np.ndarray, scale: float = 1.0) -> List[Detection]:
        """The faces of a frame, best score first.

        image: uint8 [h, w, 3] BGR or [h, w] gray, the frame shrunk by `scale` (0.5: half as wide; 1: the
        frame itself).
        """
        found = self._search(image, scale)
        rule = FACE_SQUARE[self.name]
        detections: List[Detection] = []
        for index in np.argsort(-found.scores, kind="stable"):
            square = face_square(Box(*(float(number) / scale for number in found.boxes[index])), rule)
            score = float(found.scores[index])
            if not all(math.isfinite(number) for number in (score, *square)):
                continue
            if score < self.score_threshold or square.width < max(self.min_size, 1):
                continue
            if any(_same_face(square, better.square) for better in detections):
                continue
            landmarks = None if found.landmarks is None else (found.landmarks[index] / scale).astype(np.float32)
            detections.append(Detection(square, min(score, 1.0), landmarks))
        return detections

    @abstractmethod
    def _search(self, image: np.ndarray, scale: float) -> _Found:
        """The detector's own boxes in `image`."""


class LibFaceDetection(Detector):
    """libfacedetection by Shiqi Yu and others (the `yuface` wheel): a small network with its weights inside.

    Source: Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research,
    2023.
    """

    name = "libfacedetection"

    def __init__(self, score_threshold: float = SCORE_THRESHOLD, min_size: int = MIN_SIZE) -> None:
        super().__init__(score_threshold, min_size)
        try:
            yuface = import_yuface()
        except ImportError as error:
            raise DetectorError(
                f"the detector libfacedetection needs the package yuface ({error}): pip install yuface "
                "(x86-64, Python 3.10 or 3.11), or use the detector yunet with a model file, or haar"
            ) from error
        self._detect = fastest_search(yuface)

    def _search(self, image: np.ndarray, scale: float) -> _Found:
        # The library reads the buffer without looking at its strides, so a view of a larger image would be
        # garbled.
        rows = self._detect(np.ascontiguousarray(_as_bgr(image)))
        numbers = rows[:, :15].astype(np.float32)
        return _Found(numbers[:, 1:5], numbers[:, 0] / 100.0, numbers[:, 5:].reshape(-1, 5, 2))


class YuNet(Detector):
    """OpenCV's FaceDetectorYN with a YuNet file of the user's (OpenCV Zoo's face_detection_yunet_2023mar.onnx)."""

    name = "yunet"

    def __init__(
        self, model_path: PathLike, score_threshold: float = SCORE_THRESHOLD, min_size: int = MIN_SIZE,
    ) -> None:
        super().__init__(score_threshold, min_size)
        if not hasattr(cv2, "FaceDetectorYN"):
            raise DetectorError(
                f"OpenCV {cv2.__version__} has no FaceDetectorYN: use OpenCV 4.5.4 or newer, or another detector"
            )
        path = _checked_yunet_file(model_path)
        self._input_size = (320, 320)
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", self._input_size, score_threshold, 0.3, 500)
            self._search(np.zeros((320, 320, 3), np.uint8), 1.0)
        except cv2.error as error:
            reason = str(error).strip().splitlines()[0]
            raise DetectorError(f"{path} is not a YuNet model that OpenCV {cv2.__version__} can run ({reason}); "
                                f"{_YUNET_ADVICE}") from error

    def _search(self, image: np.ndarray, scale: float) -> _Found:
        size = (image.shape[1], image.shape[0])
        if size != self._input_size:
            self._network.setInputSize(size)
            self._input_size = size
        _, rows = self._network.detect(_as_bgr(image))
        if rows is None:
            return _nothing_found()
        return _Found(rows[:, :4], rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2))


class Haar(Detector):
    """Viola and Jones' cascade for frontal faces, from OpenCV: no landmarks, but present almost everywhere.

    Source: Viola, Jones: "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001.
    """

    name = "haar"

    #: Smallest window of the cascade, in pixels.
    _WINDOW = 24

    def __init__(
        self, score_threshold: float = SCORE_THRESHOLD, min_size: int = MIN_SIZE, model_path: Optional[PathLike] = None,
    ) -> None:
        super().__init__(score_threshold, min_size)
        if not hasattr(cv2, "CascadeClassifier"):
            raise DetectorError(f"OpenCV {cv2.__version__} has no CascadeClassifier (it left with OpenCV 5): "
                                "pip install 'opencv-python-headless<5', or use another detector")
        path = _cascade_file(model_path)
        try:
            self._cascade = cv2.CascadeClassifier(str(path))
        except (cv2.error, SystemError) as error:
            raise DetectorError(f"{path} is not a cascade that OpenCV can read") from error
        if self._cascade.empty():
            raise DetectorError(f"{path} is not a cascade that OpenCV can read: give OpenCV's {_CASCADE}")

    def _search(self, image: np.ndarray, scale: float) -> _Found:
        smallest = max(self._WINDOW, int(self.min_size * scale / FACE_SQUARE[self.name].size))
        boxes, _, weights = self._cascade.detectMultiScale3(
            _as_gray(image), scaleFactor=1.1, minNeighbors=3, minSize=(smallest, smallest), outputRejectLevels=True,
        )
        if len(boxes) == 0:
            return _nothing_found()
        return _Found(np.asarray(boxes, np.float32), _cascade_score(np.ravel(weights)), None)


def make_detector(
    name: str = "auto",
    score_threshold: float = SCORE_THRESHOLD,
    min_size: int = MIN_SIZE,
    model_path: Optional[PathLike] = None,
) -> Detector:
    """The detector `name`: one of DETECTORS.

    score_threshold: 0..1. min_size: side of the smallest face square, in pixels of the full frame.
    model_path: the .onnx file of `yunet` (required), or another cascade for `haar`. `auto` is YuNet where a
    model_path is given, else libfacedetection where yuface is installed, else Haar. Raises DetectorError,
    which says what to do.
    """
    path = model_path if model_path not in (None, "") else None
    if name == "libfacedetection":
        return LibFaceDetection(score_threshold, min_size)
    if name == "yunet":
        if path is None:
            raise DetectorError(f"the detector yunet needs a model file, and none is given; {_YUNET_ADVICE}")
        return YuNet(path, score_threshold, min_size)
    if name == "haar":
        return Haar(score_threshold, min_size, path)
    if name == "auto":
        present = available_detectors(path)
        if not present:
            raise DetectorError("no face detector is present: pip install yuface or 'opencv-python-headless<5'")
        return make_detector(present[0], score_threshold, min_size, path)
    raise DetectorError(f"there is no face detector {name!r}: expected one of {', '.join(DETECTORS)}")


def available_detectors(model_path: Optional[PathLike] = None) -> Tuple[str, ...]:
    """The names of the detectors that can be made here, best first; `yunet` only where its model_path is given."""
    present: Dict[str, bool] = {
        "yunet": hasattr(cv2, "FaceDetectorYN") and model_path not in (None, ""),
        "libfacedetection": importlib.util.find_spec("yuface") is not None,
        "haar": hasattr(cv2, "CascadeClassifier") and _find_cascade() is not None,
    }
    return tuple(name for name, is_present in present.items() if is_present)


_YUNET_ADVICE = "download face_detection_yunet_2023mar.onnx from https://github.com/opencv/opencv_zoo and give its path"


def _checked_yunet_file(model_path: PathLike) -> Path:
    path = Path(model_path).expanduser()
    if not path.is_file():
        raise DetectorError(f"there is no file {path}; {_YUNET_ADVICE}")
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip()
    except OSError as error:
        raise DetectorError(f"cannot read {path}: {error.strerror}") from error
    # Both come from clicking on the file in a repository page: a web page, or git-lfs's note about the real
    # file.
    if start[:1] == b"<":
        raise DetectorError(f"{path} is a web page, not an ONNX model; {_YUNET_ADVICE}")
    if start.startswith(b"version https://git-lfs"):
        raise DetectorError(f"{path} is a git-lfs pointer, not the model that it stands for; {_YUNET_ADVICE}")
    return path


def _cascade_file(model_path: Optional[PathLike]) -> Path:
    if model_path is not None:
        path = Path(model_path).expanduser()
        if not path.is_file():
            raise DetectorError(f"there is no file {path}: give OpenCV's {_CASCADE}, or no path for the installed one")
        return path
    found = _find_cascade()
    if found is None:
        raise DetectorError(f"OpenCV's {_CASCADE} is not installed: apt install opencv-data, "
                            "or pip install 'opencv-python-headless<5', or give its path")
    return found


def _find_cascade() -> Optional[Path]:
    folders = list(_CASCADE_FOLDERS)
    if hasattr(cv2, "data"):
        folders.insert(0, cv2.data.haarcascades)
    for folder in folders:
        if (Path(folder) / _CASCADE).is_file():
            return Path(folder) / _CASCADE
    return None


def _cascade_score(weights: np.ndarray) -> np.ndarray:
    """0..1 from the weight of a cascade's last stage, which has no upper bound.

    A logistic curve laid through the weights of FER-2013's faces: their median of 6.4 becomes 0.97, their tenth
    percentile of 3.3 becomes 0.75. It orders Haar's boxes; it is no probability, for false boxes were too few to fit
    one to: 3 in 300 frames of five clips, of which 2 scored above 0.6.
    """
    return np.array([1.0 / (1.0 + math.exp(-(min(weight, 50.0) - 2.0) / 1.2)) for weight in weights], np.float64)


def _nothing_found() -> _Found:
    return _Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), None)


def _same_face(a: Box, b: Box) -> bool:
    return intersection(a, b) > SAME_FACE_OVERLAP * min(a.area, b.area)


def _as_bgr(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def _as_gray(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
