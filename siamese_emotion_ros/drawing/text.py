"""Smooth text of any size, cut off at the picture's edge and never wider than asked."""
from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .palette import Color

_FONT = cv2.FONT_HERSHEY_DUPLEX

#: Text is drawn this many times larger and averaged down: OpenCV's own anti-aliasing leaves small strokes
#: ragged.
_OVERSAMPLING = 4

#: No more letters of a text are drawn: whoever sends a label of a megabyte gets no picture of that size.
LONGEST = 100

#: Height of the font's capitals at scale 1, in pixels.
_CAPITALS = 22


@lru_cache(maxsize=512)
def text_mask(text: str, height: int) -> np.ndarray:
    """The coverage of `text`, uint8 [height, w], 0..255; `height` is a line's, from the ascenders to the descenders."""
    text = text[:LONGEST]
    scale = 0.53 * height * _OVERSAMPLING / _CAPITALS
    # Strokes of less than about a pixel fade away, so small text is drawn bolder than it would be by scaling.
    thickness = max(3, round(scale * 1.15))
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    canvas = np.zeros((height * _OVERSAMPLING, width + 2 * thickness), np.uint8)
    baseline = round(0.69 * height * _OVERSAMPLING)
    cv2.putText(canvas, text, (thickness, baseline), _FONT, scale, 255, thickness, cv2.LINE_AA)
    mask = cv2.resize(
        canvas, (max(1, round(canvas.shape[1] / _OVERSAMPLING)), height), interpolation=cv2.INTER_AREA,
    )
    mask.flags.writeable = False
    return mask


def text_width(text: str, height: int) -> int:
    """How many pixels wide `text` is at a line height."""
    return text_mask(text, height).shape[1]


def fitted(text: str, height: int, width: int) -> str:
    """`text`, or as much of it as fits into `width` pixels with two dots at its end; empty where not even they fit."""
    if len(text) <= LONGEST and text_width(text, height) <= width:
        return text
    for length in range(min(len(text), LONGEST) - 1, -1, -1):
        shortened = text[:length].rstrip() + ".."
        if text_width(shortened, height) <= width:
            return shortened
    return ""


def draw_text(image: np.ndarray, text: str, x: int, y: int, height: int, color: Color) -> None:
    """Blend `text` into a BGR image, in place; (x, y) is the line's upper left corner."""
    mask = text_mask(text, height)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + mask.shape[1], image.shape[1]), min(y + height, image.shape[0])
    if right <= left or bottom <= top:
        return
    coverage = mask[top - y : bottom - y, left - x : right - x, None].astype(np.float32) / 255.0
    place = image[top:bottom, left:right]
    place[:] = np.round(place + (np.array(color, np.float32) - place) * coverage)
