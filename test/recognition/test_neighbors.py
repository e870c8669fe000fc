"""Exact k-NN against a plain-Python reading of its definition."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_a_query_on_an_anchor_far_from_the_origin_has_distance_zero():
    anchors = np.array([[30_000.0, 1.0], [30_000.0, 1.001], [0.0, 0.0]], np.float32)
    distances, indices, _ = NearestAnchors(anchors, np.array([0, 1, 0]), 2).query(anchors[:1], 1)
    assert distances[0, 0] in (0.0, pytest.approx(0.001, rel=0.1))
    assert indices[0, 0] in (0, 1)


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
