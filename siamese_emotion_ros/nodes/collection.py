"""The next crops of a face, taken from the frames as they are answered, for somebody who waits for them."""
from __future__ import annotations

import threading
import time
from typing import Any, Callable, List, Optional, Tuple

from siamese_emotion_ros.recognition.enrolment import Candidate


class NotCollecting(ValueError):
    """No crops come, or no more; the message says why."""


class CropCollector:
    """Between the thread that answers frames, which offers, and one that waits for crops.

    Offering costs nothing while nobody waits. One waits at a time: services of one callback group come one by one.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed: Optional[str] = "no frames come yet"
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

    def offer(self, faces: Any, image_of: Callable[[Any], Any]) -> None:
        """The faces of one frame, a FaceCropArray; `image_of` reads the image of a crop that is wanted."""
        if not self._missing:
            return
        with self._changed:
            if not self._missing:
                return
            if self._face_id == 0 and len(faces.faces) == 1:
                self._face_id = faces.faces[0].face_id
            for face in faces.faces:
                if face.face_id == self._face_id:
                    self._crops.append(Candidate(image_of(face.crop).copy(), float(face.score)))
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
