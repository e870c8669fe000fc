"""Draws recognised faces over a frame: a frame round the face, its label, and a bar for every class."""
from __future__ import annotations

from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from .palette import PANEL, TRACK, WHITE, Color, color_of, ink_on
from .text import draw_text, fitted, text_width

#: Where a box ends that reaches further, as it may in anybody's message: OpenCV takes 32 bits [pixels].
FAR = 1 << 20


@dataclass(frozen=True)
class EmotionMark:
    """What is drawn for one face.

    roi: left, top, width, height in pixels of the frame. confidence and scores: 0..1; scores belong to
    `classes` and may both be empty, then no bars are drawn. face_id: None where there is none to show.
    """

    roi: Tuple[int, int, int, int]
    label: str
    confidence: float
    face_id: Optional[int] = None
    classes: Sequence[str] = ()
    scores: Sequence[float] = ()

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.scores):
            raise ValueError(f"{len(self.scores)} scores for {len(self.classes)} classes: expected one for each")


class _Rect(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int

    def shared_with(self, other: _Rect) -> int:
        """The area that both cover, in square pixels."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        tall = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0) * max(tall, 0)

    def inside(self, width: int, height: int) -> bool:
        return self.left >= 0 and self.top >= 0 and self.right <= width and self.bottom <= height


class _Sizes(NamedTuple):
    """Everything that grows with the frame, in pixels."""

    text: int
    line: int
    gap: int
    bar: int

    @classmethod
    def for_frame(cls, width: int, height: int) -> _Sizes:
        # A portrait frame is looked at as tall as a landscape one is wide, so its text follows the mean of
        # both.
        reference = min(width, (width + height) * 16 / 25)
        text = max(10, round(7 + reference / 76))
        return cls(text=text, line=max(1, round(text / 8)), gap=max(2, round(text / 3)), bar=max(28, round(text * 3.6)))


def draw_emotions(frame: np.ndarray, marks: Sequence[EmotionMark]) -> None:
    """Draw `marks` over `frame`, uint8 [H, W, 3] BGR, in place.

    Line widths and text grow with the frame. Bars stand beside a face, where they hide neither another face
    nor other bars; a face in a crowd that leaves no such place has only its label. Raises ValueError for
    another kind of frame.
    """
    if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
        raise ValueError("cannot draw on this: expected a uint8 BGR frame [H, W, 3]")
    height, width = frame.shape[:2]
    sizes = _Sizes.for_frame(width, height)
    # The largest face is the nearest: it chooses first where its label and bars stand.
    nearest_first = sorted(marks, key=lambda mark: -mark.roi[2] * mark.roi[3])
    faces = [_face_rect(mark) for mark in nearest_first]
    labels: List[_Rect] = []
    for mark, face in zip(nearest_first, faces):
        others = [other for other in faces if other is not face]
        labels.append(_label_place(mark, face, others, labels, sizes, width, height))
    taken = [*labels, *faces]
    for mark, face in zip(nearest_first, faces):
        _draw_corners(frame, face, color_of(mark.label), sizes)
    for mark, face in zip(nearest_first, faces):
        panel = _panel_place(mark, face, taken, sizes, width, height)
        if panel is not None:
            taken.append(panel)
            _draw_panel(frame, mark, panel, sizes)
    for mark, label in zip(nearest_first, labels):
        _draw_label(frame, mark, label, sizes)


def _face_rect(mark: EmotionMark) -> _Rect:
    left, top, width, height = (min(max(number, -FAR), FAR) for number in mark.roi)
    return _Rect(left, top, left + width, top + height)


def _caption(mark: EmotionMark) -> str:
    return f"{mark.label} {100 * mark.confidence:.0f}%"


def _number(mark: EmotionMark) -> str:
    return "" if mark.face_id is None else f"{mark.face_id}"


def _label_place(
    mark: EmotionMark,
    face: _Rect,
    other_faces: Sequence[_Rect],
    labels: Sequence[_Rect],
    sizes: _Sizes,
    width: int,
    height: int,
) -> _Rect:
    """Above the face, else below or inside its top: where it hides least of other faces and labels; in the frame."""
    wide = text_width(_caption(mark), sizes.text) + 2 * sizes.gap
    if _number(mark):
        wide += text_width(_number(mark), sizes.text) + 2 * sizes.gap
    wide = min(wide, width)
    tall = min(sizes.text + 2 * (sizes.gap // 2), height)
    places = []
    for top in (face.top - tall - sizes.line, face.bottom + sizes.line, face.top + sizes.line):
        for left in (face.left, face.right - wide):
            kept_left, kept_top = min(max(left, 0), width - wide), min(max(top, 0), height - tall)
            places.append(_Rect(kept_left, kept_top, kept_left + wide, kept_top + tall))

    def hidden(place: _Rect) -> float:
        # Two labels over each other can both not be read; the upper edge of its own face is easier spared.
        return (
            4 * sum(place.shared_with(label) for label in labels)
            + 2 * sum(place.shared_with(other) for other in other_faces)
            + place.shared_with(face)
        )

    return min(places, key=hidden)


def _panel_place(
    mark: EmotionMark, face: _Rect, taken: Sequence[_Rect], sizes: _Sizes, width: int, height: int,
) -> Optional[_Rect]:
    """Right or left of the face, or under or over it; None where every such place is outside or taken."""
    if not mark.classes:
        return None
    wide = _names_width(mark, sizes) + sizes.bar + 3 * sizes.gap + 2 * sizes.line
    tall = len(mark.classes) * (sizes.text + sizes.line) + 2 * sizes.gap
    away = sizes.gap + 2 * sizes.line
    label_tall = sizes.text + 2 * sizes.gap
    beside_top = min(max(face.top, 0), max(height - tall, 0))
    above_left = min(max(face.left, 0), max(width - wide, 0))
    for left, top in (
        (face.right + away, beside_top),
        (face.left - away - wide, beside_top),
        (above_left, face.bottom + away),
        (above_left, face.bottom + away + label_tall),
        (above_left, face.top - away - label_tall - tall),
    ):
        place = _Rect(left, top, left + wide, top + tall)
        if place.inside(width, height) and not any(place.shared_with(other) for other in taken):
            return place
    return None


def _names_width(mark: EmotionMark, sizes: _Sizes) -> int:
    return max(text_width(name, sizes.text) for name in mark.classes)


def _draw_corners(frame: np.ndarray, face: _Rect, color: Color, sizes: _Sizes) -> None:
    """Four corners, thick, over a dark edge that keeps them visible on any background."""
    arm = max(2 * sizes.line, min(face.right - face.left, face.bottom - face.top) // 5)
    corners = [
        np.array([(x, y + arm * down), (x, y), (x + arm * along, y)], np.int32)
        for x, along in ((face.left, 1), (face.right - 1, -1))
        for y, down in ((face.top, 1), (face.bottom - 1, -1))
    ]
    for thickness, shade in ((2 * sizes.line + 2, PANEL), (2 * sizes.line, color)):
        cv2.polylines(frame, corners, False, shade, thickness, cv2.LINE_AA)


def _draw_label(frame: np.ndarray, mark: EmotionMark, place: _Rect, sizes: _Sizes) -> None:
    """The id on dark and the label on the emotion's colour."""
    color = color_of(mark.label)
    text_top = place.top + sizes.gap // 2
    left = place.left
    if _number(mark):
        chip = min(text_width(_number(mark), sizes.text) + 2 * sizes.gap, place.right - left)
        frame[place.top : place.bottom, left : left + chip] = PANEL
        draw_text(frame, fitted(_number(mark), sizes.text, chip), left + sizes.gap, text_top, sizes.text, WHITE)
        left += chip
    frame[place.top : place.bottom, left : place.right] = color
    caption = fitted(_caption(mark), sizes.text, place.right - left - 2 * sizes.gap)
    draw_text(frame, caption, left + sizes.gap, text_top, sizes.text, ink_on(color))


def _draw_panel(frame: np.ndarray, mark: EmotionMark, place: _Rect, sizes: _Sizes) -> None:
    """A dark, translucent panel with a name and a bar for each class; the winner's name is white.

    The stripe at its left has the label's colour and says whose panel it is.
    """
    area = frame[place.top : place.bottom, place.left : place.right]
    cv2.addWeighted(area, 0.22, np.full_like(area, PANEL), 0.78, 0, dst=area)
    area[:, : 2 * sizes.line] = color_of(mark.label)
    names_left = place.left + 2 * sizes.line + sizes.gap
    bars_left = names_left + _names_width(mark, sizes) + sizes.gap
    row = sizes.text + sizes.line
    thick = max(2, sizes.text // 3)
    for index, (name, score) in enumerate(zip(mark.classes, mark.scores)):
        top = place.top + sizes.gap + index * row
        middle = top + sizes.text // 2
        winner = name == mark.label
        draw_text(frame, name, names_left, top, sizes.text, WHITE if winner else (200, 194, 188))
        bar_top = middle - thick // 2
        frame[bar_top : bar_top + thick, bars_left : bars_left + sizes.bar] = TRACK
        filled = round(sizes.bar * min(max(float(score), 0.0), 1.0)) if np.isfinite(score) else 0
        frame[bar_top : bar_top + thick, bars_left : bars_left + filled] = color_of(name)
