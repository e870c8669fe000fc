"""Every figure recomputed from its definition, face by face, in plain Python; and against scikit-learn."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from siamese_emotion_ros.evaluation.answers import Answers
from siamese_emotion_ros.evaluation.metrics import (
    confusion,
    headline,
    largest_confusions,
    one_vs_rest_counts,
    per_class,
    unknown_curve,
)

UNKNOWN = 3


@st.composite
def truth_and_given(draw):
    """Labels 0..2 and answers 0..3 (3 = unknown) of 1 to 40 faces."""
    n = draw(st.integers(1, 40))
    truth = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    given = draw(st.lists(st.integers(0, UNKNOWN), min_size=n, max_size=n))
    return truth, given


def counted(truth, given, label):
    pairs = list(zip(truth, given))
    tp = sum(t == label and g == label for t, g in pairs)
    fn = sum(t == label and g != label for t, g in pairs)
    fp = sum(t != label and g == label for t, g in pairs)
    tn = sum(t != label and g != label for t, g in pairs)
    return tp, tn, fp, fn


def answers(truth, decided, nearest, threshold=math.inf):
    return Answers(("anger", "fear", "neutral"), np.array(truth), np.array(decided), np.ones(len(truth), np.float32),
                   np.array(nearest, np.float32), threshold)


@given(truth_and_given())
def test_one_vs_rest_counts_are_those_of_counting_the_faces(case):
    truth, given = case
    matrix = confusion(np.array(truth), np.array(given), 3)
    assert matrix.sum() == len(truth)
    assert matrix.shape == (3, 4)
    counts = one_vs_rest_counts(matrix)
    for label in range(3):
        assert tuple(column[label] for column in counts) == counted(truth, given, label)


@given(truth_and_given())
def test_headline_figures_follow_their_definitions(case):
    truth, given = case
    figures = headline(confusion(np.array(truth), np.array(given), 3))
    n = len(truth)
    right = sum(t == g for t, g in zip(truth, given))
    named = sum(g != UNKNOWN for g in given)
    assert figures["top1"] == pytest.approx(right / n)
    assert figures["unknown_rate"] == pytest.approx(1 - named / n)
    assert figures["coverage"] == pytest.approx(named / n)
    if named:
        assert figures["accuracy_when_known"] == pytest.approx(right / named)
    else:
        assert math.isnan(figures["accuracy_when_known"])
    met = {*truth, *given} - {UNKNOWN}
    one_vs_rest = [(tp + tn) / n for tp, tn, _, _ in (counted(truth, given, c) for c in met)]
    assert figures["mean_one_vs_rest"] == pytest.approx(sum(one_vs_rest) / len(met))
    recalls = [counted(truth, given, c)[0] / truth.count(c) for c in range(3) if truth.count(c)]
    assert figures["balanced_accuracy"] == pytest.approx(sum(recalls) / len(recalls))


@given(truth_and_given())
def test_macro_f1_is_scikit_learns(case):
    truth, given = case
    met = sorted({*truth, *given} - {UNKNOWN})
    expected = sklearn_metrics.f1_score(truth, given, labels=met, average="macro", zero_division=0)
    assert headline(confusion(np.array(truth), np.array(given), 3))["macro_f1"] == pytest.approx(expected)


@given(st.lists(truth_and_given(), min_size=1, max_size=4))
def test_many_matrices_at_once_give_the_figures_of_each(cases):
    matrices = [confusion(np.array(truth), np.array(given), 3) for truth, given in cases]
    together = headline(np.stack(matrices))
    for i, matrix in enumerate(matrices):
        for name, value in headline(matrix).items():
            np.testing.assert_allclose(together[name][i], value)


def test_unknown_is_wrong_for_its_own_emotion_and_right_for_the_others():
    # One face of each emotion, all unknown: nobody was named, and each emotion has two true negatives of three.
    figures = headline(confusion(np.array([0, 1, 2]), np.full(3, UNKNOWN), 3))
    assert figures["top1"] == 0
    assert figures["unknown_rate"] == 1
    assert figures["mean_one_vs_rest"] == pytest.approx(2 / 3)


def test_the_papers_columns_for_one_emotion():
    # Of 4 angry faces 3 are found; of 6 others 1 is taken for anger.
    truth, given = np.array([0] * 4 + [1] * 6), np.array([0, 0, 0, 1, 0, 1, 1, 1, 1, 1])
    anger = per_class(confusion(truth, given, 2), ("anger", "fear"))["anger"]
    assert anger == {
        "n": 4, "TP": 3, "TN": 5, "FP": 1, "FN": 1,
        "one_vs_rest": pytest.approx(0.8), "precision": pytest.approx(0.75), "recall": pytest.approx(0.75),
        "f1": pytest.approx(0.75),
    }


def test_macro_f1_is_of_the_classes_that_are_met_or_answered():
    faces = np.zeros(4, int)
    assert headline(confusion(faces, faces, 7))["macro_f1"] == 1, "all of one emotion, and all right"
    once_another = np.array([0, 0, 0, 1])
    assert headline(confusion(faces, once_another, 7))["macro_f1"] == pytest.approx((6 / 7 + 0) / 2)


def test_one_vs_rest_counts_no_class_that_nobody_showed_or_named():
    always_wrong = confusion(np.zeros(17, int), np.full(17, 4), 7)
    assert headline(always_wrong)["mean_one_vs_rest"] == 0


def test_a_class_that_is_never_met_has_no_precision_no_recall_and_no_f1():
    row = per_class(confusion(np.array([0, 0]), np.array([0, 0]), 2), ("anger", "fear"))["fear"]
    assert row["precision"] is None
    assert row["recall"] is None
    assert row["f1"] is None


def test_largest_confusions_are_named_most_first_without_unknown():
    truth = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    given = np.array([1, 1, 1, 0, 2, UNKNOWN, UNKNOWN, UNKNOWN, 2])
    assert largest_confusions(confusion(truth, given, 3), ("anger", "fear", "neutral"), 2) == [
        ("anger", "fear", 3), ("fear", "anger", 1),
    ]
    rightly = np.array([0] * 5 + [1])
    assert largest_confusions(confusion(rightly, rightly, 2), ("anger", "fear"), 2) == []


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=30))
def test_unknown_curve_says_what_each_threshold_does(faces):
    truth, decided, nearest = zip(*faces)
    for point in unknown_curve(answers(truth, decided, nearest), points=7):
        known = [t == d for t, d, distance in faces if distance <= point["threshold"]]
        assert point["coverage"] == pytest.approx(len(known) / len(faces))
        assert point["accuracy"] == pytest.approx(sum(known) / len(known))
    assert point["coverage"] == 1


def test_unknown_curve_has_evenly_spaced_coverages():
    points = unknown_curve(answers([0] * 40, [0] * 40, np.arange(1, 41)), points=4)
    assert [(point["threshold"], point["coverage"]) for point in points] == [(10, 0.25), (20, 0.5), (30, 0.75), (40, 1)]


def test_a_face_at_the_threshold_is_known_and_one_beyond_is_not():
    found = answers([0, 0], [0, 0], [2.0, 2.5], threshold=2.0)
    assert found.known.tolist() == [True, False]
    assert found.given.tolist() == [0, 3]


@pytest.mark.parametrize("truth, decided, nearest, reason", [
    ([], [], [], "no face"),
    ([0, 3], [0, 0], [1, 1], "truth spans 0..3"),
    ([0, 1], [0, -1], [1, 1], "decided spans -1..0"),
    ([0, 1], [0], [1, 1], "decided has shape"),
    ([0], [0], [float("nan")], "NaN"),
])
def test_answers_that_do_not_belong_together_are_refused(truth, decided, nearest, reason):
    with pytest.raises(ValueError, match=reason):
        Answers(("anger", "fear", "neutral"), np.array(truth, int), np.array(decided, int),
                np.ones(len(truth), np.float32), np.array(nearest, np.float32))
