"""The next crops of a face, taken from the frames as they are answered, for somebody who waits for them."""
from __future__ import annotations

import threading
import time
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.recognition.enrolment import Candidate


class NotCollecting(ValueError):
    """No crops come, or no more; the message says why."""


class CropCollector:
    """Between the thread that answers frames, which offers, and one that waits for crops.

    Offering costs nothing while nobody waits. One waits at a time: services of one callback group come one by one.
    """

    def __init__(self, closed: str) -> None:
        """`closed`: why no frames come, until open() is called."""
        self._changed = threading.Condition()
        self._closed: Optional[str] = closed
        self._face_id = 0
        self._missing = 0
        self._crops: List[Candidate] = []

    def open(self) -> None:
        """From now on frames come."""
        with self._changed:
            self._closed = None

    def close(self, reason: str) -> None:
        """No more frames come; whoever waits is told the reason."""
        with self._changed:
            self._closed = reason
            self._changed.notify_all()

    def offer(self, faces: Sequence[Any], crops: Sequence[np.ndarray], alone: bool) -> None:
        """The faces of one frame (FaceCrop), each with its crop uint8 [H, W]; alone: no other face is in the frame."""
        if not self._missing:
            return
        with self._changed:
            if not self._missing:
                return
            if self._face_id == 0 and alone and faces:
                self._face_id = faces[0].face_id
            for face, crop in zip(faces, crops):
                if face.face_id == self._face_id:
                    self._crops.append(Candidate(crop.copy(), float(face.score)))
                    self._missing -= 1
                    self._changed.notify_all()

    def collect(self, face_id: int, count: int, timeout: float) -> Tuple[int, List[Candidate]]:
        """The next `count` crops of a face, or as many as come within `timeout` seconds; and the face's id.

        Face 0 is the first that is alone in a frame. NotCollecting when none comes, or when the frames end.
        """
        end = time.monotonic() + timeout
        with self._changed:
            self._check_open()
            self._face_id, self._missing, self._crops = face_id, count, []
            try:
                while self._missing and time.monotonic() < end:
                    self._changed.wait(end - time.monotonic())
                    self._check_open()
                face_id, crops = self._face_id, self._crops
            finally:
                self._missing, self._crops = 0, []
        if not crops:
            who = f"face {face_id} was in none" if face_id else "none had exactly one face"
            raise NotCollecting(f"of the frames of {timeout:g} s {who}: check `faces`, and face_id")
        return face_id, crops

    def _check_open(self) -> None:
        if self._closed is not None:
            raise NotCollecting(self._closed)
