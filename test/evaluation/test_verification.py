"""Pairs, ROC and equal-error rate: recomputed from all pairs, and at the extremes."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_emotion_ros.evaluation.verification import (
    pair_distances,
    sample_different,
    sample_same,
    verification,
)

LABELS = st.lists(st.integers(0, 3), min_size=2, max_size=12).map(np.array)


@given(LABELS)
def test_pairs_of_one_class_are_that_and_all_can_be_drawn(labels):
    first, second = sample_same(labels, 3000, np.random.default_rng(0))
    possible = {(i, j) for i, j in itertools.permutations(range(len(labels)), 2) if labels[i] == labels[j]}
    assert set(zip(first.tolist(), second.tolist())) == possible


@given(LABELS)
def test_pairs_of_two_classes_are_that_and_all_can_be_drawn(labels):
    first, second = sample_different(labels, 3000, np.random.default_rng(0))
    possible = {(i, j) for i, j in itertools.permutations(range(len(labels)), 2) if labels[i] != labels[j]}
    assert set(zip(first.tolist(), second.tolist())) == possible


def test_every_pair_is_as_likely_as_any_other():
    labels = np.array([0, 0, 1, 1, 1, 1])
    for sample, count in ((sample_same, 2 + 12), (sample_different, 16)):
        first, second = sample(labels, 60000, np.random.default_rng(0))
        _, times = np.unique(first * 10 + second, return_counts=True)
        assert len(times) == count
        np.testing.assert_allclose(times / 60000, 1 / count, rtol=0.1)


def test_distances_are_euclidean():
    points = np.array([[0, 0], [3, 4], [6, 8]], np.float32)
    assert pair_distances(points, np.array([0, 0]), np.array([1, 2])).tolist() == [5, 10]


def test_separated_classes_have_no_error():
    embeddings = np.array([[0.0], [0.1], [9.0], [9.1]], np.float32)
    found = verification(embeddings, np.array([0, 0, 1, 1]), pairs=500)
    assert found["equal_error_rate"] == pytest.approx(0)
    assert found["auc"] == pytest.approx(1)
    assert 0.1 - 1e-5 <= found["equal_error_distance"] < 9


def test_labels_that_mean_nothing_are_told_apart_by_chance():
    random = np.random.default_rng(0)
    found = verification(random.normal(size=(400, 8)).astype(np.float32), random.integers(0, 4, 400), pairs=5000)
    assert found["equal_error_rate"] == pytest.approx(0.5, abs=0.03)
    assert found["auc"] == pytest.approx(0.5, abs=0.03)


def test_at_the_equal_error_distance_both_errors_are_equal():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    embeddings = (random.normal(size=(300, 4)) + 1.5 * labels[:, None]).astype(np.float32)
    found = verification(embeddings, labels, pairs=20000)
    pairs = np.array(list(itertools.combinations(range(300), 2)))
    distances = np.linalg.norm(embeddings[pairs[:, 0]] - embeddings[pairs[:, 1]], axis=1)
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    accepted = distances <= found["equal_error_distance"]
    assert accepted[~same].mean() == pytest.approx(found["equal_error_rate"], abs=0.02)
    assert 1 - accepted[same].mean() == pytest.approx(found["equal_error_rate"], abs=0.02)


def test_between_two_thresholds_the_equal_error_lies_on_the_line():
    random = np.random.default_rng(3)
    # Three distances in all: the curve is a few long lines, each of which rises and goes right.
    found = verification(random.integers(0, 3, (60, 1)).astype(np.float32), random.integers(0, 3, 60), pairs=5000)
    rate, roc = found["equal_error_rate"], found["roc"]
    assert len(roc["false_accept"]) == 4
    assert 1 - np.interp(rate, roc["false_accept"], roc["true_accept"]) == pytest.approx(rate)
    # The curve's points after its start are for the distances 0 to 5.
    found = verification(random.integers(0, 6, (60, 1)).astype(np.float32), random.integers(0, 3, 60), pairs=5000)
    rate, roc = found["equal_error_rate"], found["roc"]
    assert len(roc["false_accept"]) == 7 and 1 < found["equal_error_distance"] < 2
    assert found["equal_error_distance"] == pytest.approx(np.interp(rate, roc["false_accept"][1:], range(6)))


def test_embeddings_that_are_all_one_tell_nothing_apart():
    found = verification(np.ones((6, 2), np.float32), np.array([0, 0, 0, 1, 1, 1]), pairs=50)
    assert (found["equal_error_rate"], found["equal_error_distance"], found["auc"]) == (0.5, 0, 0.5)


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
def test_without_pairs_of_one_kind_there_is_nothing_to_tell(labels):
    assert verification(np.eye(3, dtype=np.float32), np.array(labels)) is None


def test_same_seed_same_figures():
    embeddings = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    labels = np.arange(60) % 3
    assert verification(embeddings, labels, 300, seed=2) == verification(embeddings, labels, 300, seed=2)
