from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from siamese_emotion_ros.datasets.face_set import DataSetError, FaceSet, Skipped
from siamese_emotion_ros.datasets.repeats import first_occurrences, group_repeats


@pytest.fixture
def faceset(texture):
    return FaceSet(
        faces=tuple(texture(i, 8 + i) for i in range(5)),
        labels=np.array([0, 1, 2, 1, 0]),
        classes=("anger", "fear", "neutral"),
        names=("a", "b", "c", "d", "e"),
        subjects=("S1", "S1", "S2", "S2", "S3"),
        groups=("g1", "g1", "g2", "g3", "g4"),
        official_split=np.array(["train", "train", "val", "test", "test"]),
        soft_labels=np.array(
            [[1, 0, 0], [0.5, 0.25, 0.25], [0, 0, 1], [0, 1, 0], [0.5, 0, 0.5]], dtype=np.float32),
        skipped=(Skipped("f", "is empty"),),
    )


def test_select_takes_every_column_along(faceset):
    chosen = faceset.select([3, 0])
    assert [face.shape for face in chosen.faces] == [(11, 11), (8, 8)]
    assert chosen.labels.tolist() == [1, 0]
    assert chosen.names == ("d", "a")
    assert chosen.subjects == ("S2", "S1")
    assert chosen.groups == ("g3", "g1")
    assert chosen.official_split.tolist() == ["test", "train"]
    assert chosen.soft_labels.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_select_by_mask_and_nothing(faceset):
    assert faceset.select(faceset.labels == 1).names == ("b", "d")
    assert len(faceset.select([])) == 0
    with pytest.raises(IndexError):
        faceset.select([5])


def test_select_of_faces_of_one_size_stays_one_array(texture):
    faces = np.stack([texture(i) for i in range(3)])
    chosen = FaceSet(faces, np.zeros(3, np.int64), ("fear",), ("a", "b", "c")).select([2, 1])
    np.testing.assert_array_equal(chosen.faces, faces[[2, 1]])


def test_restrict_renumbers_in_the_given_order(faceset):
    restricted = faceset.restrict(("neutral", "angry"))
    assert restricted.classes == ("neutral", "anger")
    assert restricted.names == ("a", "c", "e")
    assert restricted.labels.tolist() == [1, 0, 1]
    np.testing.assert_allclose(restricted.soft_labels, [[0, 1], [1, 0], [0.5, 0.5]])
    assert restricted.counts() == {"neutral": 1, "anger": 2}


def test_restrict_names_the_class_that_is_missing(faceset):
    with pytest.raises(DataSetError, match="this data set has no contempt and no disgust, only anger, fear, neutral"):
        faceset.restrict(("anger", "contempt", "disgust"))


@pytest.mark.parametrize("classes", [("anger", "sadness"), ("anger", "anger"), ()])
def test_restrict_to_what_is_not_there(faceset, classes):
    with pytest.raises(DataSetError, match="anger, fear, neutral"):
        faceset.restrict(classes)


def test_what_is_not_kept_is_left_out_with_its_reason(faceset):
    kept = faceset.keep(faceset.labels != 2, "too calm")
    assert kept.counts() == {"anger": 2, "fear": 2, "neutral": 0}
    assert kept.left_out == (Skipped("c", "too calm"),) and kept.left_out_counts() == {"too calm": 1}
    assert kept.skipped == faceset.skipped


@pytest.mark.parametrize("change, message", [
    ({"labels": np.array([0, 1, 2, 1])}, r"labels are int64 \(4,\)"),
    ({"labels": np.array([0, 1, 2, 1, 0], dtype=np.int32)}, "labels are int32"),
    ({"labels": np.array([0, 1, 3, 1, 0])}, "labels span 0..3 for 3 classes"),
    ({"labels": np.array([0, 1, -1, 1, 0])}, "labels span -1"),
    ({"classes": ("anger", "fear", "fear")}, "distinct"),
    ({"classes": ("anger", "fear", "calm")}, "unknown emotion 'calm'"),
    ({"classes": ("angry", "fear", "neutral")}, "canonical"),
    ({"names": ("a", "b", "c", "d", "a")}, "'a' is used twice"),
    ({"subjects": ("S1",)}, "1 subjects for 5 faces"),
    ({"official_split": np.array(["train", "val", "test", "dev", "test"])}, "dev"),
    ({"faces": tuple(np.zeros((4, 4, 3), np.uint8) for _ in range(5))}, r"face 0 is uint8 \(4, 4, 3\)"),
    ({"faces": tuple(np.zeros((4, 4), np.float32) for _ in range(5))}, "face 0 is float32"),
    ({"faces": tuple(np.zeros((0, 4), np.uint8) for _ in range(5))}, "face 0"),
    ({"faces": np.zeros((5, 4, 4), np.float32)}, "faces are float32"),
    ({"soft_labels": np.zeros((5, 2), np.float32)}, "soft labels are float32 \\(5, 2\\)"),
    ({"soft_labels": np.full((5, 3), 0.5, np.float32)}, "sum 1"),
    ({"soft_labels": np.tile(np.float32([2, -1, 0]), (5, 1))}, "not negative"),
    ({"soft_labels": np.full((5, 3), np.nan, np.float32)}, "soft labels"),
])
def test_inconsistent_columns_are_refused(faceset, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(faceset, **change)


def test_repeats_are_by_pixels_and_shape():
    flat = np.arange(16, dtype=np.uint8)
    faces = (flat.reshape(4, 4), flat.reshape(2, 8), flat.reshape(4, 4).copy(), flat.reshape(4, 4) + 1)
    assert first_occurrences(faces).tolist() == [0, 1, 0, 3]


def test_group_repeats_names_the_group_after_its_first_face(texture):
    faces = (texture(1), texture(2), texture(1))
    faceset = FaceSet(faces, np.zeros(3, np.int64), ("fear",), ("a", "b", "c"))
    assert group_repeats(faceset).groups == ("a", "b", "a")
