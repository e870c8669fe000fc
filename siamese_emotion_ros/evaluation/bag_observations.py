"""What was seen in a recording, gathered frame by frame, and the figures about it that need no truth."""
from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet, Skipped
from siamese_emotion_ros.datasets.images import shrunk
from siamese_emotion_ros.evaluation.bag_replay import Frame
from siamese_emotion_ros.evaluation.bag_truth import Stretches, Truth
from siamese_emotion_ros.faces.continuity import OVERTAKEN
from siamese_emotion_ros.recognition.emotions import EIGHT

#: A longer delay means that stamps and recording are of different clocks, as in a simulation [ns].
LONGEST_DELAY = 60_000_000_000

#: Longer side of the faces that are kept for the page, in pixels: an hour of one labelled face takes half a gigabyte.
KEPT_SIDE = 64


class Sighting(NamedTuple):
    """One face in one image: its answer, and its true label where that is known."""

    stamp: int
    face_id: int
    label: str
    confidence: float
    true: Optional[str]


@dataclass(frozen=True)
class Stretch:
    """A label that one face kept for `images` images. start, end: seconds since the first image."""

    start: float
    end: float
    label: str
    images: int
    confidence: Optional[float]


class Observations:
    """Everything about the frames of a replay that the report needs, without their images."""

    def __init__(self) -> None:
        self.stamps: List[int] = []
        self.delays: List[int] = []
        self.faces_per_image: List[int] = []
        self.sightings: List[Sighting] = []
        self.size = (0, 0)
        self._faces: List[np.ndarray] = []
        self._embeddings: List[np.ndarray] = []
        self._labels: List[int] = []
        self._names: List[str] = []
        self._subjects: List[str] = []
        self._without_truth: List[str] = []
        self._true_stretches = Stretches()

    def add(self, frame: Frame, truth: Optional[Truth]) -> None:
        """Note one frame, and hold its faces against the truth."""
        number = len(self.stamps)
        self.stamps.append(frame.stamp)
        self.delays.append(frame.recorded - frame.stamp)
        self.faces_per_image.append(len(frame.faces))
        self.size = (frame.image.shape[1], frame.image.shape[0])
        for (face, answer), embedding in zip(frame.faces, frame.embeddings):
            true = truth.label(frame.stamp, face) if truth is not None else None
            self.sightings.append(Sighting(frame.stamp, face.face_id, answer.label, answer.confidence, true))
            if truth is None:
                continue
            name = f"image {number}, face {face.face_id}"
            if true is None:
                self._without_truth.append(name)
                continue
            self._faces.append(shrunk(face.crop, KEPT_SIDE))
            self._embeddings.append(embedding)
            self._labels.append(EIGHT.index(true))
            self._names.append(name)
            self._subjects.append(self._true_stretches.of(face.face_id, true))

    def queries(self) -> FaceSet:
        """The faces whose true label is known, small, for `measure`; those without are in left_out.

        A subject is one stretch, a face under one true label: its pictures are nearly the same, so a bootstrap that
        drew them one by one would find intervals that are far too narrow.
        """
        return FaceSet(
            faces=tuple(self._faces), labels=np.array(self._labels, np.int64), classes=EIGHT,
            names=tuple(self._names), subjects=tuple(self._subjects),
            left_out=tuple(Skipped(name, "no true label at that time") for name in self._without_truth),
        )

    def embeddings(self) -> np.ndarray:
        """float32 [N, D] of the faces of `queries`."""
        return np.stack(self._embeddings)

    @property
    def seconds(self) -> float:
        """From the earliest stamp of an image to the latest."""
        return (max(self.stamps) - min(self.stamps)) / 1e9 if self.stamps else 0.0

    @property
    def rate(self) -> Optional[float]:
        """Images per second, by the median step between stamps; None for fewer than two images."""
        steps = self._steps()
        return 1e9 / float(np.median(steps)) if len(steps) else None

    def stream_figures(self) -> Dict[str, Any]:
        """The images as a stream, JSON-ready.

        n, size, seconds, rate, missing (images that are not there, by the gaps between stamps), largest_gap_ms, and
        recording_delay_ms {p50, p99, max}: from stamp to recording, None where the two are of different clocks.
        """
        steps = self._steps()
        period = float(np.median(steps)) if len(steps) else 0.0
        missing = int(np.maximum(np.rint(steps / period) - 1, 0).sum()) if period else 0
        delays = np.array(self.delays, np.int64)
        one_clock = bool(len(delays)) and delays.min() >= 0 and delays.max() <= LONGEST_DELAY
        return {
            "n": len(self.stamps),
            "size": list(self.size),
            "seconds": round(self.seconds, 6),
            "rate": None if self.rate is None else round(self.rate, 3),
            "missing": missing,
            "largest_gap_ms": round(float(steps.max()) / 1e6, 3) if len(steps) else None,
            "recording_delay_ms": milliseconds(delays) if one_clock else None,
        }

    def face_figures(self) -> Dict[str, Any]:
        """Who was seen, JSON-ready: images_with_face, sightings, and for each face id its images, times and labels."""
        faces = {}
        for face_id, track in sorted(self._tracks().items()):
            faces[str(face_id)] = {
                "images": len(track),
                "start": self._since_start(track[0].stamp),
                "end": self._since_start(track[-1].stamp),
                "labels": dict(sorted(Counter(sighting.label for sighting in track).items())),
                "timeline": [vars(stretch) for stretch in self._stretches(track, [s.label for s in track], True)],
                "truth": [vars(stretch) for stretch in self._stretches(track, [s.true for s in track], False)],
            }
        return {
            "images_with_face": sum(count > 0 for count in self.faces_per_image),
            "sightings": len(self.sightings),
            "faces": faces,
        }

    def _stretches(
        self, track: Sequence[Sighting], labels: Sequence[Optional[str]], with_confidence: bool
    ) -> List[Stretch]:
        period = 1e9 / self.rate if self.rate else 0.0
        runs: List[List[int]] = []
        for place, (sighting, label) in enumerate(zip(track, labels)):
            if label is None:
                continue
            last = runs[-1][-1] if runs else -1
            follows = (
                runs and last == place - 1 and labels[last] == label
                and 0 <= sighting.stamp - track[last].stamp <= 1.5 * period
            )
            if follows:
                runs[-1].append(place)
            else:
                runs.append([place])
        return [
            Stretch(
                start=self._since_start(track[run[0]].stamp),
                end=round(self._since_start(track[run[-1]].stamp) + period / 1e9, 6),
                label=str(labels[run[0]]),
                images=len(run),
                confidence=(
                    round(float(np.mean([track[place].confidence for place in run])), 4) if with_confidence else None
                ),
            )
            for run in runs
        ]

    def _tracks(self) -> Dict[int, List[Sighting]]:
        tracks: Dict[int, List[Sighting]] = defaultdict(list)
        for sighting in self.sightings:
            tracks[sighting.face_id].append(sighting)
        return tracks

    def _since_start(self, stamp: int) -> float:
        return round((stamp - self.stamps[0]) / 1e9, 6)

    def _steps(self) -> np.ndarray:
        """Nanoseconds between images that follow each other, whatever order they were recorded in.

        A jump back, as of a recorded loop, is none.
        """
        stamps = np.array(self.stamps, np.int64)
        rounds = np.split(stamps, np.flatnonzero(np.diff(stamps) < -OVERTAKEN) + 1)
        steps = np.concatenate([np.diff(np.sort(part)) for part in rounds])
        forward: np.ndarray = steps[steps > 0]
        return forward


def milliseconds(nanoseconds: np.ndarray) -> Dict[str, float]:
    """{p50, p99, max} of durations."""
    p50, p99, most = np.percentile(nanoseconds, [50, 99, 100]) / 1e6
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(float(most), 3)}
