"""What gallery commands have in common about calibration: its option --known-share, and whether a gallery has it."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siamese_emotion_ros.recognition.gallery import Gallery


def check_known_share(share: float) -> None:
    """ValueError for a --known-share that is not between 0 and 1."""
    if not 0 < share < 1:
        raise ValueError(f"--known-share is {share}: expected a share between 0 and 1, such as 0.95")


def is_calibrated(gallery: Gallery) -> bool:
    """Whether the gallery's confidence is calibrated, and not the raw share of the vote."""
    return (gallery.sharpness, gallery.doubt) != (1, 0)
