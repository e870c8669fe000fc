"""The faces of a recording whose emotion somebody has told, as a data set: of them anchors can be made."""
from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Union

import numpy as np

from siamese_emotion_ros.bags.decoding import choose_image_topic
from siamese_emotion_ros.bags.reading import Bag, BagError
from siamese_emotion_ros.datasets.face_set import FaceSet, Progress, Skipped
from siamese_emotion_ros.evaluation.bag_replay import Search, first_stamp
from siamese_emotion_ros.evaluation.bag_truth import Stretches, read_truth
from siamese_emotion_ros.faces.detectors import make_detector
from siamese_emotion_ros.faces.finder import FaceFinder, FinderSettings
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
    numbers = {"detection_width": detection_width, "per_second": per_second, "min_score": min_score,
               "min_focus": min_focus}
    for option, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise BagError(f"{option} is {value!r}: expected a number, 0 or more")
    finder = FaceFinder(
        make_detector(detector, model_path=detector_model or None), FinderSettings(detection_width=detection_width)
    )
    criteria = Criteria(min_score, min_focus)
    apart = 1e9 / per_second if per_second else 0.0
    faces: List[np.ndarray] = []
    labels: List[int] = []
    names: List[str] = []
    subjects: List[str] = []
    groups: List[str] = []
    left_out: List[Skipped] = []
    last_taken: Dict[int, int] = {}
    stretches, recording = Stretches(), spelled_out(Path(root).resolve().name)
    with Bag(root) as bag:
        topic = choose_image_topic(bag, image)
        said = read_truth(str(truth), bag, first_stamp(bag, topic))
        search = Search(bag, topic, finder)
        for number, sought in enumerate(search.images()):
            for face in sought.faces:
                name = f"{recording}/image {number}/face {face.face_id}"
                label = said.label(sought.stamp, face)
                before = last_taken.get(face.face_id)
                if label is None:
                    reason: Optional[str] = "no true label at that time"
                elif before is not None and 0 <= sought.stamp - before < apart:
                    reason = f"another of the {per_second:g} a second of that person was taken"
                else:
                    reason = fault(Candidate(face.crop, face.score), criteria)
                if label is None or reason is not None:
                    left_out.append(Skipped(name, str(reason)))
                    continue
                last_taken[face.face_id] = sought.stamp
                faces.append(face.crop)
                labels.append(EIGHT.index(label))
                names.append(name)
                subjects.append(f"{recording}/face {face.face_id}")
                groups.append(f"{recording}/{stretches.of(face.face_id, label)}")
            if progress is not None:
                progress(number + 1, topic.count)
        skipped = [Skipped(topic.name, f"{count} times: {why}") for why, count in search.unreadable.items()]
        skipped += [Skipped(truth, f"{word!r}, {count} times, is no emotion") for word, count in said.ignored.items()]
    if not faces:
        why = "; ".join(f"{name}: {reason}" for name, reason in [*skipped, *left_out[:1]]) or "no face is seen"
        raise BagError(
            f"{root}: no face can be taken at a time for which {truth} names an emotion ({why}): do its times and the "
            "images' stamps belong together?"
        )
    found = FaceSet(
        faces=tuple(faces), labels=np.array(labels, np.int64), classes=EIGHT, names=tuple(names),
        subjects=tuple(subjects), groups=tuple(groups), skipped=tuple(skipped), left_out=tuple(left_out),
    )
    return found.restrict([label for label, count in found.counts().items() if count])
