"""Bootstrap intervals: they cover what they promise, repeat with the seed, and know that one person's faces agree."""
from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.evaluation.answers import Answers
from siamese_emotion_ros.evaluation.bootstrap import confidence_intervals


def of_right(right):
    """Answers of two classes, right where `right` says so."""
    truth = np.arange(len(right)) % 2
    return Answers(("anger", "fear"), truth, np.where(right, truth, 1 - truth), np.ones(len(right), np.float32),
                   np.ones(len(right), np.float32))


def test_interval_of_a_share_is_the_binomial_one():
    right = np.arange(400) < 280
    low, high = confidence_intervals(of_right(right), replicates=4000)["top1"]
    half = 1.96 * np.sqrt(0.7 * 0.3 / 400)
    assert low == pytest.approx(0.7 - half, abs=0.006)
    assert high == pytest.approx(0.7 + half, abs=0.006)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        low, high = confidence_intervals(of_right(random.random(150) < 0.6), replicates=300, level=0.9)["top1"]
        covered += low <= 0.6 <= high
    assert 0.83 <= covered / 200 <= 0.97


@pytest.mark.parametrize("people, known", [(1, False), (4, False), (5, True)])
def test_a_handful_of_people_has_no_interval(people, known):
    found = confidence_intervals(of_right(np.arange(100) % 3 > 0), [f"person{i % people}" for i in range(100)])
    assert found["units"] == people
    assert (None not in found["top1"]) == known


def test_same_seed_same_interval():
    found = of_right(np.arange(50) % 3 > 0)
    assert confidence_intervals(found, seed=4) == confidence_intervals(found, seed=4)
    assert confidence_intervals(found, seed=4) != confidence_intervals(found, seed=5)


def test_certainty_has_no_width():
    assert confidence_intervals(of_right(np.ones(20, bool)))["top1"] == [1.0, 1.0]


def test_people_are_drawn_whole():
    # Ten people with twenty equal faces each are ten observations, not two hundred.
    right = np.repeat(np.arange(10) < 7, 20)
    subjects = np.repeat([f"S{i}" for i in range(10)], 20)
    by_face = confidence_intervals(of_right(right))
    by_person = confidence_intervals(of_right(right), tuple(subjects))
    assert by_person["resampled"] == "subjects"
    low, high = by_person["top1"]
    assert high - low > 2 * (by_face["top1"][1] - by_face["top1"][0])


def test_who_has_more_faces_is_not_drawn_more_often():
    # Five people, of whom the one that is never named rightly has nearly all the faces: a third of the draws lack them.
    names = np.array(["often seen"] * 196 + ["A", "B", "C", "D"])
    found = confidence_intervals(of_right(names != "often seen"), tuple(names), replicates=500)
    low, high = found["top1"]
    assert low < 0.02 and high == 1.0


def test_one_face_a_person_is_the_bootstrap_of_faces():
    right = np.arange(300) % 4 > 0
    by_face = confidence_intervals(of_right(right), replicates=4000)
    by_person = confidence_intervals(of_right(right), tuple(f"S{i}" for i in range(300)), replicates=4000)
    np.testing.assert_allclose(by_person["macro_f1"], by_face["macro_f1"], atol=0.008)


def test_a_level_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match="level is 95"):
        confidence_intervals(of_right(np.ones(4, bool)), level=95)
