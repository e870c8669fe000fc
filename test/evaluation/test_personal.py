"""What `evaluate --personal` says, on people who are made of an expression and an offset of their own."""
import dataclasses

import numpy as np
import pytest

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.evaluation.measurement import Measurement
from siamese_emotion_ros.evaluation.personal import measure_personal
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.recognizer import Settings

CLASSES = ("anger", "happiness", "neutral")
PLACES = np.array([[0, 3], [3, 0], [0, 0]], np.float32)


class Model:
    """Only its name and size count: the embeddings are given."""

    fingerprint, embedding_dim, head = "m", 2, None


@pytest.fixture
def gallery():
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    return Gallery(
        embeddings=(PLACES[labels] + random.normal(0, 0.4, (90, 2))).astype(np.float32), labels=labels,
        classes=CLASSES, names=tuple(f"anchor{i}" for i in range(90)), model_fingerprint="m", k=9,
    )


def measured(spread, people=20, each=4):
    """`people` with an offset of `spread`, who show every emotion `each` times."""
    random = np.random.default_rng(1)
    labels = np.tile(np.repeat(np.arange(3), each), people)
    person = np.repeat(np.arange(people), 3 * each)
    own = random.normal(0, spread, (people, 2)) if spread else np.zeros((people, 2))
    embeddings = PLACES[labels] + own[person] + random.normal(0, 0.3, (len(labels), 2))
    faces = FaceSet(
        np.zeros((len(labels), 4, 4), np.uint8), labels, CLASSES, tuple(f"face{i}" for i in range(len(labels))),
        subjects=tuple(f"person{i}" for i in person),
    )
    return Measurement({}, faces, embeddings.astype(np.float32), None)


def figures(measurement, gallery, **options):
    return measure_personal(measurement, Model(), gallery, Settings(), replicates=200, **options)


def test_people_who_differ_at_rest_are_named_better_with_their_own_neutral(gallery):
    found = figures(measured(spread=2.0), gallery, shots=2)
    assert found["personal"]["top1"] > 0.95 and found["plain"]["top1"] < 0.85
    gain = found["top1_gain"]
    assert gain["mean"] == pytest.approx(found["personal"]["top1"] - found["plain"]["top1"])
    assert 0 < gain["low"] < gain["mean"] < gain["high"]


def test_people_who_do_not_differ_gain_nothing(gallery):
    gain = figures(measured(spread=0.0), gallery, shots=3)["top1_gain"]
    assert gain["low"] <= 0.01 and abs(gain["mean"]) < 0.03


def test_a_person_drawn_twice_brings_all_faces_twice(gallery):
    # Ten faces at rest that look happy until it is known, and one of somebody whom everybody knows how to read.
    odd, plain = np.tile([3.0, 0.0], (12, 1)), np.zeros((3, 2))
    faces = FaceSet(
        np.zeros((15, 4, 4), np.uint8), np.full(15, 2), CLASSES, tuple(f"face{i}" for i in range(15)),
        subjects=("odd",) * 12 + ("plain",) * 3,
    )
    measurement = Measurement({}, faces, np.concatenate([odd, plain]).astype(np.float32), None)
    gain = figures(measurement, gallery, shots=2)["top1_gain"]
    assert (gain["low"], gain["high"]) == (0.0, 1.0) and gain["mean"] == pytest.approx(10 / 11)


def test_the_faces_learnt_from_are_asked_about_in_neither(gallery):
    found = figures(measured(spread=1.0), gallery, shots=3)
    assert (found["people"], found["calibration_faces"], found["people_without_neutral"]) == (20, 60, 0)
    assert found["plain"]["n"] == found["personal"]["n"] == 20 * 12 - 60
    assert found["plain"]["per_class"]["neutral"]["n"] == 20
    assert figures(measured(spread=1.0), gallery, shots=99)["calibration_faces"] == 80


def test_who_shows_no_neutral_face_is_left_out(gallery):
    whole = measured(spread=1.0)
    keep = ~((whole.faces.labels == 2) & (np.arange(len(whole.faces)) < 24))
    less = Measurement({}, whole.faces.select(keep), whole.embeddings[keep], None)
    found = figures(less, gallery)
    assert (found["people"], found["people_without_neutral"]) == (18, 2)


def test_who_shows_nothing_but_the_neutral_faces_that_are_learnt_from_is_not_counted(gallery):
    whole = measured(spread=1.0)
    keep = (whole.faces.labels == 2) & (np.arange(len(whole.faces)) < 24) | (np.arange(len(whole.faces)) >= 24)
    found = figures(Measurement({}, whole.faces.select(keep), whole.embeddings[keep], None), gallery, shots=4)
    assert (found["people"], found["people_without_rest"], found["calibration_faces"]) == (18, 2, 72)


def test_what_cannot_be_measured_is_refused(gallery):
    measurement = measured(spread=1.0)
    nobody = dataclasses.replace(measurement, faces=dataclasses.replace(measurement.faces, subjects=None))
    with pytest.raises(ValueError, match="does not tell who is pictured"):
        figures(nobody, gallery)
    with pytest.raises(ValueError, match="without neutral: choose classes with it, and faces that have it"):
        figures(measurement, gallery.restrict(["anger", "happiness"]))
    with pytest.raises(ValueError, match="at least 1"):
        figures(measurement, gallery, shots=0)
