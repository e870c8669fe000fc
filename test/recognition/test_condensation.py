"""Condensing: shares that hold for any counts, and each method against its own definition."""
from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.recognition.calibration import carried_threshold
from siamese_emotion_ros.recognition.condensation import METHODS, clear_by, clear_to_head, condense, draw, shares
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.leave_one_out import decided_by_others
from siamese_emotion_ros.recognition.neighbors import NearestAnchors

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral")


def gallery_of(points, labels, k=1, threshold=None):
    labels = np.asarray(labels, np.int64)
    names = tuple(f"anchor{i}" for i in range(len(labels)))
    return Gallery(np.asarray(points, np.float32), labels, CLASSES[: labels.max() + 1], names, "0" * 64, k, threshold)


@st.composite
def class_counts(draw):
    return np.array(draw(st.lists(st.integers(1, 5000), min_size=1, max_size=8)), np.int64)


@given(class_counts(), st.integers(0, 2000), st.floats(0, 1))
def test_shares_add_up_to_what_was_asked_rounded_down_and_leave_nobody_out(counts, more, balance):
    anchors = len(counts) + more
    wanted = shares(counts, anchors, balance)
    assert wanted.min() >= 1
    assert anchors - len(counts) <= wanted.sum()
    if (anchors * counts ** (1.0 - balance) >= (counts ** (1.0 - balance)).sum()).all():
        assert wanted.sum() <= anchors, "never more than asked for, where every class has a share of one at least"
    order = np.argsort(counts, kind="stable")
    assert (np.diff(wanted[order]) >= 0).all(), "a larger class never gets fewer"


@given(class_counts(), st.integers(0, 2000))
def test_shares_are_proportional_or_equal_at_the_ends(counts, more):
    anchors = len(counts) + more
    proportional = anchors * counts / counts.sum()
    wanted = shares(counts, anchors)
    assert (np.abs(wanted - np.maximum(proportional, 1)) < 1 + 1e-6).all()
    assert np.ptp(shares(counts, anchors, 1.0)) == 0


@given(class_counts(), st.integers(0, 300), st.integers(0, 5))
def test_a_draw_takes_each_face_once_and_a_small_class_whole(counts, more, seed):
    counts = np.minimum(counts, 60)
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    anchors = len(counts) + more
    rows = draw(labels, len(counts), anchors, seed)
    assert len(set(rows)) == len(rows)
    drawn = np.bincount(labels[rows], minlength=len(counts))
    np.testing.assert_array_equal(drawn, np.minimum(counts, shares(counts, anchors)))


@settings(max_examples=25)
@given(st.sampled_from(METHODS), st.integers(0, 1000), st.integers(3, 40), st.sampled_from([0.0, 0.5, 1.0]))
def test_every_method_keeps_every_class_within_its_share(method, seed, anchors, balance):
    random = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1, 2], random.integers(0, 3, 40)])
    gallery = gallery_of(random.normal(size=(43, 4)) + 2 * labels[:, None], labels, k=5)
    condensed = condense(gallery, anchors, method, seed, balance)
    assert condensed.classes == gallery.classes
    assert (condensed.counts >= 1).all()
    assert condensed.counts.sum() <= anchors + 3
    assert condensed.k == min(5, len(condensed))
    assert len(set(condensed.names)) == len(condensed), "no anchor is taken twice"
    every = condense(gallery, anchors, method, seed, balance, clear=np.ones(43, bool))
    assert (every.counts <= shares(gallery.counts, anchors, balance)).all()
    if method not in ("kmeans", "edited"):
        rows = [gallery.names.index(name) for name in condensed.names]
        np.testing.assert_array_equal(condensed.embeddings, gallery.embeddings[rows])
        assert [gallery.labels[row] for row in rows] == condensed.labels.tolist()


def test_herding_keeps_the_mean_better_than_most_choices():
    points = np.random.default_rng(0).normal(size=(10, 2))
    herded = condense(gallery_of(points, [0] * 10), 4, "herding")

    def off(rows):
        return np.linalg.norm(points[list(rows)].mean(axis=0) - points.mean(axis=0))

    errors = sorted(off(rows) for rows in combinations(range(10), 4))
    assert off([int(name[6:]) for name in herded.names]) <= errors[len(errors) // 10]


def test_herding_takes_one_by_one_what_brings_the_mean_nearest():
    points = np.random.default_rng(1).normal(size=(12, 3))
    chosen = []
    for _ in range(5):
        rest = [row for row in range(12) if row not in chosen]
        chosen.append(min(
            rest, key=lambda row: np.linalg.norm(points[[*chosen, row]].mean(axis=0) - points.mean(axis=0))
        ))
        assert condense(gallery_of(points, [0] * 12), len(chosen), "herding").names == tuple(
            f"anchor{row}" for row in sorted(chosen)
        )


def test_a_method_and_a_judge_that_do_not_exist_are_refused():
    gallery = gallery_of([[3, 1], [1, 3], [3, 1], [1, 3]], [0, 0, 1, 1])
    with pytest.raises(ValueError, match="unknown condensation method 'best': expected one of random, herding"):
        condense(gallery, 2, "best")
    with pytest.raises(ValueError, match="unknown judge 'me' of clear anchors: expected one of neighbors, head"):
        clear_by("me", gallery, Head())
    assert clear_by("head", gallery, Head()).tolist() == [True, False, False, True]
    assert clear_by("neighbors", gallery, Head()).tolist() == [False] * 4


def test_the_first_that_herding_takes_is_nearest_to_the_mean():
    points = [[0.0, 0.0], [1.0, 0.0], [10.0, 0.0]]
    assert condense(gallery_of(points, [0, 0, 0]), 1, "herding").names == ("anchor1",)


def test_hart_keeps_only_what_is_needed_to_name_all_the_others():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    gallery = gallery_of(random.normal(size=(200, 2)) + 4 * labels[:, None], labels, k=3)
    kept = condense(gallery, 150, "hart")
    assert len(kept) < 60
    clear = decided_by_others(gallery, np.arange(200)) == labels
    nearest = NearestAnchors(kept.embeddings, kept.labels, 2).query(gallery.embeddings[clear], 1)[1][:, 0]
    assert (kept.labels[nearest] == labels[clear]).all()


def test_hart_leaves_out_an_anchor_that_its_neighbours_contradict():
    points = [[0, 0], [0, 1], [1, 0], [0.1, 0.1], [9, 9], [9, 8], [8, 9]]
    kept = condense(gallery_of(points, [0, 0, 0, 1, 1, 1, 1], k=3), 7, "hart")
    assert "anchor3" not in kept.names


def test_edited_prototypes_leave_out_what_their_neighbours_contradict():
    points = [[0, 0], [0, 1], [1, 0], [0.1, 0.1], [9, 9], [9, 8], [8, 9]]
    gallery = gallery_of(points, [0, 0, 0, 1, 1, 1, 1], k=3)
    edited = condense(gallery, 2, "edited")
    np.testing.assert_allclose(edited.embeddings, [[1 / 3, 1 / 3], [26 / 3, 26 / 3]], rtol=1e-5)
    assert condense(gallery, 2, "kmeans").embeddings[1, 0] < 8, "what the editing is for"
    told = condense(gallery, 2, "edited", balance=1.0, clear=np.array([True] * 3 + [False] * 3 + [True]))
    np.testing.assert_allclose(told.embeddings[1], [8, 9])


class Head:
    """A model whose head takes the larger of an embedding's first two numbers."""

    spec = SimpleNamespace(head_classes=CLASSES[:2])

    def head_probabilities(self, embeddings, classes):
        return embeddings / embeddings.sum(axis=1, keepdims=True) if set(classes) <= set(CLASSES[:2]) else None


def test_the_head_may_say_which_anchors_are_clear():
    gallery = gallery_of([[3, 1], [1, 3], [3, 1], [1, 3]], [0, 0, 1, 1])
    assert clear_to_head(gallery, Head()).tolist() == [True, False, False, True]
    with pytest.raises(ValueError, match="head knows anger, disgust; expected anger, disgust, fear: let"):
        clear_to_head(gallery_of([[3, 1], [1, 3], [3, 1]], [0, 1, 2]), Head())


def test_a_class_of_which_nothing_is_clear_is_kept_whole():
    points = [[0, 0], [0, 1], [1, 0], [0.1, 0.1], [0.9, 0.1]]
    edited = condense(gallery_of(points, [0, 0, 0, 1, 1], k=3), 4, "edited")
    assert (edited.counts >= 1).all()


def test_hart_ends_although_two_identical_anchors_have_two_labels():
    points = [[0, 0], [0, 0], [5, 5], [5, 5]]
    assert set(condense(gallery_of(points, [0, 1, 0, 1]), 4, "hart").counts) <= {1, 2}


def test_prototypes_of_a_unit_sphere_lie_on_it():
    points = np.random.default_rng(0).normal(size=(60, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    prototypes = condense(gallery_of(points, np.arange(60) % 2), 6, "kmeans").embeddings
    np.testing.assert_allclose(np.linalg.norm(prototypes, axis=1), 1, rtol=1e-5)


def test_a_prototype_is_the_mean_of_its_cluster():
    points = [[0, 0], [0, 2], [100, 0], [100, 2], [0, 50]]
    prototypes = condense(gallery_of(points, [0, 0, 0, 0, 1]), 3, "kmeans")
    assert sorted(prototypes.embeddings.tolist()) == [[0, 1], [0, 50], [100, 1]]


@pytest.mark.parametrize("method", METHODS)
def test_the_carried_threshold_leaves_as_many_known(method):
    random = np.random.default_rng(0)
    labels = np.arange(2000) % 2
    points = random.normal(size=(2000, 3)) + 3 * labels[:, None]
    fresh = (random.normal(size=(2000, 3)) + 3 * labels[:, None]).astype(np.float32)
    full = gallery_of(points, labels, threshold=0.4)
    few = condense(full, 200, method)

    def known(gallery, threshold):
        return (NearestAnchors(gallery.embeddings, gallery.labels, 2).query(fresh, 1)[0] <= threshold).mean()

    carried = carried_threshold(full, lambda rows: condense(full.select(rows), 200, method))
    assert carried > 0.4
    assert known(few, carried) == pytest.approx(known(full, 0.4), abs=0.08)
    assert known(few, 0.4) < known(full, 0.4) - 0.1, "what the carrying is for"


def test_there_is_no_threshold_to_carry_without_one():
    gallery = gallery_of([[0], [1]], [0, 1])
    with pytest.raises(ValueError, match="no threshold"):
        carried_threshold(gallery, gallery.select)


def test_there_is_nothing_to_measure_a_threshold_on_without_a_second_anchor():
    gallery = gallery_of([[0], [1]], [0, 1], threshold=1.0)
    with pytest.raises(ValueError, match="no emotion has more than one anchor"):
        carried_threshold(gallery, gallery.select)


def test_a_threshold_that_knows_nobody_becomes_the_least_distance():
    points = np.arange(40.0) ** 2
    gallery, others = gallery_of(points[:, None], [0] * 40, threshold=1e-3), []
    carried = carried_threshold(gallery, lambda rows: others.extend(rows) or gallery.select(rows))
    held = np.setdiff1d(np.arange(40), others)
    assert len(held) == 3
    assert carried == np.abs(points[held][:, None] - points[others]).min(axis=1).min()


@pytest.mark.parametrize("seed", range(5))
def test_the_carrying_holds_back_nobodys_last_anchor(seed):
    # Of five emotions one has a second anchor to spare.
    gallery = gallery_of([[0], [10], [20], [30], [40], [41]], [0, 1, 2, 3, 4, 4], threshold=2.0)
    assert carried_threshold(gallery, gallery.select, seed) == pytest.approx(1)
