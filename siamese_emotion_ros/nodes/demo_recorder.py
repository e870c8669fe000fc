"""What the demo hears of its pipeline, put together image by image: drawn, recorded, and shown in the live view."""
from __future__ import annotations

import time
from typing import Any, List, Optional, Sequence

from siamese_emotion_ros.drawing.overlay import draw_emotions
from siamese_emotion_ros.faces.image_messages import drawable, image_from_message
from siamese_emotion_ros.msg import EmotionStamped
from siamese_emotion_ros.nodes import live_table
from siamese_emotion_ros.nodes.conversions import emotion_mark, nanoseconds
from siamese_emotion_ros.nodes.pairing import Frame, FramePairing
from siamese_emotion_ros.nodes.recorder import Recording, Seen
from siamese_emotion_ros.nodes.stream import Mailbox, Worker


class DemoRecorder:
    """Puts together what belongs to one image, draws and records it, and keeps the live view up to date.

    Works in a thread of its own; the view is only read elsewhere.
    """

    def __init__(self, recording: Recording, view: live_table.View, heard: Mailbox, capacity: int) -> None:
        """At most `capacity` images wait for their answers; then the oldest is shown without."""
        self._recording = recording
        self._view = view
        self._pairing = FramePairing(capacity)
        self._times: List[float] = []
        self.stamps_equal = True
        self.model_id = self.gallery_id = ""
        self.ended = False
        self.heard_last = time.monotonic()
        self.failure: Optional[Exception] = None
        self._worker = Worker(heard, self._hear, self._fail, "recorder")

    @property
    def waiting(self) -> int:
        """Images that still wait for their answer."""
        return self._pairing.waiting

    def stop(self) -> None:
        """Hear no more; what waits is left out, as when somebody quits. May be called twice."""
        self._worker.stop()

    def finish(self) -> None:
        """Hear no more, and record what waits as it is: the source has ended, and no answer will come."""
        self._worker.stop()
        for frame in self._pairing.flush():
            self._show(frame)

    def _fail(self, error: Exception) -> None:
        self.failure = error

    def _hear(self, item: Any) -> None:
        kind, message = item
        self.heard_last = time.monotonic()
        if kind == "ended":
            self.ended = message.data
            return
        stamp = nanoseconds(message.header.stamp)
        if kind == "image":
            frames = self._pairing.add_image(stamp, message)
        elif kind == "faces":
            self._view.replaced = message.images_replaced
            frames = self._pairing.add_faces(stamp, message)
        else:
            self.model_id, self.gallery_id = message.model_id, message.gallery_id
            frames = self._pairing.add_emotion(stamp, message)
        for frame in frames:
            self._show(frame)

    def _show(self, frame: Frame) -> None:
        emotions = sorted(frame.emotions.values(), key=lambda emotion: emotion.face_id)
        drawn = drawable(image_from_message(frame.image))
        draw_emotions(drawn, [emotion_mark(emotion) for emotion in emotions])
        seen = [
            Seen(
                face_id=emotion.face_id, label=emotion.label, confidence=emotion.confidence,
                area=emotion.roi.width * emotion.roi.height, latency_ms=nanoseconds(emotion.latency) / 1e6,
            )
            for emotion in emotions
        ]
        # Pairing went by the stamp; what is left to check is that nothing else in the header was changed on the way.
        self.stamps_equal &= all(emotion.header == frame.image.header for emotion in emotions)
        self._recording.add(drawn, seen, frame.answered)
        self._update_view(emotions, seen)

    def _update_view(self, emotions: Sequence[EmotionStamped], seen: Sequence[Seen]) -> None:
        now = time.monotonic()
        self._times = [moment for moment in self._times if now - moment < 2.0] + [now]
        view = self._view
        view.rows = [
            live_table.Row(
                face.face_id, face.label, face.confidence,
                list(zip(emotion.neighbor_labels, emotion.neighbor_distances))[:8], face.latency_ms,
            )
            for emotion, face in zip(emotions, seen)
        ]
        view.labels = self._recording.labels
        view.fps = (len(self._times) - 1) / max(1e-6, now - self._times[0]) if len(self._times) > 1 else 0.0
        recent = self._recording.latencies_ms[-60:]
        view.latency_ms = sorted(recent)[len(recent) // 2] if recent else 0.0
        view.note = "no face"
        view.footer = f"model {self.model_id[:8]}  gallery {self.gallery_id[:8]}  q quits" if self.model_id else ""
