"""Sharpness and doubt: a vote becomes a probability, and neither the winner nor an old gallery changes."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from siamese_emotion_ros.recognition.artifacts import read_gallery, write_gallery
from siamese_emotion_ros.recognition.calibration import certainty_for
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.neighbors import majority_vote
from siamese_emotion_ros.recognition.recognizer import Recognizer


def test_it_changes_scores_and_not_the_winner():
    labels, distances = np.array([0, 0, 1, 0, 2]), np.arange(5.0)
    plain, sharp, blunt = (majority_vote(labels, distances, 4, power) for power in (1.0, 2.0, 0.5))
    assert plain[0] == sharp[0] == blunt[0] == 0
    np.testing.assert_allclose(plain[1], [0.6, 0.2, 0.2, 0])
    np.testing.assert_allclose(sharp[1], [9 / 11, 1 / 11, 1 / 11, 0], rtol=1e-6)
    assert blunt[1][0] < plain[1][0] and blunt[1].sum() == pytest.approx(1) and blunt[1].dtype == np.float32


def test_the_sharpest_vote_that_a_gallery_may_ask_for_still_has_scores():
    even, led = np.arange(7), np.array([0, 0, 1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(majority_vote(even, np.arange(7.0), 7, 99.0)[1], np.full(7, 1 / 7), rtol=1e-6)
    np.testing.assert_allclose(majority_vote(led, np.arange(8.0), 7, 99.0)[1], [1, 0, 0, 0, 0, 0, 0], atol=1e-6)


def test_a_file_keeps_it_and_an_older_one_has_none(tmp_path, gallery, model, faces):
    sharper = replace(gallery, sharpness=1.7, doubt=0.001)
    assert sharper.fingerprint != gallery.fingerprint
    write_gallery(tmp_path / "g", sharper)
    assert (read_gallery(tmp_path / "g").sharpness, read_gallery(tmp_path / "g").doubt) == (1.7, 0.001)
    plain, sharp = (Recognizer(model, each).recognize(faces[:9]) for each in (gallery, read_gallery(tmp_path / "g")))
    assert [result.label for result in plain] == [result.label for result in sharp]
    assert all(after.confidence >= before.confidence - 2e-3 for before, after in zip(plain, sharp))
    for wrong in (0.0, -1.0, float("nan"), 1000.0):
        with pytest.raises(ValueError, match="sharpness is"):
            replace(gallery, sharpness=wrong)
    for wrong in (-0.1, float("nan"), 100.0):
        with pytest.raises(ValueError, match="doubt is"):
            replace(gallery, doubt=wrong)


@pytest.mark.parametrize("noise", [0.4, 1.5])
def test_calibrated_confidence_is_the_share_of_right_answers(noise):
    random = np.random.default_rng(0)

    def drawn(count):
        labels = random.integers(0, 3, count)
        return (np.eye(3)[labels] + noise * random.normal(size=(count, 3))).astype(np.float32), labels

    anchors, labels = drawn(600)
    gallery = Gallery(anchors, labels, ("anger", "fear", "neutral"), tuple(map(str, range(600))), "model", k=25)
    power, doubt = certainty_for(gallery, *drawn(3000))

    def error(sharpness, doubt, faces, truth):
        distances = np.linalg.norm(faces[:, None] - anchors[None], axis=2)
        nearest = np.argsort(distances, axis=1)[:, :25]
        votes = [majority_vote(labels[row], distances[i][row], 3, sharpness, doubt) for i, row in enumerate(nearest)]
        right = np.array([winner for winner, _ in votes]) == truth
        return abs(np.mean([shares[winner] for winner, shares in votes]) - right.mean())

    strangers = drawn(1500)
    assert error(power, doubt, *strangers) < 0.03
    assert error(power, doubt, *strangers) <= error(3 * power, 0.0, *strangers)


def test_no_other_sharpness_and_doubt_err_less():
    random = np.random.default_rng(2)

    def drawn(count):
        labels = random.integers(0, 5, count)
        return (np.eye(5)[labels] + 0.6 * random.normal(size=(count, 5))).astype(np.float32), labels

    anchors, labels = drawn(300)
    classes = ("anger", "disgust", "fear", "neutral", "surprise")
    gallery = Gallery(anchors, labels, classes, tuple(map(str, range(300))), "model", k=9)
    faces, truth = drawn(400)
    gaps = np.linalg.norm(faces[:, None] - anchors[None], axis=2)
    votes = [(labels[row], gaps[i][row]) for i, row in enumerate(np.argsort(gaps, axis=1)[:, :9])]

    def brier(power, doubt):
        answers = [majority_vote(*vote, 5, power, doubt) for vote in votes]
        return np.mean([(scores[winner] - (winner == right)) ** 2 for (winner, scores), right in zip(answers, truth)])

    found = certainty_for(gallery, faces, truth)
    assert found[1] > 0, "without doubt the test would not tell how it is counted"
    others = [(power, doubt) for power in 2.0 ** np.arange(-4, 4) for doubt in (0, *np.geomspace(0.001, 2, 48)[3::6])]
    assert brier(*found) <= min(brier(*other) for other in others) + 1e-6


def test_doubt_keeps_neighbors_of_one_mind_from_certainty():
    winner, scores = majority_vote(np.zeros(9, np.int64), np.arange(9.0), 4, doubt=0.25)
    assert winner == 0
    np.testing.assert_allclose(scores, [0.625, 0.125, 0.125, 0.125])
