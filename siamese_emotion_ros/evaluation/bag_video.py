"""The annotated video of a recording: every image with what was seen in it."""
from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Optional, Sequence

import numpy as np

from siamese_emotion_ros.bags.decoding import decode, stamp_of
from siamese_emotion_ros.bags.reading import Bag, Topic
from siamese_emotion_ros.drawing.overlay import EmotionMark, draw_emotions
from siamese_emotion_ros.drawing.video import VideoWriter
from siamese_emotion_ros.evaluation.bag_replay import Frame
from siamese_emotion_ros.faces.image_messages import drawable

#: Frames per second of the video of a recording with one image, which has no rate.
STILL_RATE = 10.0

#: The rate is estimated from the stamps of this many images.
LOOKED_AT = 50


class AnnotatedVideo:
    """A video that is written image by image; a context manager, which leaves an unfinished file behind on errors."""

    def __init__(self, path: Path, bag: Bag, topic: Topic) -> None:
        self._path = path
        self._rate = _rate(bag, topic)
        self._writer: Optional[VideoWriter] = None

    def __enter__(self) -> AnnotatedVideo:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.release()

    def add(self, frame: Frame, classes: Sequence[str]) -> None:
        """One image with its faces; RecordingError when the file cannot be written."""
        drawn = drawable(frame.image)
        draw_emotions(drawn, [
            EmotionMark(
                (face.roi.x, face.roi.y, face.roi.width, face.roi.height), answer.label, answer.confidence,
                face.face_id, classes, answer.class_scores.tolist(),
            )
            for face, answer in frame.faces
        ])
        if self._writer is None:
            self._writer = VideoWriter(self._path, self._rate, (drawn.shape[1], drawn.shape[0]))
        self._writer.write(drawn)

    def finish(self) -> None:
        """Close the file and check that it plays."""
        if self._writer is not None:
            self._writer.close()


def _rate(bag: Bag, topic: Topic) -> float:
    """Images per second by the stamps of the first ones, limited to what players accept."""
    stamps = []
    for _, _, data in islice(bag.messages([topic.name]), LOOKED_AT):
        try:
            stamps.append(stamp_of(decode(topic.type, data)))
        except ValueError:
            continue
    steps = np.diff(np.array(stamps, np.int64))
    forward = steps[steps > 0]
    rate = 1e9 / float(np.median(forward)) if len(forward) else STILL_RATE
    return round(min(max(rate, 1.0), 120.0), 2)
