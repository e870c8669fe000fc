"""Brings together what belongs to one image: the image, the faces found in it and the emotions of those faces."""
from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, List, Optional

from siamese_emotion_ros.faces.continuity import Continuity

#: The stamp of an image in nanoseconds tells what belongs to it.
Stamp = int


@dataclass
class Answers:
    """What is known about one image so far.

    faces: the FaceCropArray, None until it came. emotions: EmotionStamped by face id.
    """

    faces: Any = None
    emotions: Dict[int, Any] = field(default_factory=dict)


@dataclass
class Frame(Answers):
    """One image with its answers. answered: the faces, and an emotion for each of them, have come."""

    stamp: Stamp = 0
    image: Any = None
    number: int = 0

    @property
    def answered(self) -> bool:
        return self.faces is not None and len(self.emotions) == len(self.faces.faces)


class FramePairing:
    """Hands out frames in the order of their images, each once it is answered or can no longer be.

    Each topic is in order, but nothing is known of the order between topics. Once a topic has delivered a message for a
    later image, none will come for this one any more: the image was replaced by a newer one on its way, and its frame
    is handed out unanswered.
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
        self._early: OrderedDict[Stamp, Answers] = OrderedDict()
        self._continuity = Continuity()

    def add_image(self, stamp: Stamp, image: Any) -> List[Frame]:
        """An image came; returns the frames that are settled now."""
        broken = self._continuity.broken(stamp)
        if broken is not None and broken.seconds < 0:
            self._early.clear()  # a recording began again: what came for an image that was lost is not for this one
        early = self._early.pop(stamp, Answers())
        frame = Frame(early.faces, early.emotions, stamp, image, self._count)
        self._count += 1
        self._frames.append(frame)
        self._by_stamp[stamp] = frame
        if frame.faces is not None:
            self._faces_seen = frame.number
        if frame.emotions:
            self._emotions_seen = frame.number
        return self._settled()

    def add_faces(self, stamp: Stamp, faces: Any) -> List[Frame]:
        """The faces of an image came; returns the frames that are settled now."""
        answers = self._answers(stamp)
        answers.faces = faces
        if isinstance(answers, Frame):
            self._faces_seen = max(self._faces_seen, answers.number)
        return self._settled()

    def add_emotion(self, stamp: Stamp, emotion: Any) -> List[Frame]:
        """The emotion of a face came; returns the frames that are settled now."""
        answers = self._answers(stamp)
        answers.emotions[emotion.face_id] = emotion
        if isinstance(answers, Frame):
            self._emotions_seen = max(self._emotions_seen, answers.number)
        return self._settled()

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

    def _answers(self, stamp: Stamp) -> Answers:
        """Where what belongs to the image of that stamp goes: its frame, or what waits for an image to come."""
        frame = self._by_stamp.get(stamp)
        if frame is not None:
            return frame
        answers = self._early.setdefault(stamp, Answers())
        if self.capacity is not None and len(self._early) > self.capacity:
            self._early.popitem(last=False)
        return answers

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
