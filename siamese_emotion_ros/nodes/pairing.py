"""Brings together what belongs to one image: the image, the faces found in it and the emotions of those faces."""
from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, List, Optional

#: The stamp of an image in nanoseconds tells what belongs to it.
Stamp = int


@dataclass
class Frame:
    """One image and what is known about it so far.

    faces: the FaceCropArray, None until it came. emotions: EmotionStamped by face id. answered: the faces, and an
    emotion for each of them, have come.
    """

    stamp: Stamp
    image: Any
    number: int
    faces: Any = None
    emotions: Dict[int, Any] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        return self.faces is not None and len(self.emotions) == len(self.faces.faces)


class FramePairing:
    """Hands out frames in the order of their images, each once it is answered or can no longer be.

    Each of the three topics keeps its own order, and nothing is said about the order between topics. So when one of
    them has gone past an image without a word about it, it never will have one: the image was replaced by a newer one
    on its way, and its frame is handed out unanswered.
    """

    def __init__(self, capacity: Optional[int] = None) -> None:
        """At most `capacity` images wait; then the oldest is handed out as it is. None: no limit."""
        #: May be changed at any time.
        self.capacity = capacity
        #: How many images were handed out because too many waited.
        self.given_up = 0
        self._frames: Deque[Frame] = deque()
        self._by_stamp: Dict[Stamp, Frame] = {}
        self._count = 0
        self._faces_seen = -1
        self._emotions_seen = -1
        # What overtook its image on the way.
        self._early: OrderedDict[Stamp, List[Any]] = OrderedDict()

    def add_image(self, stamp: Stamp, image: Any) -> List[Frame]:
        """An image came; returns the frames that are settled now."""
        frame = Frame(stamp, image, self._count)
        self._count += 1
        self._frames.append(frame)
        self._by_stamp[stamp] = frame
        for add, message in self._early.pop(stamp, []):
            add(frame, message)
        return self._settled()

    def add_faces(self, stamp: Stamp, faces: Any) -> List[Frame]:
        """The faces of an image came; returns the frames that are settled now."""
        return self._add(stamp, self._attach_faces, faces)

    def add_emotion(self, stamp: Stamp, emotion: Any) -> List[Frame]:
        """The emotion of a face came; returns the frames that are settled now."""
        return self._add(stamp, self._attach_emotion, emotion)

    def flush(self) -> List[Frame]:
        """All frames that still wait, as they are."""
        frames, self._frames = list(self._frames), deque()
        self._by_stamp.clear()
        self._early.clear()
        return frames

    @property
    def waiting(self) -> int:
        """How many images wait."""
        return len(self._frames)

    def _add(self, stamp: Stamp, attach: Any, message: Any) -> List[Frame]:
        frame = self._by_stamp.get(stamp)
        if frame is None:
            self._early.setdefault(stamp, []).append((attach, message))
            if self.capacity is not None and len(self._early) > self.capacity:
                self._early.popitem(last=False)
            return []
        attach(frame, message)
        return self._settled()

    def _attach_faces(self, frame: Frame, faces: Any) -> None:
        frame.faces = faces
        self._faces_seen = max(self._faces_seen, frame.number)

    def _attach_emotion(self, frame: Frame, emotion: Any) -> None:
        frame.emotions[emotion.face_id] = emotion
        self._emotions_seen = max(self._emotions_seen, frame.number)

    def _settled(self) -> List[Frame]:
        settled = []
        while self._frames:
            frame = self._frames[0]
            passed = frame.number < (self._faces_seen if frame.faces is None else self._emotions_seen)
            if not (frame.answered or passed):
                if self.capacity is None or len(self._frames) <= self.capacity:
                    break
                self.given_up += 1
            settled.append(self._frames.popleft())
            if self._by_stamp.get(frame.stamp) is frame:
                del self._by_stamp[frame.stamp]
        return settled
