"""What commands have in common about calibration: the option --known-share, and what a gallery's confidence is."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siamese_emotion_ros.recognition.gallery import Gallery


#: Sharpness and doubt with which confidence is the raw share of the vote.
RAW = (1, 0)


def check_known_share(share: float) -> None:
    """ValueError for a --known-share that is not between 0 and 1."""
    if not 0 < share < 1:
        raise ValueError(f"--known-share is {share}: expected a share between 0 and 1, such as 0.95")


def is_calibrated(gallery: Gallery) -> bool:
    """Whether the gallery's confidence is calibrated, and not the raw share of the vote."""
    return (gallery.sharpness, gallery.doubt) != RAW


def confidence_text(sharpness: float, doubt: float) -> str:
    """What the confidence of a gallery with this sharpness and doubt is."""
    if (sharpness, doubt) == RAW:
        return "raw vote share"
    return f"calibrated (sharpness {sharpness:.3g}, doubt {doubt:.3g})"
