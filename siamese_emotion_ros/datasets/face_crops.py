"""Faces out of whole pictures, cropped as the robot crops them, so that training sees what the robot sees."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional

import numpy as np

from .images import ImageError, read_bgr

#: From a picture, uint8 [H, W, 3] BGR, to its face, gray uint8 [h, w]; None where there is none.
Cropper = Callable[[np.ndarray], Optional[np.ndarray]]


def crop_file(cropper: Cropper) -> Callable[[Path], np.ndarray]:
    """A function that reads an image file and returns its face, or raises ImageError where none is found."""

    def read(path: Path) -> np.ndarray:
        face = cropper(read_bgr(path))
        if face is None:
            raise ImageError("no face was found in it")
        return face

    return read


def deployed_cropper(detector: str = "auto") -> Cropper:
    """The robot's detector, margin and crop; of several faces in a picture the largest."""
    from ..faces.cropping import crop_square
    from ..faces.detectors import make_detector

    raise NotImplementedError((crop_square, make_detector))
