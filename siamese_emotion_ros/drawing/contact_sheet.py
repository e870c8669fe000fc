"""Many pictures on one: a grid of equal cells, each with its caption, to be taken in at a glance."""
from __future__ import annotations

from typing import Optional, Sequence

import cv2
import numpy as np

from .palette import Color
from .text import draw_text, fitted

_BACKGROUND: Color = (250, 248, 246)
_CELL: Color = (232, 229, 226)
_TEXT: Color = (60, 52, 46)


def contact_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int = 6,
    cell_width: int = 192,
    colors: Optional[Sequence[Color]] = None,
) -> np.ndarray:
    """A picture of all `images` in rows of `columns`, uint8 [H, W, 3] BGR.

    images: uint8 [h, w, 3] BGR or [h, w] gray, of any size; each keeps its proportions. Cells are
    `cell_width` pixels wide and as high as most of the images ask for (the median of their proportions).
    captions: one for each image, cut short where it is too long, empty for none. colors: a strip of colour
    over each caption, such as its emotion's. Raises ValueError where there is no image, where the counts
    differ, and for what is not an image.
    """
    if len(images) == 0:
        raise ValueError("a contact sheet needs at least one image")
    if len(captions) != len(images) or (colors is not None and len(colors) != len(images)):
        raise ValueError(f"{len(images)} images, {len(captions)} captions"
                         + ("" if colors is None else f", {len(colors)} colors") + ": expected one for each image")
    if columns < 1 or not 32 <= cell_width <= 2048:
        raise ValueError(f"{columns} columns of {cell_width} pixels: expected 1 or more of 32 to 2048 pixels")
    for index, image in enumerate(images):
        _check_image(image, index)
    tall = float(np.median([image.shape[0] / image.shape[1] for image in images]))
    cell_height = round(cell_width * min(max(tall, 0.4), 2.0))
    text = max(11, round(cell_width / 13))
    gap = max(4, cell_width // 20)
    caption_height = text + gap
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.empty((
        rows * (cell_height + caption_height + gap) + gap, columns * (cell_width + gap) + gap, 3,
    ), np.uint8)
    sheet[:] = _BACKGROUND
    for index, (image, caption) in enumerate(zip(images, captions)):
        row, column = divmod(index, columns)
        left = gap + column * (cell_width + gap)
        top = gap + row * (cell_height + caption_height + gap)
        _place(sheet[top : top + cell_height, left : left + cell_width], image)
        if colors is not None:
            sheet[top + cell_height : top + cell_height + max(2, gap // 3), left : left + cell_width] = colors[index]
        draw_text(sheet, fitted(caption, text, cell_width), left, top + cell_height + gap // 2, text, _TEXT)
    return sheet


def _check_image(image: np.ndarray, index: int) -> None:
    if not (
        isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size > 0
        and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
    ):
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"image {index} of the contact sheet is {what}: expected uint8 [h, w, 3] BGR or [h, w] gray")


def _place(cell: np.ndarray, image: np.ndarray) -> None:
    """Fit `image` into `cell`, centred."""
    cell[:] = _CELL
    scale = min(cell.shape[1] / image.shape[1], cell.shape[0] / image.shape[0])
    width = min(cell.shape[1], max(1, round(image.shape[1] * scale)))
    height = min(cell.shape[0], max(1, round(image.shape[0] * scale)))
    fitted_image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if fitted_image.ndim == 2:
        fitted_image = cv2.cvtColor(fitted_image, cv2.COLOR_GRAY2BGR)
    left, top = (cell.shape[1] - width) // 2, (cell.shape[0] - height) // 2
    cell[top : top + height, left : left + width] = fitted_image
