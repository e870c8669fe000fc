"""Writes frames as a video, and sees to it that the file plays."""
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Tuple

import cv2
import numpy as np

#: H.264 plays in browsers and most players; OpenCV's own builds often lack an encoder for it.
CODECS = ("avc1", "mp4v")


class RecordingError(ValueError):
    """A recording that cannot be written; the message says what to do."""


class VideoWriter:
    """An mp4 file, with the best codec that OpenCV has here."""

    def __init__(self, path: Path, rate: float, size: Tuple[int, int]) -> None:
        """`size`: width and height. RecordingError when no codec works."""
        self._size = size
        self._path = path
        for codec in CODECS:
            self._writer = _quietly_open(self._path, codec, rate, size)
            if self._writer.isOpened():
                return
        raise RecordingError(f"{self._path} cannot be written: is the folder writable, has OpenCV FFmpeg?")

    def write(self, frame: np.ndarray) -> None:
        """One more frame; another size than the first one's is fitted into it."""
        if (frame.shape[1], frame.shape[0]) != self._size:
            frame = _fit(frame, self._size)
        self._writer.write(frame)

    def release(self) -> None:
        """Give the file up as it is."""
        self._writer.release()

    def close(self) -> Path:
        """The finished file, which has been opened to see that it plays; RecordingError when it does not."""
        self._writer.release()
        if not cv2.VideoCapture(str(self._path)).read()[0]:
            raise RecordingError(f"{self._path} was written and cannot be read: is the disk full?")
        return self._path


def _fit(frame: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    scale = min(size[0] / frame.shape[1], size[1] / frame.shape[0])
    width, height = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return canvas


def _quietly_open(path: Path, codec: str, rate: float, size: Tuple[int, int]) -> cv2.VideoWriter:
    """A writer, opened or not; FFmpeg's remarks on codecs that it lacks are kept off the terminal."""
    fourcc = cv2.VideoWriter_fourcc(*codec)  # type: ignore[attr-defined]
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        return cv2.VideoWriter(str(path), fourcc, rate, size)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
