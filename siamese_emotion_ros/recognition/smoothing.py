"""A steady label for each face: a vote over its last frames, with hysteresis."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Deque, Dict, List, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.recognition.emotions import UNKNOWN
from siamese_emotion_ros.recognition.recognizer import Recognition

#: Frames after which the history of a face that was not seen is forgotten.
PATIENCE = 30


@dataclass
class _History:
    shares: Deque[np.ndarray]
    label: str = ""
    unseen: int = field(default=0)


class FaceSmoother:
    """Averages each face's vote over its last `window` frames.

    The label changes only when another class's mean share exceeds the present one's by more than `hysteresis`. Unknown
    counts as a class of its own. A window of 1 is off: every recognition passes through as it is.
    """

    def __init__(self, window: int = 1, hysteresis: float = 0.0) -> None:
        """`window` in frames, at least 1; `hysteresis` a share of the vote, 0..1; ValueError for others."""
        if window < 1:
            raise ValueError(f"the smoothing window is {window}: expected at least 1 frame (1 = off)")
        if not 0.0 <= hysteresis <= 1.0:
            raise ValueError(f"the smoothing hysteresis is {hysteresis}: expected 0 to 1")
        self.window = window
        self.hysteresis = hysteresis
        self._classes: Tuple[str, ...] = ()
        self._histories: Dict[int, _History] = {}

    def smooth(
        self, classes: Tuple[str, ...], face_ids: Sequence[int], recognitions: Sequence[Recognition]
    ) -> List[Recognition]:
        """The recognitions of one frame with label, confidence and class_scores smoothed; distances stay the frame's.

        `classes` are the recognizer's; when they change, what was remembered is forgotten.
        """
        if self.window == 1:
            return list(recognitions)
        if classes != self._classes:
            self._histories.clear()
            self._classes = classes
        for face_id in list(self._histories):
            history = self._histories[face_id]
            history.unseen += 1
            if history.unseen > PATIENCE:
                del self._histories[face_id]
        return [self._update(face_id, recognition) for face_id, recognition in zip(face_ids, recognitions)]

    def afresh(self) -> FaceSmoother:
        """Another with the same settings that has seen no face yet."""
        return FaceSmoother(self.window, self.hysteresis)

    def _update(self, face_id: int, recognition: Recognition) -> Recognition:
        history = self._histories.setdefault(face_id, _History(deque(maxlen=self.window)))
        history.unseen = 0
        unknown = recognition.label == UNKNOWN
        share = np.zeros(len(self._classes) + 1, np.float32)
        if unknown:
            share[-1] = 1.0
        else:
            share[:-1] = recognition.class_scores
        history.shares.append(share)
        mean = np.mean(history.shares, axis=0)
        labels = self._classes + (UNKNOWN,)
        # Where shares are equal the frame's own label decides: its vote has looked at distances.
        frames_own = labels.index(recognition.label)
        best = frames_own if mean[frames_own] == mean.max() else int(mean.argmax())
        if not history.label or mean[best] > mean[labels.index(history.label)] + self.hysteresis:
            history.label = labels[best]
        known = float(mean[:-1].sum())
        return replace(
            recognition,
            label=history.label,
            confidence=0.0 if history.label == UNKNOWN else float(mean[labels.index(history.label)]),
            class_scores=mean[:-1] / np.float32(known) if known > 0 else recognition.class_scores,
        )
