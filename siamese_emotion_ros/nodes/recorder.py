"""What a demo leaves behind: an annotated video, a contact sheet and a summary. No ROS."""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from siamese_emotion_ros.drawing.contact_sheet import contact_sheet
from siamese_emotion_ros.drawing.palette import color_of
from siamese_emotion_ros.drawing.video import RecordingError, VideoWriter

#: Frames that a contact sheet shows at most.
SHEET_FRAMES = 24
THUMBNAIL_WIDTH = 256


@dataclass(frozen=True)
class Seen:
    """One face in one frame. area: of its box, pixels; the largest face speaks for its frame."""

    face_id: int
    label: str
    confidence: float
    area: int
    latency_ms: float


class Recording:
    """Gathers the frames of a demo one by one, in little memory, and writes the results into a folder."""

    def __init__(self, folder: Path, rate: float) -> None:
        """`rate`: frames per second of the video. RecordingError when the folder cannot be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(f"{folder} cannot be made ({error.strerror}): choose another --output") from error
        self.folder = folder
        self._rate = rate
        self._writer: Optional[VideoWriter] = None
        self._sheet = Thinning(SHEET_FRAMES)
        self.labels: List[Optional[str]] = []
        self.faces_per_frame: List[int] = []
        self.latencies_ms: List[float] = []
        self.face_ids: List[int] = []
        self.unanswered = 0

    @property
    def frames(self) -> int:
        """Frames so far."""
        return len(self.labels)

    def add(self, drawn: np.ndarray, faces: Sequence[Seen], answered: bool = True) -> None:
        """One frame: the annotated image, uint8 BGR [H, W, 3], and who is in it; not `answered`: nobody looked."""
        largest = max(faces, key=lambda face: face.area, default=None)
        if self._writer is None:
            self._writer = VideoWriter(self.folder / "annotated.mp4", self._rate, (drawn.shape[1], drawn.shape[0]))
        self._writer.write(drawn)
        caption = f"{self.frames}" if largest is None else f"{self.frames}  {largest.label} {largest.confidence:.0%}"
        color = color_of("unknown" if largest is None else largest.label)
        self._sheet.offer(lambda: (_thumbnail(drawn), caption, color))
        self.labels.append(None if largest is None else largest.label)
        self.faces_per_frame.append(len(faces))
        self.latencies_ms.extend(face.latency_ms for face in faces)
        self.face_ids = sorted(set(self.face_ids).union(face.face_id for face in faces))
        self.unanswered += not answered

    def finish(self, extra: Dict[str, Any]) -> Dict[str, Any]:
        """Close the video, write contact_sheet.png and summary.json (with what `extra` adds); returns the summary."""
        summary: Dict[str, Any] = {
            "frames": self.frames,
            "frames_with_face": sum(count > 0 for count in self.faces_per_frame),
            "frames_unanswered": self.unanswered,
            "face_ids": self.face_ids,
            "labels": self.labels,
            "latency_ms": {"p50": _percentile(self.latencies_ms, 50), "p99": _percentile(self.latencies_ms, 99)},
            "video": None,
            "contact_sheet": None,
        }
        if self._writer is not None:
            summary["video"] = self._writer.close().name
            images, captions, colors = zip(*self._sheet.kept)
            path = self.folder / "contact_sheet.png"
            cv2.imwrite(str(path), contact_sheet(images, captions, colors=colors, cell_width=THUMBNAIL_WIDTH))
            summary["contact_sheet"] = path.name
        summary.update(extra)
        (self.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        return summary


class Thinning:
    """Keeps `wanted` of a stream of unknown length, evenly spread over it, and never more than six times as many."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._stride = 1
        self._offered = 0
        self._kept: List[Tuple[int, Any]] = []

    def offer(self, make: Any) -> None:
        """The next of the stream; `make()` is called only when it is kept."""
        if self._offered % self._stride == 0:
            self._kept.append((self._offered, make()))
            if len(self._kept) >= 6 * self._wanted:  # many more than wanted, for even steps when it comes to choosing
                self._stride *= 2
                self._kept = [item for item in self._kept if item[0] % self._stride == 0]
        self._offered += 1

    @property
    def kept(self) -> List[Any]:
        """What is kept, at most `wanted`, in order."""
        positions = np.linspace(0, len(self._kept) - 1, min(self._wanted, len(self._kept))).round().astype(int)
        return [self._kept[position][1] for position in positions]


class Stretch(NamedTuple):
    """A label that held for some frames in a row."""

    label: Optional[str]
    first: int
    last: int


def stretches(labels: Sequence[Optional[str]]) -> List[Stretch]:
    """Runs of equal labels, in order."""
    runs: List[Stretch] = []
    for number, label in enumerate(labels):
        if runs and runs[-1].label == label:
            runs[-1] = runs[-1]._replace(last=number)
        else:
            runs.append(Stretch(label, number, number))
    return runs


def _thumbnail(image: np.ndarray) -> np.ndarray:
    scale = min(1.0, THUMBNAIL_WIDTH / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _percentile(values: Sequence[float], percent: float) -> Optional[float]:
    return round(float(np.percentile(values, percent)), 2) if values else None
