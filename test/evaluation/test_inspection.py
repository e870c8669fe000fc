"""What is said of a gallery: recomputed by hand on points in the plane."""
from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.evaluation.inspection import describe_gallery, judge_gallery, nearest_confusions
from siamese_emotion_ros.recognition.gallery import Gallery


def plane(points, labels, classes, k=1):
    points = np.array(points, np.float32)
    return Gallery(points, np.array(labels, np.int64), classes, tuple(map(str, range(len(points)))), "0" * 64, k)


def test_spread_and_nearest_are_distances():
    gallery = plane([[0, 0], [2, 0], [2, 2], [0, 2], [50, 50]], [0, 0, 0, 0, 1], ("anger", "fear"))
    anger, fear = describe_gallery(gallery)
    assert anger.anchors == 4
    assert anger.spread == pytest.approx(np.sqrt(2))
    assert anger.nearest_own == pytest.approx(2)
    assert anger.recall == 1
    assert anger.confused_with is None
    assert fear.spread == 0
    assert fear.nearest_own is None


def test_an_anchor_does_not_vote_for_itself():
    # Each neutral lies beside an anger and far from the other neutral.
    gallery = plane([[0, 0], [0, 1], [9, 0], [9, 1], [0, 1.5]], [0, 1, 0, 1, 0], ("neutral", "anger"))
    neutral, anger = describe_gallery(gallery)
    assert anger.recall == 0
    assert (anger.confused_with, anger.confused_share) == ("neutral", 1)
    assert neutral.confused_with == "anger"


def test_identical_anchors_vote_for_each_other():
    gallery = plane([[0, 0]] * 4 + [[5, 5]] * 2, [0, 0, 0, 0, 1, 1], ("anger", "fear"), k=1)
    assert [entry.recall for entry in describe_gallery(gallery)] == [1, 1]
    assert [entry.nearest_own for entry in describe_gallery(gallery)] == [0, 0]


def test_a_single_anchor_is_described():
    (only,) = describe_gallery(plane([[1, 2]], [0], ("anger",)))
    assert only == ("anger", 1, 0.0, None, 1.0, None, 0.0)


def test_a_large_gallery_is_judged_by_a_sample_with_the_same_outcome():
    random = np.random.default_rng(0)
    labels = np.arange(3000) % 2
    gallery = plane(random.normal(size=(3000, 2)) + 20 * labels[:, None], labels, ("anger", "fear"), k=5)
    assert [entry.recall for entry in describe_gallery(gallery)] == [1, 1]
    assert [entry.anchors for entry in describe_gallery(gallery)] == [1500, 1500]


def test_a_rare_class_of_a_large_gallery_is_asked_about_too():
    random = np.random.default_rng(0)
    labels = np.array([0] * 4000 + [1] * 4000 + [2] * 6)
    gallery = plane(random.normal(size=(8006, 2)) + 20 * labels[:, None], labels, ("anger", "fear", "disgust"), k=3)
    assert [entry.recall for entry in describe_gallery(gallery)] == [1, 1, 1]


def test_pairs_that_lie_close_name_each_anchor_once():
    # Number 2 is nearest to both 1 and 0; number 4 comes last, and its nearest of another label is taken.
    gallery = plane([[0], [1], [1.5], [10], [11.2]], [0, 0, 1, 1, 2], ("anger", "fear", "neutral"))
    first, second = nearest_confusions(gallery, judge_gallery(gallery))
    assert (first.name, first.label, first.other_name, first.other_label) == ("1", "anger", "2", "fear")
    assert (second.name, second.other_name) == ("3", "4")
    assert [first.distance, second.distance] == pytest.approx([0.5, 1.2])
    assert nearest_confusions(gallery, judge_gallery(gallery), most=1) == [first]
