"""The gray square that the network sees, cut from the full frame: the same cut for training data and for the robot."""
from __future__ import annotations

import math

import cv2
import numpy as np

from .geometry import Box

#: The longer side of a crop, in pixels: more than any network input here, little enough to travel in a
#: message.
MAX_CROP_SIDE = 128

#: Widest frame side that is worked on: 8K video; anything wider is taken for a broken header.
MAX_FRAME_SIDE = 8192


def check_frame(frame: np.ndarray) -> None:
    """Raise ValueError unless `frame` is uint8 [H, W, 3] (BGR) or [H, W] (gray), of 1 to 8192 pixels a side."""
    if not isinstance(frame, np.ndarray):
        raise ValueError(f"the frame is a {type(frame).__name__}: expected a numpy array, uint8 [H, W, 3] or [H, W]")
    if frame.dtype != np.uint8:
        raise ValueError(f"the frame's dtype is {frame.dtype}: expected uint8; scale other depths to 0..255 first")
    if frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] != 3):
        raise ValueError(f"the frame's shape is {frame.shape}: expected [H, W, 3] (BGR) or [H, W] (gray)")
    height, width = frame.shape[:2]
    if height == 0 or width == 0:
        raise ValueError(f"the frame is empty ({width}x{height} pixels): expected at least one pixel")
    if max(height, width) > MAX_FRAME_SIDE:
        raise ValueError(f"the frame is {width}x{height} pixels: expected at most {MAX_FRAME_SIDE} a side")


def crop_square(
    frame: np.ndarray, box: Box, margin: float = 0.0, max_side: int = MAX_CROP_SIDE, rgb: bool = False
) -> np.ndarray:
    """Cut the square round `box`'s centre out of `frame`, gray.

    frame: uint8 [H, W, 3] BGR or [H, W] gray. box: left, top, width, height in frame pixels; what lies
    outside the frame is filled with the frame's edge pixels. margin: added on each side, as a fraction of the
    box's longer side. Returns uint8 [s, s] that shares no memory with the frame: native resolution, or
    `max_side` by area averaging where the square is larger. Only the cut is converted to gray, never the
    frame. rgb: the order of the frame's colours is RGB. Raises ValueError for a box that is not finite, has
    no area, or does not touch the frame, and for a negative margin.
    """
    height, width = frame.shape[:2]
    box = Box(*(float(number) for number in box))
    if not all(math.isfinite(number) for number in box) or box.width <= 0 or box.height <= 0:
        raise ValueError(f"cannot crop {tuple(box)}: expected a finite left, top and positive width, height")
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"the margin is {margin}: expected a fraction of the face's side, 0 or more")
    if max_side < 1:
        raise ValueError(f"the crop's largest side is {max_side}: expected at least 1 pixel")
    side = max(1, round(max(box.width, box.height) * (1 + 2 * margin)))
    left = round(box.center_x - side / 2)
    top = round(box.center_y - side / 2)
    inside = frame[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if inside.size == 0:
        raise ValueError(f"the square at ({left}, {top}), {side} pixels wide, lies outside the {width}x{height} frame")
    gray = cv2.cvtColor(inside, cv2.COLOR_RGB2GRAY if rgb else cv2.COLOR_BGR2GRAY) if inside.ndim == 3 else inside
    shrink = min(1.0, max_side / side)
    if shrink < 1.0:
        # Shrink first and pad afterwards: a face far larger than the crop then costs no far larger border.
        inside_width = max(1, round(gray.shape[1] * shrink))
        inside_height = max(1, round(gray.shape[0] * shrink))
        gray = cv2.resize(gray, (inside_width, inside_height), interpolation=cv2.INTER_AREA)
    crop_side = min(side, max_side)
    before_x = min(round(max(-left, 0) * shrink), crop_side - gray.shape[1])
    before_y = min(round(max(-top, 0) * shrink), crop_side - gray.shape[0])
    after_x = crop_side - gray.shape[1] - before_x
    after_y = crop_side - gray.shape[0] - before_y
    if before_x or before_y or after_x or after_y:
        return cv2.copyMakeBorder(gray, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE)
    return gray.copy() if gray is inside else gray


def fit_on_black(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """`image`, uint8 [H, W] or [H, W, 3], scaled to fit and centred on black: uint8, `height` by `width`, likewise.

    What REP-155 (ROS4HRI) asks of its topic `cropped`. ValueError for an empty image or size.
    """
    check_frame(image)
    if width < 1 or height < 1:
        raise ValueError(f"the size is {width}x{height}: expected at least one pixel")
    scale = min(width / image.shape[1], height / image.shape[0])
    inner_width = min(width, max(1, round(image.shape[1] * scale)))
    inner_height = min(height, max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    before_x, before_y = (width - inner_width) // 2, (height - inner_height) // 2
    return cv2.copyMakeBorder(
        cv2.resize(image, (inner_width, inner_height), interpolation=method),
        before_y, height - inner_height - before_y, before_x, width - inner_width - before_x,
        cv2.BORDER_CONSTANT, value=0,
    )
