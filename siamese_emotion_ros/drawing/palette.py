"""One colour per emotion, the same in every picture."""
from __future__ import annotations

import zlib
from typing import Dict, Tuple

#: Blue, green, red, each 0..255.
Color = Tuple[int, int, int]

WHITE: Color = (255, 255, 255)
INK: Color = (28, 24, 20)
PANEL: Color = (34, 28, 24)
TRACK: Color = (104, 94, 86)

EMOTION_COLORS: Dict[str, Color] = {
    "anger": (80, 76, 240),
    "contempt": (110, 140, 190),
    "disgust": (96, 176, 112),
    "fear": (220, 120, 168),
    "happiness": (64, 204, 255),
    "neutral": (208, 196, 184),
    "sadness": (236, 148, 78),
    "surprise": (200, 208, 64),
    "unknown": (150, 144, 140),
}


def color_of(label: str) -> Color:
    """The colour of an emotion; a label that is not one of them gets a colour of its own, always the same."""
    if label in EMOTION_COLORS:
        return EMOTION_COLORS[label]
    digest = zlib.crc32(label.encode("utf-8"))
    return (96 + digest % 160, 96 + (digest >> 8) % 160, 96 + (digest >> 16) % 160)


def hex_color(label: str) -> str:
    """The colour of an emotion as `#rrggbb`, as HTML, terminals and matplotlib take it."""
    blue, green, red = color_of(label)
    return f"#{red:02x}{green:02x}{blue:02x}"


def ink_on(color: Color) -> Color:
    """Dark or white, whichever is read more easily on `color` (luma after ITU-R BT.601)."""
    blue, green, red = color
    return INK if 0.114 * blue + 0.587 * green + 0.299 * red > 128 else WHITE
