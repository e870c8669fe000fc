"""Image files to arrays, refusing the half-written ones that older OpenCV releases fill up with gray."""
from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import List

import cv2
import numpy as np

from ..faces.cropping import MAX_CROP_SIDE
from ..faces.image_messages import ImageError as FrameError
from ..faces.image_messages import check_size, checked

EXTENSIONS = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp"})


class ImageError(ValueError):
    """An image file that cannot be used; the message is the reason alone, without the file's name."""


def image_files(folder: Path) -> List[Path]:
    """Every image below `folder`, sorted by path; hidden files (such as macOS's ._ copies) are no images."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files
                  if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def read_bgr(path: Path) -> np.ndarray:
    """The whole picture in `path`, uint8 [H, W, 3] BGR; ImageError when it is empty, cut off, too large or no image."""
    try:
        # Not by reading: a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError("is no file, but a folder, a pipe or a device")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be opened: {error.strerror}") from error
    if not data:
        raise ImageError("is empty")
    try:
        checked(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is not None:  # TIFF and the like, too
            check_size(image.shape[1], image.shape[0])
    except FrameError as error:
        raise ImageError(f"cannot be used: {error}") from error
    except cv2.error as error:
        raise ImageError(f"cannot be decoded: {error.err}") from error
    if image is None:
        raise ImageError("is not an image that OpenCV can decode")
    return image


def read_face(path: Path) -> np.ndarray:
    """The face crop in `path`, gray uint8 [h, w], reduced to the size that the robot sends (128)."""
    # Decoding to BGR first gives the same gray as the robot's frames; libjpeg's own gray differs by rounding.
    return shrunk(cv2.cvtColor(read_bgr(path), cv2.COLOR_BGR2GRAY), MAX_CROP_SIDE)


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """`image`, uint8 [H, W], reduced by area averaging until its longer side is at most `side` pixels.

    A smaller image is returned as it is.
    """
    scale = side / max(image.shape)
    if scale >= 1:
        return image
    width, height = (max(1, round(length * scale)) for length in image.shape[::-1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
