"""What the faces of a recording really showed: intervals from a CSV file, or a topic that was recorded with them."""
from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from siamese_emotion_ros.bags.decoding import EMOTION, decode, label_of, says_labels, stamp_of
from siamese_emotion_ros.bags.reading import Bag, BagError, Topic
from siamese_emotion_ros.faces.geometry import Box, iou
from siamese_emotion_ros.recognition.emotions import UNKNOWN, canonical

COLUMNS = ("start", "end", "label")

#: Times in a CSV file from here on are seconds since 1970, as stamps are; below, seconds since the first image.
SINCE_1970 = 1e8

#: Every stamp is earlier than this [seconds].
LATEST = 1e10

#: A larger file is no list of intervals.
MAX_CSV_BYTES = 20_000_000

#: No face_id, which is a uint32, has more digits.
MOST_DIGITS = 10

#: A recorded face is the one that was found when their boxes share this much (intersection over union).
SAME_FACE = 0.4


class Truth:
    """Tells the true label of a face. ignored: labels that are none of ours, and how often they were met."""

    def __init__(self) -> None:
        self.ignored: Counter = Counter()

    def label(self, stamp: int, face: Any) -> Optional[str]:
        """The canonical label of a face in the image with this stamp (nanoseconds); None where nothing is known.

        `face`: anything with a face_id and a roi, as `faces.finder` has them.
        """
        raise NotImplementedError


class Interval(NamedTuple):
    """A label that holds from `start` to before `end`, nanoseconds, for one face (None: for every face)."""

    start: int
    end: int
    label: str
    face_id: Optional[int]


class Intervals(Truth):
    """Intervals of a CSV file; one that is about a single face takes precedence over one about every face."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        super().__init__()
        self._by_face: Dict[Optional[int], List[Interval]] = {}
        for interval in sorted(intervals, key=lambda interval: interval.start):
            self._by_face.setdefault(interval.face_id, []).append(interval)
        self._starts = {face: [interval.start for interval in own] for face, own in self._by_face.items()}

    def label(self, stamp: int, face: Any) -> Optional[str]:
        for who in (face.face_id, None):
            place = bisect_right(self._starts.get(who, ()), stamp) - 1
            if place >= 0 and stamp < self._by_face[who][place].end:
                return self._by_face[who][place].label
        return None


class LabelChanges(Truth):
    """Labels that each hold, for every face, until the next one; an empty text ends one."""

    def __init__(self, labels: Sequence[Tuple[int, str]]) -> None:
        super().__init__()
        known = []
        for stamp, text in sorted(labels, key=lambda entry: entry[0]):
            known.append((stamp, _ours(text, self.ignored)))
        self._stamps = [stamp for stamp, _ in known]
        self._labels = [label for _, label in known]

    def label(self, stamp: int, face: Any) -> Optional[str]:
        place = bisect_right(self._stamps, stamp) - 1
        return self._labels[place] if place >= 0 else None


class LabelledBoxes(Truth):
    """EmotionStamped messages, each about the face in its box in the image with its stamp."""

    def __init__(self, messages: Iterable[Tuple[int, Box, str]]) -> None:
        super().__init__()
        self._by_stamp: Dict[int, List[Tuple[Box, Optional[str]]]] = {}
        for stamp, box, text in messages:
            self._by_stamp.setdefault(stamp, []).append((box, _ours(text, self.ignored)))

    def label(self, stamp: int, face: Any) -> Optional[str]:
        own = Box(*map(float, face.roi))
        shared = [(iou(own, box), label) for box, label in self._by_stamp.get(stamp, ())]
        best = max(shared, key=lambda entry: entry[0], default=(0.0, None))
        return best[1] if best[0] >= SAME_FACE else None


class Stretches:
    """Names the stretches through which a face keeps one true label: its pictures in one are nearly the same."""

    def __init__(self) -> None:
        self._last: Dict[int, Tuple[str, int]] = {}

    def of(self, face_id: int, label: str) -> str:
        """The stretch of the next picture of this face, which shows `label`."""
        before, number = self._last.get(face_id, ("", 0))
        number += label != before
        self._last[face_id] = (label, number)
        return f"face {face_id}, stretch {number}"


def truth_topic(wanted: str, bag: Bag) -> Optional[Topic]:
    """The topic that a user names, with or without its leading slash; None when the recording has none of that name."""
    return bag.topics.get(wanted, bag.topics.get("/" + wanted))


def read_truth(wanted: str, bag: Bag, first_stamp: int) -> Truth:
    """The truth that a user names: a topic of the recording, or a CSV file of intervals; BagError for neither.

    `first_stamp`: of the first image, nanoseconds, from which the times of a CSV file count.
    """
    topic = truth_topic(wanted, bag)
    if topic is not None:
        return _of_topic(bag, topic)
    path = Path(wanted).expanduser()
    if path.is_file():
        return Intervals(read_intervals(path, first_stamp))
    said = [topic.name for topic in bag.topics.values() if topic.type == EMOTION or says_labels(topic)]
    raise BagError(
        f"{wanted} is neither a topic of {bag.path} nor a CSV file: expected "
        + (f"one of {', '.join(said)}, or " if said else "")
        + "a file with the columns start,end,label and, where faces differ, face_id"
    )


def read_intervals(path: Path, first_stamp: int) -> List[Interval]:
    """The intervals of a CSV file with the columns start, end, label and optionally face_id; BagError with the line.

    Times are seconds since the first image, or since 1970 where the file's first one says so. Labels are ours or their
    aliases.
    """
    if path.stat().st_size > MAX_CSV_BYTES:
        raise BagError(f"{path}: {path.stat().st_size} bytes: expected a list of intervals of at most {MAX_CSV_BYTES}")
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        try:
            columns = [name.strip() for name in rows.fieldnames or ()]
            if not set(COLUMNS) <= set(columns) or not set(columns) <= {*COLUMNS, "face_id"}:
                said = ",".join(columns)[:80]
                raise BagError(f"{path}: its first line is {said!r}: expected start,end,label[,face_id]")
            rows.fieldnames = columns
            read = [(rows.line_num, _interval(row, f"{path}, line {rows.line_num}")) for row in rows]
        except csv.Error as error:
            raise BagError(f"{path}, line {rows.line_num}: no CSV ({error})") from error
    if not read:
        raise BagError(f"{path}: no intervals: expected lines such as 0.0,2.5,happiness")
    offset = 0 if min(interval.start for _, interval in read) >= SINCE_1970 * 1e9 else first_stamp
    # What holds for every face stands apart from what holds for face 0.
    read.sort(key=lambda entry: (-1 if entry[1].face_id is None else entry[1].face_id, entry[1].start))
    for (line, before), (other, after) in zip(read, read[1:]):
        if before.face_id == after.face_id and after.start < before.end:
            raise BagError(f"{path}: lines {line} and {other} overlap: expected one label at a time for a face")
    return [interval._replace(start=interval.start + offset, end=interval.end + offset) for _, interval in read]


def _interval(row: Dict[str, str], where: str) -> Interval:
    if None in row:
        raise BagError(f"{where}: more values than the first line has columns: is face_id missing there?")
    texts = {name: (row.get(name) or "").strip() for name in (*COLUMNS, "face_id")}
    times = []
    for name in ("start", "end"):
        try:
            seconds = float(texts[name])
        except ValueError:
            seconds = math.nan
        if not abs(seconds) < LATEST:
            raise BagError(f"{where}: {name} is {texts[name][:40]!r}: expected seconds")
        times.append(round(seconds * 1e9))
    if times[1] <= times[0]:
        raise BagError(f"{where}: end {texts['end']} is not after start {texts['start']}")
    if texts["face_id"] and not (texts["face_id"].isdecimal() and len(texts["face_id"]) <= MOST_DIGITS):
        said = texts["face_id"][:40]
        raise BagError(f"{where}: face_id is {said!r}: expected a whole number, or nothing for every face")
    try:
        label = canonical(texts["label"])
    except ValueError as error:
        raise BagError(f"{where}: {error}") from error
    return Interval(times[0], times[1], label, int(texts["face_id"]) if texts["face_id"] else None)


def _of_topic(bag: Bag, topic: Topic) -> Truth:
    if topic.type == EMOTION:
        messages = []
        for _, _, data in bag.messages([topic.name]):
            message = decode(EMOTION, data)
            roi = message.roi
            box = Box(float(roi.x_offset), float(roi.y_offset), float(roi.width), float(roi.height))
            messages.append((stamp_of(message), box, message.label))
        return LabelledBoxes(messages)
    if says_labels(topic):
        return LabelChanges([label_of(topic, time, data) for _, time, data in bag.messages([topic.name])])
    raise BagError(
        f"{topic.name} is a {topic.type}: expected {EMOTION}, std_msgs/msg/String or a type that begins with a Header "
        "and a string"
    )


def _ours(text: str, ignored: Counter) -> Optional[str]:
    """The canonical label for a text; None, and counted unless it is empty or unknown, for a word that is not ours."""
    try:
        return canonical(text)
    except ValueError:
        if text.strip() and text != UNKNOWN:
            ignored[text.strip()[:40]] += 1
        return None
