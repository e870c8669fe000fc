"""Exact k-NN against a plain-Python reading of its definition."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.recognition import neighbors
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.neighbors import (
    CACHE_LINE,
    QUERIES_AT_ONCE,
    NearestAnchors,
    majority_vote,
    on_cache_lines,
)

#: The search that is taken where it was compiled, and the one that stands in for it elsewhere.
SEARCHES = {"compiled": neighbors.COMPILED, "definition": neighbors.by_definition}


needs_compiled = pytest.mark.skipif(SEARCHES["compiled"] is None, reason="src/nearest.c is not compiled: `make test`")


@pytest.fixture(params=[pytest.param("compiled", marks=needs_compiled), "definition"])
def search(request, monkeypatch):
    """Have NearestAnchors use one of the two."""
    monkeypatch.setattr(neighbors, "COMPILED", SEARCHES["compiled"] if request.param == "compiled" else None)


def distance(a, b):
    return math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b)))


@settings(max_examples=40)
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


@settings(max_examples=150)
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


@needs_compiled
@settings(max_examples=100)
@given(
    st.integers(0, 10_000), st.sampled_from([1, 15, 31, 32, 33, 128]), st.integers(1, 200), st.integers(1, 9), st.data()
)
def test_the_compiled_search_answers_as_its_definition_does(seed, dimensions, count, n_queries, data):
    """With and without what is left over of dimensions, and of anchors, that are looked at together."""
    random = np.random.default_rng(seed)
    anchors = random.integers(-2, 3, (count, dimensions)).astype(np.float32)
    labels = (np.arange(count) % 3).astype(np.int32)
    queries = random.integers(-2, 3, (n_queries, dimensions)).astype(np.float32)
    k = data.draw(st.integers(1, count))
    answers = []
    for search in (SEARCHES["compiled"], SEARCHES["definition"]):
        answer = (np.empty((n_queries, k), np.float32), np.empty((n_queries, k), np.int64),
                  np.empty((n_queries, min(3, count)), np.float32))
        search(anchors, labels, queries, *answer)
        answers.append(answer)
    np.testing.assert_allclose(answers[0][0], answers[1][0], rtol=1e-6)
    np.testing.assert_array_equal(answers[0][1], answers[1][1])
    np.testing.assert_allclose(answers[0][2], answers[1][2], rtol=1e-6)


@settings(max_examples=40)
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


def test_far_from_the_origin_both_searches_keep_the_digits(search):
    random = np.random.default_rng(0)
    anchors = (1e4 + random.normal(size=(200, 4))).astype(np.float32)
    distances, indices, _ = NearestAnchors(anchors, np.arange(200) % 3, 3).query(anchors[:9], 5)
    measured = np.linalg.norm(anchors[:9, None].astype(np.float64) - anchors[None], axis=2)
    np.testing.assert_allclose(distances, np.sort(measured, axis=1)[:, :5], rtol=1e-5)
    np.testing.assert_array_equal(indices[:, 0], np.arange(9))


def test_more_distances_than_are_kept_at_once_change_nothing(monkeypatch, search):
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 3000)
    nearest = NearestAnchors(random.normal(size=(3000, 8)).astype(np.float32), labels, 4)
    queries = random.normal(size=(20, 8)).astype(np.float32)
    whole = nearest.query(queries, 12)
    monkeypatch.setattr(neighbors, "DISTANCES_AT_ONCE", 7 * 3000)
    monkeypatch.setattr(neighbors, "QUERIES_AT_ONCE", 9)
    for at_once, part in zip(whole, nearest.query(queries, 12)):
        np.testing.assert_array_equal(part, at_once)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("count", [20, 600])
def test_a_broken_embedding_is_answered_with_nan_and_spoils_no_other(broken, count, search):
    """A network in float16 may overflow on one face of a frame."""
    random = np.random.default_rng(0)
    nearest = NearestAnchors(random.normal(size=(count, 8)).astype(np.float32), np.arange(count) % 3, 3)
    queries = random.normal(size=(3, 8)).astype(np.float32)
    alone = nearest.query(queries[[0, 2]], 5)
    queries[1, 4] = broken
    distances, indices, class_distances = nearest.query(queries, 5)
    for part in (distances[1], class_distances[1]):
        np.testing.assert_array_equal(part, np.full_like(part, broken))
    assert len(set(indices[1])) == 5
    for part, expected in zip((distances, indices, class_distances), alone):
        np.testing.assert_allclose(part[[0, 2]], expected, rtol=1e-6)


def test_nobody_asks_nothing():
    nearest = NearestAnchors(np.eye(3, dtype=np.float32), np.arange(3), 3)
    assert [part.shape for part in nearest.query(np.empty((0, 3), np.float32), 2)] == [(0, 2), (0, 2), (0, 3)]


def test_many_queries_answer_like_one_at_a_time(search):
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


@pytest.mark.parametrize("offset", [0, 4, 64])
def test_arrays_are_copied_to_the_start_of_a_cache_line_unless_they_are_there(offset):
    room = np.zeros(4096, np.uint8)
    start = -room.ctypes.data % CACHE_LINE + offset
    array = room[start : start + 240].view(np.float32).reshape(5, 12)
    array[...] = np.arange(60).reshape(5, 12)
    aligned = on_cache_lines(array)
    assert aligned.ctypes.data % CACHE_LINE == 0 and aligned.flags.c_contiguous
    assert (aligned is array) == (offset != 4)
    np.testing.assert_array_equal(aligned, array)
    np.testing.assert_array_equal(on_cache_lines(array[:, ::2]), array[:, ::2])


def test_the_embeddings_of_a_gallery_begin_on_a_cache_line():
    room = np.ones((4, 3), np.float32)
    gallery = Gallery(room[1:], np.zeros(3, np.int64), ("fear",), ("a", "b", "c"), "model", k=1)
    for embeddings in (gallery.embeddings, gallery.select(np.array([1, 2])).embeddings):
        assert embeddings.ctypes.data % CACHE_LINE == 0


@pytest.mark.parametrize("largest", [1e16, -1e16])
def test_embeddings_between_which_distances_overflow_are_refused(largest):
    embeddings = np.array([[0, 1], [largest, 0]], np.float32)
    with pytest.raises(ValueError, match="an embedding holds 1e.16: expected at most 1e.15"):
        Gallery(embeddings, np.zeros(2, np.int64), ("fear",), ("a", "b"), "model", k=1)


def test_a_class_without_an_anchor_is_infinitely_far(search):
    nearest = NearestAnchors(np.eye(3, dtype=np.float32), np.array([0, 0, 2]), 3)
    assert nearest.query(np.eye(3, dtype=np.float32)[:1], 1)[2].tolist() == [[0.0, np.inf, pytest.approx(2**0.5)]]


def test_labels_that_no_class_has_are_refused():
    with pytest.raises(ValueError, match="labels go from 0 to 2: expected 0 to 1"):
        NearestAnchors(np.eye(3, dtype=np.float32), np.arange(3), 2)
    with pytest.raises(ValueError, match="labels go from -1 to 1: expected 0 to 1"):
        NearestAnchors(np.eye(3, dtype=np.float32), np.arange(3) - 1, 2)


def arrays(**changes):
    """Arguments of the compiled search, some of them changed."""
    arguments = {
        "anchors": np.zeros((4, 3), np.float32), "labels": np.zeros(4, np.int32),
        "embeddings": np.zeros((2, 3), np.float32), "distances": np.zeros((2, 1), np.float32),
        "nearest": np.zeros((2, 1), np.int64), "class_distances": np.zeros((2, 1), np.float32),
    }
    return list({**arguments, **changes}.values())


@needs_compiled
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"anchors": np.zeros((4, 3))}, "anchors is of format d"),
        ({"labels": np.zeros(4, np.int64)}, "labels is of format l"),
        ({"embeddings": np.zeros(3, np.float32)}, "embeddings is of format f with 1 dimensions"),
        ({"embeddings": np.zeros((2, 2), np.float32)}, "do not belong together"),
        ({"labels": np.zeros(3, np.int32)}, "do not belong together"),
        ({"nearest": np.zeros((2, 2), np.int64)}, "do not belong together"),
        ({"nearest": np.zeros((1, 1), np.int64)}, "do not belong together"),
        ({"distances": np.zeros((1, 1), np.float32)}, "do not belong together"),
        ({"distances": np.zeros((2, 0), np.float32), "nearest": np.zeros((2, 0), np.int64)}, "do not belong together"),
        ({"distances": np.zeros((2, 5), np.float32), "nearest": np.zeros((2, 5), np.int64)}, "do not belong together"),
        ({"class_distances": np.zeros((1, 1), np.float32)}, "do not belong together"),
    ],
)
def test_the_compiled_search_reads_and_writes_no_memory_that_is_not_there(changes, reason):
    with pytest.raises(ValueError, match=reason):
        SEARCHES["compiled"](*arrays(**changes))


@needs_compiled
def test_the_compiled_search_takes_no_views_with_gaps():
    with pytest.raises((ValueError, BufferError)):
        SEARCHES["compiled"](*arrays(embeddings=np.zeros((2, 6), np.float32)[:, ::2]))
    with pytest.raises(TypeError, match="takes 6 arrays, not 2"):
        SEARCHES["compiled"](*arrays()[:2])


def test_most_votes_win():
    winner, shares = majority_vote(np.array([2, 0, 0, 1, 0]), np.array([0.1, 1, 1, 1, 1]), 4)
    assert winner == 0
    assert shares.tolist() == pytest.approx([0.6, 0.2, 0.2, 0.0])


def test_a_tie_goes_to_the_class_with_the_smaller_summed_distance():
    assert majority_vote(np.array([1, 0, 0, 1]), np.array([0.5, 0.6, 0.7, 0.9]), 2)[0] == 0
    assert majority_vote(np.array([1, 0, 0, 1]), np.array([0.3, 0.6, 0.7, 0.9]), 2)[0] == 1
