"""Which faces are in view, and the short ids under which ROS4HRI (REP-155) knows them."""
from __future__ import annotations

import hashlib
import itertools
from typing import Container, Dict, List, Optional, Sequence

from siamese_emotion_ros.faces.tracker import MAX_MISSED

#: REP-155 recommends five letters and digits; the name of a ROS 2 topic may not have a part that begins with a digit.
LETTERS, CHARACTERS, LENGTH = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz0123456789", 5


def hri_id(number: int, stamp: int, frame_id: str, taken: Container[str] = ()) -> str:
    """The id of the face that has this number and was first seen in the image of this stamp [ns] and frame_id.

    Other after every start of the camera, though the numbers begin with 1 again, and the same each time that a
    recording is played; an id that is `taken` is not given.
    """
    for attempt in itertools.count():
        digest = hashlib.sha256(f"{number} {stamp} {frame_id} {attempt}".encode()).digest()
        characters = [CHARACTERS[byte % len(CHARACTERS)] for byte in digest[: LENGTH - 1]]
        name = LETTERS[digest[-1] % len(LETTERS)] + "".join(characters)
        if name not in taken:
            break
    return name


class TrackedFaces:
    """The ids of the faces in view. A face that is missed keeps its id for as long as face_crop awaits it."""

    def __init__(self, patience: int = MAX_MISSED) -> None:
        """patience: images in a row that a face may be missed in."""
        self._patience = patience
        self._ids: Dict[int, str] = {}
        self._missed: Dict[int, int] = {}
        self._newest = -1

    @property
    def ids(self) -> List[str]:
        """The ids of all faces, in the order of appearance."""
        return list(self._ids.values())

    def see(self, numbers: Sequence[int], stamp: int, frame_id: str) -> List[str]:
        """The faces of one image came; returns the ids of those that are gone by now."""
        self._newest = stamp
        for number in [known for known in self._ids if known not in numbers]:
            self._missed[number] += 1
        for number in numbers:
            self._admit(number, stamp, frame_id)
        return [self._drop(number) for number in list(self._ids) if self._missed[number] > self._patience]

    def id_of(self, number: int, stamp: int, frame_id: str) -> Optional[str]:
        """The id of a face that something is said about; None when the face is gone.

        What is said may arrive before the faces of its image do, and then admits the face.
        """
        if number in self._ids:
            return self._ids[number]
        return self._admit(number, stamp, frame_id) if stamp > self._newest else None

    def clear(self) -> List[str]:
        """Let go of all faces; returns their ids."""
        self._newest = -1
        return [self._drop(number) for number in list(self._ids)]

    def _admit(self, number: int, stamp: int, frame_id: str) -> str:
        self._missed[number] = 0
        if number not in self._ids:
            self._ids[number] = hri_id(number, stamp, frame_id, self._ids.values())
        return self._ids[number]

    def _drop(self, number: int) -> str:
        del self._missed[number]
        return self._ids.pop(number)
