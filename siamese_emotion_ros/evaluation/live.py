"""Evaluation while it happens: answers and truths come one by one, in rounds that each begin when time jumps back."""
from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import Any, DefaultDict, Deque, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from siamese_emotion_ros.evaluation.answers import Answers
from siamese_emotion_ros.evaluation.bag_observations import milliseconds
from siamese_emotion_ros.evaluation.bag_truth import (
    Intervals,
    LabelChanges,
    LabelledBoxes,
    Stretches,
    Truth,
    read_intervals,
)
from siamese_emotion_ros.evaluation.measurement import describe
from siamese_emotion_ros.faces.continuity import Continuity
from siamese_emotion_ros.faces.geometry import Box
from siamese_emotion_ros.recognition.emotions import UNKNOWN

FORMAT = "siamese_emotion_ros/live_evaluation/1"

#: How many answers (nine hours at 30 a second) and how many truths of a round are kept; then the oldest are dropped.
MOST_ANSWERS = 1_000_000


class Answer(NamedTuple):
    """One published answer.

    best: the class with the largest share of the vote, whether or not the face is known. confidence: of the label; of
    an unknown face, for which 0 is published, the share of `best`.
    """

    round: int
    stamp: int
    face_id: int
    roi: Box
    label: str
    best: str
    confidence: float
    latency: int


class LiveEvaluation:
    """Gathers answers and truths from any thread; `report` compares them.

    What belongs together has the same stamp, or lies between two stamps, of the same round. The rounds of answers, of
    truths and of images are counted apart, as they come in whatever order.
    """

    def __init__(self, intervals: Optional[Path] = None) -> None:
        """`intervals`: a CSV file with the truth (see bag_truth.read_intervals), instead of what is added."""
        self._intervals = intervals
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._answers: Deque[Answer] = deque(maxlen=MOST_ANSWERS)
            self._classes: List[str] = []
            self._ids: Counter = Counter()
            self._first: Dict[int, int] = {}
            self._first_images: List[int] = []
            self._labels: List[Deque[Tuple[int, str]]] = [_kept()]
            self._truths: List[Deque[Tuple[int, Box, str]]] = [_kept()]
            self._round = 0
            self._answered, self._told, self._seen = Continuity(), Continuity(), Continuity()
            self._passed = False

    def add_answer(
        self, stamp: int, face_id: int, roi: Box, label: str, confidence: float, shares: Dict[str, float], latency: int,
        ids: Tuple[str, str],
    ) -> None:
        """An answer about the image with this stamp; `shares` of the vote by class, latency in nanoseconds.

        `ids` are model_id and gallery_id.
        """
        with self._lock:
            if _jumped_back(self._answered, stamp):
                self._round += 1
            self._passed |= bool(self._labels[-1]) and stamp > self._labels[-1][-1][0]
            self._first.setdefault(self._round, stamp)
            for name in shares:
                if name not in self._classes:
                    self._classes.append(name)
            self._ids[ids] += 1
            best = max(shares, key=lambda name: shares[name]) if shares else label
            if label == UNKNOWN and shares:
                confidence = shares[best]
            self._answers.append(Answer(self._round, stamp, face_id, roi, label, best, confidence, latency))
            self._forget_rounds_before(self._answers[0].round)

    def add_label(self, stamp: int, text: str) -> None:
        """From this stamp on every face shows `text`, until the next label."""
        with self._lock:
            last = self._labels[-1][-1][0] if self._labels[-1] else stamp
            # A label of the same stamp is said again, unless later images were answered meanwhile: then a loop says it.
            if stamp < last or (stamp == last and self._passed):
                self._labels.append(_kept())
            self._passed = False
            self._labels[-1].append((stamp, text))

    def add_truth(self, stamp: int, roi: Box, text: str) -> None:
        """The face in this box of the image with this stamp shows `text`."""
        with self._lock:
            if _jumped_back(self._told, stamp):
                self._truths.append(_kept())
            self._truths[-1].append((stamp, roi, text))

    def add_image(self, stamp: int) -> None:
        """Note an image with this stamp, with or without faces: intervals count from the first one of a round."""
        with self._lock:
            if _jumped_back(self._seen, stamp) or not self._first_images:
                self._first_images.append(stamp)

    def _forget_rounds_before(self, number: int) -> None:
        """Empty the truths of rounds of which no answer is kept; what was said last still holds afterwards."""
        if number == next(iter(self._first)):  # the oldest that is known
            return
        for rounds in (self._labels, self._truths):
            for past in rounds[: min(number, len(rounds) - 1)]:
                past.clear()
        self._first = {later: stamp for later, stamp in self._first.items() if later >= number}

    def __len__(self) -> int:
        return len(self._answers)

    def report(self) -> Dict[str, Any]:
        """Everything so far, JSON-ready: the figures of `measurement.describe` (none while no answer has a truth), and:

        format; answers; rounds; without_truth and ignored (words that are none of ours) answers; latency_ms; classes;
        recognisers (model_id, gallery_id and how many answers each gave).
        """
        with self._lock:
            answers, classes = list(self._answers), tuple(self._classes)
            rounds, ids = self._round + 1, sorted(self._ids.items())
            first = {number: self._beginning(number) for number in self._first}
            labels = [list(part) for part in self._labels]
            truths = [list(part) for part in self._truths]
        heard = sorted({answer.round for answer in answers})
        by_round = {number: self._truth_of(number, labels, truths, first) for number in heard}
        true = [by_round[answer.round].label(answer.stamp, answer) for answer in answers]
        ignored: Counter = Counter()
        for truth in by_round.values():
            ignored.update(truth.ignored)
        known = [(answer, label) for answer, label in zip(answers, true) if label in classes]
        latencies = np.array([answer.latency for answer in answers], np.int64)
        return {
            "format": FORMAT,
            **(_figures(known, classes) if known else {"n": 0}),
            "answers": len(answers),
            "rounds": rounds if answers else 0,
            "without_truth": len(answers) - len(known),
            "ignored": dict(sorted(ignored.items())),
            "latency_ms": milliseconds(latencies) if len(latencies) else None,
            "classes": list(classes),
            "recognisers": [
                {"model_id": model_id, "gallery_id": gallery_id, "answers": count}
                for (model_id, gallery_id), count in ids
            ],
        }

    def _beginning(self, number: int) -> int:
        """The stamp of a round's first image; of its first answer where no images were told of."""
        answered = self._first[number]
        return min(answered, self._first_images[number]) if number < len(self._first_images) else answered

    def _truth_of(
        self, number: int, labels: List[List[Tuple[int, str]]], truths: List[List[Tuple[int, Box, str]]],
        first: Dict[int, int],
    ) -> Truth:
        if self._intervals is not None:
            return Intervals(read_intervals(self._intervals, first[number]))
        if number < len(truths) and truths[number]:
            return LabelledBoxes(truths[number])
        # A label that was published once, and not again in this round, still holds.
        return LabelChanges(labels[min(number, len(labels) - 1)])


def _jumped_back(stream: Continuity, stamp: int) -> bool:
    """Whether a new round begins; an image that only arrives out of order begins none."""
    broken = stream.broken(stamp)
    return broken is not None and broken.seconds < 0


def _kept() -> Deque[Any]:
    return deque(maxlen=MOST_ANSWERS)


def _figures(known: List[Tuple[Answer, str]], classes: Tuple[str, ...]) -> Dict[str, Any]:
    unknown = np.array([answer.label == UNKNOWN for answer, _ in known])
    answers = Answers(
        classes=classes,
        truth=np.array([classes.index(label) for _, label in known], np.int64),
        decided=np.array(
            [classes.index(answer.best if answer.label == UNKNOWN else answer.label) for answer, _ in known], np.int64
        ),
        confidence=np.array([answer.confidence for answer, _ in known], np.float32),
        # Whether a face was near enough has been decided, by thresholds that may have changed meanwhile.
        nearest=np.where(unknown, np.float32(1), np.float32(0)),
        threshold=0.5 if unknown.any() else math.inf,
    )
    stretches: DefaultDict[int, Stretches] = defaultdict(Stretches)
    figures = describe(answers, tuple(
        f"round {answer.round}, {stretches[answer.round].of(answer.face_id, label)}" for answer, label in known
    ))
    figures["unknown_curve"] = None
    return figures
