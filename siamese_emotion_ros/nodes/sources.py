"""Where frames come from: a webcam, a video file, a folder of images or a single image. No ROS."""
from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from siamese_emotion_ros.bags.reading import is_bag

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

#: Frames per second of a folder or single image, which have no rate of their own, and of a video that does not tell.
STILL_RATE, UNTOLD_RATE = 10.0, 30.0


class SourceError(ValueError):
    """A source that cannot be opened or read; the message says what it was and what to do."""


class Source:
    """Frames, one after the other, until there are no more.

    rate: frames per second of the source itself. live: a camera, which sets the pace and does not end.
    total: number of frames where it is known.
    """

    rate: float = STILL_RATE
    live: bool = False
    total: Optional[int] = None

    def read(self) -> Optional[np.ndarray]:
        """The next frame, uint8 BGR [H, W, 3]; None at the end; SourceError when it should be there and is not."""
        raise NotImplementedError

    def rewind(self) -> None:
        """Begin again with the first frame."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the device or file."""


class Stills(Source):
    """A folder's images in the order of their names (numbers count as numbers), or a single image."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = list(files)
        self._next = 0
        self._shown: Tuple[Any, Optional[np.ndarray]] = (None, None)
        self.total = len(self._files)

    def read(self) -> Optional[np.ndarray]:
        if self._next >= len(self._files):
            return None
        file = self._files[self._next]
        self._next += 1
        # One picture in a loop is decoded anew only when its file has changed: 4.6 ms of 5.8 for a 640x480 PNG.
        version = _version(file)
        if version is not None and version == self._shown[0]:
            return self._shown[1]
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise SourceError(f"{file}: not an image that OpenCV can read: it is left out")
        self._shown = version, image
        return image

    def rewind(self) -> None:
        self._next = 0


class Video(Source):
    """A video file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._capture = cv2.VideoCapture(str(file))
        # OpenCV opens some files that hold no picture, so the first frame decides.
        self._first = self._capture.read()[1] if self._capture.isOpened() else None
        if self._first is None:
            self._capture.release()
            raise SourceError(f"{file}: not a video that OpenCV can read: check that it plays, or convert it to mp4")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0.1 <= rate <= 1000 else UNTOLD_RATE
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total = count if count > 0 else None

    def read(self) -> Optional[np.ndarray]:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return self._capture.read()[1]

    def rewind(self) -> None:
        # Opened anew rather than positioned: seeking to frame 0 is inexact in some containers.
        self._capture.release()
        self._capture = cv2.VideoCapture(str(self._file))
        if not self._capture.isOpened():
            raise SourceError(f"{self._file}: cannot be opened again: was it moved?")

    def close(self) -> None:
        self._capture.release()


class Webcam(Source):
    """A camera of this machine."""

    live = True

    def __init__(self, index: int, rate: float = 0.0, capture: Callable[[int], Any] = cv2.VideoCapture) -> None:
        """`rate` asks the driver for so many frames per second; 0 leaves it alone."""
        self._index = index
        self._capture = capture(index)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"webcam {index} cannot be opened: is it plugged in, and may this user read /dev/video{index}?"
            )
        if rate:
            self._capture.set(cv2.CAP_PROP_FPS, rate)
        told = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = told if 0.1 <= told <= 1000 else UNTOLD_RATE

    def read(self) -> Optional[np.ndarray]:
        ok, frame = self._capture.read()
        if not ok or frame is None:
            raise SourceError(f"webcam {self._index} gives no more frames: was it unplugged?")
        return frame

    def rewind(self) -> None:
        """Nothing: a camera has no beginning."""

    def close(self) -> None:
        self._capture.release()


def webcam_index(source: str) -> Optional[int]:
    """N for a source written `N`, `/dev/videoN` or as a link to that, such as /dev/v4l/by-id/…; None for any other."""
    source = source.strip()
    if source.startswith("/"):
        source = os.path.realpath(source)
    match = re.fullmatch(r"(?:/dev/video)?(\d{1,3})", source)
    return int(match.group(1)) if match else None


def open_source(source: str, rate: float = 0.0) -> Source:
    """The source that a text means: `0`, `/dev/video0`, a video file, an image file or a folder of images.

    `rate` is passed on to a webcam. SourceError says what is wrong.
    """
    index = webcam_index(source)
    if index is not None:
        return Webcam(index, rate)
    if not source.strip():
        raise SourceError("source is empty: set it to a webcam (0), a video file, an image or a folder of images")
    path = Path(source).expanduser()
    if path.is_dir():
        files = image_files(path)
        if not files and is_bag(path):
            raise SourceError(f"{path}: a rosbag2 recording: play it with the node bag_player, as the launch file does")
        if not files:
            raise SourceError(f"{path}: no images in this folder: expected files with {', '.join(IMAGE_SUFFIXES)}")
        return Stills(files)
    if not path.is_file():
        raise SourceError(
            f"{path}: no such file or folder: give a webcam (0), a video, an image, a folder of images or a recording"
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        if cv2.imread(str(path), cv2.IMREAD_COLOR) is None:
            raise SourceError(f"{path}: not an image that OpenCV can read")
        return Stills([path])
    return Video(path)


def _version(file: Path) -> Optional[Tuple[Path, int, int]]:
    """Differs when it is another file or has been written anew; None for one that cannot be looked at."""
    try:
        status = file.stat()
    except OSError:
        return None
    return file, status.st_mtime_ns, status.st_size


def image_files(folder: Path) -> List[Path]:
    """The images of a folder in the order of their names, frame2 before frame10."""
    return sorted(
        (file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES),
        key=lambda file: [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", file.name)],
    )
