"""From a face image to the network's input: grayscale, bicubic resize, scaling."""
from __future__ import annotations

from typing import Sequence, Union

import cv2
import numpy as np

#: N uint8 face images, gray [H, W] or BGR [H, W, 3]: a sequence of any sizes, or one array [N, H, W].
Faces = Union[Sequence[np.ndarray], np.ndarray]

#: How grey values become floats. `unit`: divided by 255. `standardize`: each face to zero mean and unit deviation,
#: so that a dark room and a bright one give the network the same picture.
SCALINGS = ("unit", "standardize")

#: A face flatter than this many grey levels of deviation is not stretched further: it would be amplified noise.
FLATTEST_DEVIATION = 2.0


def to_gray(image: np.ndarray) -> np.ndarray:
    """A uint8 image [H, W], [H, W, 1] or BGR [H, W, 3] as uint8 gray [H, W] (no copy when it is gray already)."""
    if image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"a face is {image.dtype} of shape {image.shape}: expected non-empty uint8 [H, W] or [H, W, 3]"
        )
    if image.ndim == 2:
        return image
    if image.ndim == 3 and image.shape[2] == 1:
        return image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    raise ValueError(f"a face has shape {image.shape}: expected [H, W] gray or [H, W, 3] BGR")


def preprocess(faces: Faces, input_size: int, scaling: str) -> np.ndarray:
    """The network's input for a sequence of uint8 faces of any size.

    Each face becomes gray, `input_size` square by bicubic interpolation (as in the paper), and is scaled as SCALINGS
    says. Returns float32 [N, 1, input_size, input_size].
    """
    if scaling not in SCALINGS:
        raise ValueError(f"unknown scaling {scaling!r}: expected one of {', '.join(SCALINGS)}")
    out = np.empty((len(faces), 1, input_size, input_size), np.float32)
    for row, face in enumerate(faces):
        _scale(resize(to_gray(face), input_size), scaling, out[row, 0])
    return out


def resize(gray: np.ndarray, size: int) -> np.ndarray:
    """A uint8 gray face [H, W] as [size, size], bicubic (no copy when it is that size already)."""
    if gray.shape == (size, size):
        return gray
    # Bicubic looks at 4x4 source pixels only: shrinking by two or more would skip the rest and alias, so a large face
    # is first averaged down to less than twice the size. From one frame of a video to the next, embeddings move a
    # quarter less for it.
    while min(gray.shape) >= 2 * size:
        gray = cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(gray, (size, size), interpolation=cv2.INTER_CUBIC)


def _scale(gray: np.ndarray, scaling: str, out: np.ndarray) -> None:
    if scaling == "unit":
        np.multiply(gray, np.float32(1 / 255), out=out)
        return
    mean, deviation = cv2.meanStdDev(gray)
    np.subtract(gray, np.float32(mean[0, 0]), out=out)
    out *= np.float32(1.0 / max(deviation[0, 0], FLATTEST_DEVIATION))
