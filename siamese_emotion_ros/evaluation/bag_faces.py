"""The faces of a recording whose true emotion is known, as a data set, of which anchors can be made."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from siamese_emotion_ros.bags.decoding import choose_image_topic
from siamese_emotion_ros.bags.reading import Bag, BagError
from siamese_emotion_ros.datasets.face_set import FaceSet, Progress, Skipped
from siamese_emotion_ros.evaluation.bag_replay import Search, first_stamp
from siamese_emotion_ros.evaluation.bag_truth import Stretches, read_truth
from siamese_emotion_ros.faces.detectors import make_detector
from siamese_emotion_ros.faces.finder import Face, FaceFinder, FinderSettings
from siamese_emotion_ros.recognition.emotions import EIGHT
from siamese_emotion_ros.recognition.enrolment import Candidate, Criteria, fault
from siamese_emotion_ros.recognition.plain_text import spelled_out


def load_bag(
    root: Union[str, Path],
    truth: str = "",
    image: Optional[str] = None,
    detector: str = "auto",
    detector_model: str = "",
    detection_width: int = FinderSettings.detection_width,
    per_second: float = 5.0,
    min_score: float = Criteria.min_score,
    min_focus: float = Criteria.min_focus,
    progress: Optional[Progress] = None,
) -> FaceSet:
    """The faces of a rosbag2 recording, found as the face_crop node finds them, under their true labels.

    Faces are gray uint8 [s, s], at most 128 pixels a side, as they go to the network; `classes` are the emotions that
    were seen. A subject is a tracked face, a group its stretch under one label: pictures that are nearly the same stay
    in one part of a split.

    truth       a recorded topic, or a CSV file with start,end,label[,face_id] (see bag_truth); without it ValueError.
    image       topic of the images; None = the only one there is.
    per_second  faces taken a second of each person, by the stamps; 0 = all.
    min_score, min_focus   as the parameters enrolment.* of the node: others are left out, with the reason.
    progress    called with images.

    BagError for a recording or a truth that cannot be used, or when no face is seen while the truth says something.
    """
    if not truth:
        raise BagError(
            f"what do the faces of {root} show? Name a recorded topic or a CSV file with start,end,label[,face_id]: "
            "--option truth=labels.csv"
        )
    _check_numbers(detection_width=detection_width, per_second=per_second, min_score=min_score, min_focus=min_focus)
    finder = FaceFinder(
        make_detector(detector, model_path=detector_model or None), FinderSettings(detection_width=detection_width)
    )
    taken = _TakenFaces(spelled_out(Path(root).resolve().name), per_second, Criteria(min_score, min_focus))
    with Bag(root) as bag:
        topic = choose_image_topic(bag, image)
        known = read_truth(str(truth), bag, first_stamp(bag, topic))
        search = Search(bag, topic, finder)
        for number, searched in enumerate(search.images()):
            for face in searched.faces:
                taken.offer(number, searched.stamp, face, known.label(searched.stamp, face))
            if progress is not None:
                progress(number + 1, topic.count)
        skipped = [Skipped(topic.name, f"{count} times: {why}") for why, count in search.unreadable.items()]
        skipped += [Skipped(truth, f"{word!r}, {count} times, is no emotion") for word, count in known.ignored.items()]
    if not len(taken):
        why = "; ".join(f"{name}: {reason}" for name, reason in [*skipped, *taken.left_out[:1]]) or "no face is seen"
        raise BagError(
            f"{root}: no face can be taken at a time for which {truth} names an emotion ({why}): do its times and the "
            "images' stamps belong together?"
        )
    found = taken.face_set(skipped)
    return found.restrict([label for label, count in found.counts().items() if count])


def _check_numbers(**options: Any) -> None:
    """BagError for an option that is not a number of 0 or more."""
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise BagError(f"{option} is {value!r}: expected a number, 0 or more")


class _TakenFaces:
    """The faces of a recording that become a data set, and those that were left out, each with the reason."""

    def __init__(self, recording: str, per_second: float, criteria: Criteria) -> None:
        self._recording = recording
        self._per_second = per_second
        self._criteria = criteria
        self._taken: List[_TakenFace] = []
        self._last_taken: Dict[int, int] = {}
        self._stretches = Stretches()
        self.left_out: List[Skipped] = []

    def __len__(self) -> int:
        return len(self._taken)

    def offer(self, number: int, stamp: int, face: Face, label: Optional[str]) -> None:
        """Take a face of image `number` with its `stamp` (nanoseconds) under its true label, or leave it out."""
        name = f"{self._recording}/image {number}/face {face.face_id}"
        if label is None:
            self.left_out.append(Skipped(name, "no true label at that time"))
            return
        reason = self._reason_against(stamp, face)
        if reason is not None:
            self.left_out.append(Skipped(name, reason))
            return
        self._last_taken[face.face_id] = stamp
        self._taken.append(_TakenFace(
            face.crop, EIGHT.index(label), name, f"{self._recording}/face {face.face_id}",
            f"{self._recording}/{self._stretches.of(face.face_id, label)}",
        ))

    def face_set(self, skipped: Sequence[Skipped]) -> FaceSet:
        """The faces taken, of which there has to be one, over all eight emotions."""
        faces, labels, names, subjects, groups = zip(*self._taken)
        return FaceSet(
            faces=faces, labels=np.array(labels, np.int64), classes=EIGHT, names=names, subjects=subjects,
            groups=groups, skipped=tuple(skipped), left_out=tuple(self.left_out),
        )

    def _reason_against(self, stamp: int, face: Face) -> Optional[str]:
        before = self._last_taken.get(face.face_id)
        apart = 1e9 / self._per_second if self._per_second else 0.0
        if before is not None and 0 <= stamp - before < apart:
            return f"another of the {self._per_second:g} a second of that person was taken"
        return fault(Candidate(face.crop, face.score), self._criteria)


class _TakenFace(NamedTuple):
    """One face as a FaceSet describes it; label: an index into EIGHT."""

    crop: np.ndarray
    label: int
    name: str
    subject: str
    group: str
