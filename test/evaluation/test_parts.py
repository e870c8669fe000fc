"""Parts of a data set by the words that people use for them."""
from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.datasets.face_set import DataSetError
from siamese_emotion_ros.datasets.splits import split, trained_digest
from siamese_emotion_ros.evaluation.parts import choose_part, trained_on


@pytest.fixture
def official(make_faces):
    parts = np.array(["train", "val", "test"] * 10)
    return make_faces(10, official_split=parts)


@pytest.mark.parametrize("word, part", [
    ("val", "val"), ("PublicTest", "val"), ("PrivateTest", "test"), ("Training", "train"), ("official:test", "test"),
    ("official", "test"), (None, "test"),
])
def test_official_parts_by_any_name(official, word, part):
    rows, name = choose_part(official, word)
    assert name == f"official:{part}"
    assert set(official.official_split[rows]) == {part}
    assert len(rows) == 10


def test_a_copy_without_test_is_evaluated_on_val(make_faces):
    copy = make_faces(10, official_split=np.array(["train", "val"] * 15))
    assert choose_part(copy)[1] == "official:val"
    with pytest.raises(DataSetError, match="choose train, val"):
        choose_part(copy, "test")


def test_without_an_official_split_everything_is_evaluated(make_faces):
    rows, name = choose_part(make_faces(10))
    assert name == "all"
    assert rows.tolist() == list(range(30))


def test_the_natural_scheme_keeps_people_apart(make_faces):
    faces = make_faces(10, subjects=tuple(f"S{i % 10}" for i in range(30)))
    rows, name = choose_part(faces, "test", seed=3)
    assert name == "subject:test"
    assert rows.tolist() == split(faces, "subject", 3)["test"].tolist()


def test_without_people_the_natural_scheme_is_stratified(make_faces):
    faces = make_faces(20)
    rows, name = choose_part(faces, "train", seed=1)
    assert name == "stratified:train"
    assert rows.tolist() == split(faces, "stratified", 1)["train"].tolist()
    assert choose_part(faces, "paper", seed=1)[1] == "paper:test"


@pytest.mark.parametrize(("part", "seed", "warned"), [
    ("paper:test", 3, False), ("subject:test", 3, True), ("paper:test", 4, True), ("all", 3, True),
])
def test_who_measures_on_another_split_than_was_trained_on_is_told(make_faces, part, seed, warned):
    provenance, faces = {"dataset": "ckplus", "split": "paper", "split_seed": "3"}, make_faces(10)
    told = trained_on(provenance, "ckplus", faces, part, seed)
    assert bool(told) == warned and all("--split paper:test --seed 3" in text for text in told)
    assert not trained_on(provenance, "kdef", faces, part, seed) and not trained_on({}, "ckplus", faces, part, seed)
    folder = {**provenance, "dataset": "folder"}
    assert not trained_on(folder, "folder", faces, part, seed), "which folder?"


def test_the_official_split_has_no_seed(official):
    provenance = {"dataset": "fer2013", "split": "official", "split_seed": "0"}
    assert not trained_on(provenance, "fer2013", official, "official:val", 5)


def test_who_measures_on_the_faces_that_were_learned_is_told(official):
    provenance = {"dataset": "fer2013", "split": "official"}
    told, = trained_on(provenance, "fer2013", official, "official:train", 0)
    assert "has learned these very faces" in told and "--split official:test" in told


def test_who_measures_on_the_same_split_of_other_faces_is_told(make_faces):
    faces = make_faces(20, subjects=tuple(f"S{i % 10}" for i in range(60)))
    digest = trained_digest(faces, "subject", 3)
    provenance = {"dataset": "kdef", "split": "subject", "split_seed": "3", "split_digest": digest}
    assert not trained_on(provenance, "kdef", faces, "subject:test", 3)
    people = np.asarray(faces.subjects)
    without = next(
        fewer for fewer in (faces.select(people != name) for name in faces.subjects)
        if trained_digest(fewer, "subject", 3) != digest
    )
    told, = trained_on(provenance, "kdef", without, "subject:test", 3)
    assert "of other faces" in told and "--option" in told


@pytest.mark.parametrize("word", ["vall", "folds:test", "subject:", ""])
def test_other_words_are_refused_with_those_that_are_known(official, word):
    with pytest.raises(DataSetError, match="expected train, val, test or all"):
        choose_part(official, word)
