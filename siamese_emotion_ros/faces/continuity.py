"""Where a stream of images breaks, so that whoever is seen after need not be who was seen before."""
from __future__ import annotations

from typing import NamedTuple, Optional

#: An image earlier than the one before by no more than this was overtaken on its way; time did not jump [ns].
OVERTAKEN = 300_000_000

#: After so long without an image, whoever stands where somebody stood may be somebody else [ns].
PAUSE = 1_500_000_000


class Break(NamedTuple):
    """A place where a stream does not go on. seconds: from the newest stamp before; negative: time jumped back."""

    seconds: float

    def __str__(self) -> str:
        return "time jumped back" if self.seconds < 0 else f"no image for {self.seconds:.1f} s"


class Continuity:
    """Watches the stamps of a stream: a recording starts again, a camera pauses."""

    def __init__(self) -> None:
        self._newest: Optional[int] = None

    def broken(self, stamp: int) -> Optional[Break]:
        """The break before the image of this stamp (nanoseconds); None where the stream goes on."""
        if self._newest is None:
            self._newest = stamp
        step = stamp - self._newest
        if -OVERTAKEN <= step <= PAUSE:
            self._newest = max(self._newest, stamp)
            return None
        self._newest = stamp
        return Break(step / 1e9)
