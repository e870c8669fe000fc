"""Boxes of faces, and the one square round a face that every detector's box is turned into.

The network learns from FER-2013, whose faces fill their 48x48 square from forehead to chin, so a crop is only
as good as its square agrees with theirs. Detectors disagree: libfacedetection and YuNet draw tall boxes, Haar's
frontal cascade draws squares a seventh smaller than those are tall. `FACE_SQUARE` holds what turns each of them
into the FER-2013 square.
"""
from __future__ import annotations

from typing import Dict, NamedTuple


class Roi(NamedTuple):
    """A rectangle of whole pixels inside its frame: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


class Box(NamedTuple):
    """A rectangle in pixels, not bound to whole ones and free to reach outside its frame: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center_x(self) -> float:
        return self.x + self.width / 2

    @property
    def center_y(self) -> float:
        return self.y + self.height / 2

    @property
    def area(self) -> float:
        return self.width * self.height


class SquareRule(NamedTuple):
    """How a detector's box becomes the face square, in units of the box's longer side.

    `size` is the square's side; `down` how far its centre lies below the box's centre (negative: above).
    """

    size: float
    down: float


#: From each detector's own box to the face square. Chosen on, and measured on, the same pictures of few people: a
#: woman's clip (59 frames), a man's (12 frames) and the 12 faces of 8 stills (Haar: 10). The medians of
#: libfacedetection's landmarks, in sides of the square: eye distance, eyes' and mouth's height, eyes to mouth.
#:   FER-2013 (1,401 squares)    0.36              0.39              0.76              0.38
#:   libfacedetection            0.38 0.34 0.40    0.40 0.39 0.38    0.77 0.75 0.77    0.36 0.36 0.40
#:   YuNet                       0.38 0.33 0.40    0.40 0.38 0.37    0.76 0.74 0.76    0.36 0.36 0.39
#:   Haar                        0.39 0.35 0.36    0.40 0.40 0.38    0.77 0.78 0.74    0.37 0.38 0.37
#: Eyes to mouth in their own boxes instead: 0.33 0.33 0.37 (both networks), 0.38 0.39 0.38 (Haar).
FACE_SQUARE: Dict[str, SquareRule] = {
    "libfacedetection": SquareRule(size=0.92, down=-0.02),
    "yunet": SquareRule(size=0.92, down=-0.02),
    "haar": SquareRule(size=1.03, down=0.01),
}


def face_square(box: Box, rule: SquareRule) -> Box:
    """The face square of a detector's `box`: all that follows (crop, roi, tracker) works on squares alone."""
    longer = max(box.width, box.height)
    side = longer * rule.size
    return Box(box.center_x - side / 2, box.center_y + longer * rule.down - side / 2, side, side)


def intersection(a: Box, b: Box) -> float:
    """The area that two boxes share, in square pixels."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(0.0, width) * max(0.0, height)


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0 (apart) to 1 (the same box)."""
    shared = intersection(a, b)
    union = a.area + b.area - shared
    return shared / union if union > 0 else 0.0


def roi_in_frame(box: Box, frame_width: int, frame_height: int) -> Roi:
    """The part of `box` inside the frame, rounded to whole pixels; at least one pixel of the frame's nearest edge."""
    left = min(max(round(box.x), 0), frame_width - 1)
    top = min(max(round(box.y), 0), frame_height - 1)
    right = min(max(round(box.x + box.width), left + 1), frame_width)
    bottom = min(max(round(box.y + box.height), top + 1), frame_height)
    return Roi(left, top, right - left, bottom - top)
