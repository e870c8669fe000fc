"""Which face is which: ids that follow faces from frame to frame and survive a few frames in which a face is missed."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

from .geometry import Box, iou

#: How far from where a face is awaited it may appear, in face sides; each missed frame adds the second
#: figure.
REACH = 0.8
REACH_PER_MISSED_FRAME = 0.1

#: A face may grow or shrink by this factor between two sightings: a head that nods, another detector's box.
SIZE_RATIO = 2.0

#: Frames in a row that a face may be missed and still come back under its id.
MAX_MISSED = 5

#: Share of the newest step in a face's velocity; the rest is history, which evens out the jitter of the boxes.
VELOCITY_GAIN = 0.4


@dataclass
class _Track:
    box: Box
    velocity: Tuple[float, float] = (0.0, 0.0)
    missed: int = 0

    def awaited(self) -> Box:
        """The box where this face is looked for now: onward by its velocity for every frame since it was seen."""
        steps = self.missed + 1
        return Box(self.box.x + self.velocity[0] * steps, self.box.y + self.velocity[1] * steps, *self.box[2:])

    def see(self, box: Box) -> None:
        steps = self.missed + 1
        step_x = (box.center_x - self.box.center_x) / steps
        step_y = (box.center_y - self.box.center_y) / steps
        self.velocity = (
            self.velocity[0] + VELOCITY_GAIN * (step_x - self.velocity[0]),
            self.velocity[1] + VELOCITY_GAIN * (step_y - self.velocity[1]),
        )
        self.box = box
        self.missed = 0


class FaceTracker:
    """Gives every face box of a frame an id: 1, 2, … in the order of appearance, never given twice.

    Faces keep their velocity, so two people who cross keep their ids. A face is awaited where its motion
    leads; boxes within reach of it and of its size are candidates, and the pairs with most overlap and least
    distance are joined first, greedily: no total of costs is minimised. Deterministic: the same boxes in the same
    order give the same ids.
    """

    def __init__(self, max_missed: int = MAX_MISSED) -> None:
        """max_missed: frames in a row that a face may be missed and still come back under its id."""
        if max_missed < 0:
            raise ValueError(f"max_missed is {max_missed}: expected 0 or more frames")
        self.max_missed = max_missed
        self._tracks: Dict[int, _Track] = {}
        self._next_id = 1

    def update(self, boxes: Sequence[Box]) -> List[int]:
        """The ids of one frame's `boxes`, in their order; call it for every frame, with an empty list where none is."""
        ids = [0] * len(boxes)
        for _, face_id, index in sorted(self._candidates(boxes)):
            if ids[index] == 0 and face_id not in ids:
                ids[index] = face_id
        for face_id in [known for known in self._tracks if known not in ids]:
            self._tracks[face_id].missed += 1
            if self._tracks[face_id].missed > self.max_missed:
                del self._tracks[face_id]
        for index, box in enumerate(boxes):
            if ids[index] == 0:
                ids[index] = self._next_id
                self._tracks[self._next_id] = _Track(box)
                self._next_id += 1
            else:
                self._tracks[ids[index]].see(box)
        return ids

    def reset(self) -> None:
        """Forget every face, as after a jump in time; ids go on counting, so that none means two people."""
        self._tracks.clear()

    def _candidates(self, boxes: Sequence[Box]) -> List[Tuple[float, int, int]]:
        """(cost, face id, index of box) of every pair that may be the same face."""
        pairs = []
        for face_id, track in self._tracks.items():
            awaited = track.awaited()
            reach = REACH + REACH_PER_MISSED_FRAME * track.missed
            for index, box in enumerate(boxes):
                side = math.sqrt(math.sqrt(awaited.area * box.area))
                distance = math.hypot(box.center_x - awaited.center_x, box.center_y - awaited.center_y) / side
                ratio = math.sqrt(box.area / awaited.area)
                if distance <= reach and 1 / SIZE_RATIO <= ratio <= SIZE_RATIO:
                    pairs.append((distance + 1 - iou(awaited, box), face_id, index))
        return pairs
