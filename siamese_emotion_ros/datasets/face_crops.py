"""Faces out of whole pictures, cropped as the robot crops them, so that training sees what the robot sees."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional

import numpy as np

from ..faces.detectors import make_detector
from ..faces.finder import FaceFinder
from .images import ImageError, read_bgr

#: From a picture, uint8 [H, W, 3] BGR, to its face, gray uint8 [h, w]; None where there is none.
Cropper = Callable[[np.ndarray], Optional[np.ndarray]]


def deployed_cropper() -> Cropper:
    """The largest face as the robot crops it by default; DetectorError (a ValueError) where no detector is present."""
    return largest_face(FaceFinder(make_detector("auto")))


def largest_face(finder: FaceFinder) -> Cropper:
    """A cropper that takes the largest of the faces that `finder` sees in a picture."""

    def crop(picture: np.ndarray) -> Optional[np.ndarray]:
        finder.reset()  # pictures are not a video: nobody is followed from one to the next
        faces = finder.find(picture)
        if not faces:
            return None
        return max(faces, key=lambda face: face.roi.width * face.roi.height).crop

    return crop


def crop_file(cropper: Cropper) -> Callable[[Path], np.ndarray]:
    """A function that reads an image file and returns its face, or raises ImageError where none is found."""

    def read(path: Path) -> np.ndarray:
        return face_in(read_bgr(path), cropper)

    return read


def face_in(picture: np.ndarray, cropper: Cropper) -> np.ndarray:
    """The face, gray uint8 [h, w], that `cropper` finds in `picture`, uint8 [H, W, 3] BGR.

    ImageError where it finds none, or where the picture is too large to search.
    """
    try:
        face = cropper(picture)
    except ValueError as error:
        raise ImageError(str(error)) from error
    if face is None:
        raise ImageError("no face was found in it")
    return face
