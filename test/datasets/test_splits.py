from __future__ import annotations

import warnings
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.datasets.face_set import DataSetError, FaceSet
from siamese_emotion_ros.datasets.splits import LeakWarning, split, split_classes
from siamese_emotion_ros.recognition.emotions import SEVEN

anyhow = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}


def face_set(labels, subjects=None, groups=None, official=None):
    count = len(labels)
    return FaceSet(
        faces=np.zeros((count, 2, 2), np.uint8),
        labels=np.array(labels, dtype=np.int64),
        classes=SEVEN,
        names=tuple(f"face{i}" for i in range(count)),
        subjects=None if subjects is None else tuple(map(str, subjects)),
        groups=None if groups is None else tuple(map(str, groups)),
        official_split=None if official is None else np.array(official),
    )


def assert_partition(parts, count):
    together = np.concatenate(list(parts.values()))
    assert sorted(together.tolist()) == list(range(count))
    for indices in parts.values():
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()


def assert_kept_together(units, parts):
    seen = defaultdict(set)
    for name, indices in parts.items():
        for i in indices:
            seen[units[i]].add(name)
    assert all(len(names) == 1 for names in seen.values())


many_labels = st.lists(st.integers(0, len(SEVEN) - 1), min_size=20, max_size=200)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.filterwarnings("ignore::siamese_emotion_ros.datasets.splits.LeakWarning")
@anyhow
@given(
    st.lists(st.integers(0, 4), min_size=60, max_size=200), seeds, st.sampled_from(["paper", "stratified", "subject"])
)
def test_the_parts_of_some_classes_are_those_of_the_whole_set(labels, seed, scheme):
    assume({0, 3} <= set(labels))
    whole = face_set(labels, subjects=[row // 3 for row in range(len(labels))])
    parts = split(whole, scheme, seed)
    some, restricted = split_classes(whole, (SEVEN[3], SEVEN[0]), scheme, seed)
    assert some.classes == (SEVEN[3], SEVEN[0]) and len(some) == labels.count(0) + labels.count(3)
    assert_partition(restricted, len(some))
    for name, rows in restricted.items():
        assert [some.names[row] for row in rows] == [whole.names[row] for row in parts[name] if labels[row] in (0, 3)]


@anyhow
@given(many_labels, seeds, st.sampled_from(["paper", "stratified"]))
def test_by_image_every_class_is_divided_to_within_one_face(labels, seed, scheme):
    parts = split(face_set(labels), scheme, seed)
    assert_partition(parts, len(labels))
    for label in range(len(SEVEN)):
        total = labels.count(label)
        for name, indices in parts.items():
            assert abs(sum(labels[i] == label for i in indices) - SHARES[name] * total) <= 1


@anyhow
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), min_size=60, max_size=200), seeds)
def test_subjects_never_cross(faces, seed):
    labels, subjects = zip(*faces)
    try:
        parts = split(face_set(list(labels), subjects=subjects), "subject", seed)
    except DataSetError:
        assert len(set(subjects)) < 15, "enough people for 70/15/15"
        return
    assert_partition(parts, len(faces))
    assert_kept_together(subjects, parts)


@anyhow
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4)), min_size=40, max_size=60), seeds)
def test_sequences_never_cross_and_classes_stay_near_their_shares(sequences, seed):
    labels = [label for label, frames in sequences for _ in range(frames)]
    groups = [i for i, (_, frames) in enumerate(sequences) for _ in range(frames)]
    parts = split(face_set(labels, groups=groups), "stratified", seed)
    assert_partition(parts, len(labels))
    assert_kept_together(groups, parts)
    for label in range(len(SEVEN)):
        for name, indices in parts.items():
            wanted = SHARES[name] * labels.count(label)
            assert abs(sum(labels[i] == label for i in indices) - wanted) <= 4, "off by one sequence at most"


@pytest.mark.parametrize("scheme", ["paper", "stratified", "subject"])
def test_seed_decides_and_repeats(scheme):
    faceset = face_set([i % 7 for i in range(210)], subjects=[i // 7 for i in range(210)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)
        first, again, other = (split(faceset, scheme, seed)["test"].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_the_split_of_a_seed_is_the_same_on_every_machine():
    parts = split(face_set([0, 1] * 10), "stratified", seed=3)
    assert parts["val"].tolist() == [8, 13, 16]
    assert parts["test"].tolist() == [9, 11, 18]


def test_many_small_classes_do_not_starve_one_part():
    parts = split(face_set([label for label in range(7) for _ in range(3)]), "stratified")
    assert len(parts["val"]) == 3 and len(parts["test"]) == 3


@pytest.mark.parametrize("seed", range(10))
def test_a_long_sequence_is_placed_while_there_is_room_for_it(seed):
    groups = [0] * 15 + list(range(1, 86))
    parts = split(face_set([0] * 100, groups=groups), "stratified", seed)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [70, 15, 15]


def test_official_split_is_taken_as_published():
    parts = split(face_set([0, 1, 2, 3], official=["train", "val", "train", "val"]), "official")
    assert {name: indices.tolist() for name, indices in parts.items()} == {
        "train": [0, 2], "val": [1, 3], "test": []}


def test_paper_split_warns_how_many_sequences_leak():
    labels, groups = [0] * 60, [i // 3 for i in range(60)]
    faceset = face_set(labels, subjects=[g // 4 for g in groups], groups=groups)
    with pytest.warns(LeakWarning) as caught:
        parts = split(faceset, "paper")
    part_of = {i: name for name, indices in parts.items() for i in indices.tolist()}
    crossing = sum(len({part_of[3 * g + k] for k in range(3)}) > 1 for g in range(20))
    assert f"{crossing} groups" in str(caught[0].message)
    assert "subjects" in str(caught[1].message)


@pytest.mark.parametrize("scheme", ["stratified", "subject"])
def test_honest_splits_do_not_warn(scheme):
    faceset = face_set([0, 1] * 60, subjects=[i // 4 for i in range(120)], groups=[i // 2 for i in range(120)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split(faceset, scheme)


def test_paper_split_does_not_warn_where_nothing_can_leak():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split(face_set([0, 1] * 20), "paper")


@pytest.mark.parametrize("make, message", [
    (lambda: split(face_set([0] * 20), "random"), "unknown split 'random'.*official, stratified, subject, paper"),
    (lambda: split(face_set([0] * 20), "official"), "no official split"),
    (lambda: split(face_set([0] * 20), "subject"), "who is pictured"),
    (lambda: split(face_set([0] * 20, subjects=[1] * 20), "subject"), "20 faces in 1 inseparable"),
    (lambda: split(face_set([0, 1]), "stratified"), "too few"),
    (lambda: split(face_set([]), "stratified"), "too few"),
])
def test_what_cannot_be_split_is_refused(make, message):
    with pytest.raises(DataSetError, match=message):
        make()
