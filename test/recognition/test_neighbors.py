"""Exact k-NN against a plain-Python reading of its definition."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.recognition import neighbors
from siamese_emotion_ros.recognition.neighbors import QUERIES_AT_ONCE, NearestAnchors, majority_vote


def distance(a, b):
    return math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 40), st.integers(1, 4), st.data())
def test_query_is_the_k_smallest_euclidean_distances(seed, dimensions, extra, n_classes, data):
    random = np.random.default_rng(seed)
    labels = random.permutation(np.concatenate([np.arange(n_classes), random.integers(0, n_classes, extra)]))
    anchors = random.normal(size=(len(labels), dimensions)).astype(np.float32)
    queries = random.normal(size=(3, dimensions)).astype(np.float32)
    k = data.draw(st.integers(1, len(labels)))

    distances, indices, class_distances = NearestAnchors(anchors, labels, n_classes).query(queries, k)

    for row, query in enumerate(queries):
        every = [distance(query, anchor) for anchor in anchors]
        assert distances[row] == pytest.approx(sorted(every)[:k], abs=1e-5)
        assert [every[i] for i in indices[row]] == pytest.approx(sorted(every)[:k], abs=1e-5)
        assert len(set(indices[row])) == k
        for label in range(n_classes):
            nearest = min(d for d, other in zip(every, labels) if other == label)
            assert class_distances[row, label] == pytest.approx(nearest, abs=1e-5)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(0, 600), st.integers(1, 7), st.integers(1, 9), st.data())
def test_whole_numbers_with_many_ties_are_answered_exactly(seed, dimensions, extra, n_classes, n_queries, data):
    """Between whole numbers every product is exact, so that indices, too, are those of the definition."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.concatenate([np.arange(n_classes), random.integers(0, n_classes, extra)]))
    labels = np.sort(labels) if data.draw(st.booleans()) else labels
    anchors = random.integers(-2, 3, (len(labels), dimensions))
    queries = random.integers(-3, 4, (n_queries, dimensions))
    k = data.draw(st.integers(1, len(labels)))

    found = NearestAnchors(anchors.astype(np.float32), labels, n_classes).query(queries.astype(np.float32), k)
    distances, indices, class_distances = found

    squares = np.square(queries[:, None] - anchors[None]).sum(axis=2)
    expected = np.argsort(squares, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(np.square(distances), np.take_along_axis(squares, expected, axis=1), rtol=1e-6)
    of_class = np.stack([squares[:, labels == label].min(axis=1) for label in range(n_classes)], axis=1)
    np.testing.assert_allclose(np.square(class_distances), of_class, rtol=1e-6)


@pytest.mark.parametrize("n_queries", [1, 2, neighbors.FACES_OF_A_FRAME, neighbors.FACES_OF_A_FRAME + 1])
@pytest.mark.parametrize("count", [3, 70, 1500])
def test_however_anchors_and_faces_are_multiplied_the_answer_is_the_definitions(n_queries, count):
    """As many dimensions as a model has, so that anchors are multiplied in slices, with and without a remainder."""
    random = np.random.default_rng(count + n_queries)
    labels = random.permutation(np.arange(count) % 3)
    anchors = random.integers(-2, 3, (count, 128))
    queries = random.integers(-2, 3, (n_queries, 128))
    k = min(30, count)
    nearest = NearestAnchors(anchors.astype(np.float32), labels, 3)

    distances, indices, class_distances = nearest.query(queries.astype(np.float32), k)

    squares = np.square(queries[:, None] - anchors[None]).sum(axis=2)
    expected = np.argsort(squares, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(np.square(distances), np.take_along_axis(squares, expected, axis=1), rtol=1e-6)
    of_class = np.stack([squares[:, labels == label].min(axis=1) for label in range(3)], axis=1)
    np.testing.assert_allclose(np.square(class_distances), of_class, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1e4), st.integers(1, 30))
def test_neighbours_are_told_apart_where_their_ranks_are_not(seed, far, k):
    """Anchors a hair apart and far from the origin, where |a|^2 - 2 q.a has lost all digits that tell them apart."""
    random = np.random.default_rng(seed)
    anchors = (far + 0.01 * random.normal(size=(200, 4))).astype(np.float32)
    queries = anchors[random.integers(0, 200, 3)]
    distances, indices, _ = NearestAnchors(anchors, np.arange(200) % 3, 3).query(queries, k)
    measured = np.linalg.norm(queries[:, None].astype(np.float64) - anchors[None], axis=2)
    nearest = np.sort(measured, axis=1)[:, :k]
    assert (distances[:, 0] == 0).all()
    np.testing.assert_allclose(distances, nearest, rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(measured, indices, axis=1), nearest, rtol=1e-5)


def test_more_distances_than_are_kept_at_once_change_nothing(monkeypatch):
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 3000)
    nearest = NearestAnchors(random.normal(size=(3000, 8)).astype(np.float32), labels, 4)
    queries = random.normal(size=(20, 8)).astype(np.float32)
    whole = nearest.query(queries, 12)
    monkeypatch.setattr(neighbors, "DISTANCES_AT_ONCE", 7 * 3000)
    monkeypatch.setattr(neighbors, "DIFFERENCES_AT_ONCE", 50)
    monkeypatch.setattr(neighbors, "LARGER_THAN_CACHE", 0)
    for at_once, part in zip(whole, nearest.query(queries, 12)):
        np.testing.assert_allclose(part, at_once, rtol=1e-5)
    for at_once, part in zip(whole, nearest.query(queries[:1], 12)):
        np.testing.assert_allclose(part[0], at_once[0], rtol=1e-5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("count", [20, 600])
def test_a_broken_embedding_is_answered_with_nan_and_spoils_no_other(broken, count):
    """A network in float16 may overflow on one face of a frame."""
    random = np.random.default_rng(0)
    nearest = NearestAnchors(random.normal(size=(count, 8)).astype(np.float32), np.arange(count) % 3, 3)
    queries = random.normal(size=(3, 8)).astype(np.float32)
    alone = nearest.query(queries[[0, 2]], 5)
    queries[1, 4] = broken
    distances, indices, class_distances = nearest.query(queries, 5)
    assert not np.isfinite(distances[1]).any() and not np.isfinite(class_distances[1]).any()
    assert len(set(indices[1])) == 5
    for part, expected in zip((distances, indices, class_distances), alone):
        np.testing.assert_allclose(part[[0, 2]], expected, rtol=1e-6)


def test_nobody_asks_nothing():
    nearest = NearestAnchors(np.eye(3, dtype=np.float32), np.arange(3), 3)
    assert [part.shape for part in nearest.query(np.empty((0, 3), np.float32), 2)] == [(0, 2), (0, 2), (0, 3)]


def test_many_queries_answer_like_one_at_a_time():
    random = np.random.default_rng(1)
    anchors = NearestAnchors(random.normal(size=(50, 8)).astype(np.float32), np.arange(50) % 3, 3)
    queries = random.normal(size=(2 * QUERIES_AT_ONCE + 3, 8)).astype(np.float32)
    together = anchors.query(queries, 5)
    for row in (0, QUERIES_AT_ONCE, len(queries) - 1):
        alone = anchors.query(queries[row : row + 1], 5)
        for whole, one in zip(together, alone):
            np.testing.assert_allclose(whole[row], one[0], rtol=1e-5)


@pytest.mark.parametrize("k", [0, 4])
def test_k_outside_the_gallery_is_refused(k):
    anchors = NearestAnchors(np.eye(3, dtype=np.float32), np.arange(3), 3)
    with pytest.raises(ValueError, match=f"k is {k}: expected 1 to 3"):
        anchors.query(np.zeros((1, 3), np.float32), k)


def test_most_votes_win():
    winner, shares = majority_vote(np.array([2, 0, 0, 1, 0]), np.array([0.1, 1, 1, 1, 1]), 4)
    assert winner == 0
    assert shares.tolist() == pytest.approx([0.6, 0.2, 0.2, 0.0])


def test_a_tie_goes_to_the_class_with_the_smaller_summed_distance():
    assert majority_vote(np.array([1, 0, 0, 1]), np.array([0.5, 0.6, 0.7, 0.9]), 2)[0] == 0
    assert majority_vote(np.array([1, 0, 0, 1]), np.array([0.3, 0.6, 0.7, 0.9]), 2)[0] == 1
