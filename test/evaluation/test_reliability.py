"""Expected calibration error against its definition, a hand-made case, and torchmetrics."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from siamese_emotion_ros.evaluation.answers import Answers
from siamese_emotion_ros.evaluation.reliability import calibration, mean_confidences


def test_confidence_that_keeps_its_word_has_no_error():
    found = calibration(np.repeat(np.float32([0.25, 0.75]), 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], bool), bins=2)
    assert found["expected_calibration_error"] == pytest.approx(0)
    assert [entry["n"] for entry in found["bins"]] == [4, 4]


def test_error_is_the_gap_weighted_by_faces():
    # 3 faces at 0.9 of which 1 is right, 1 face at 0.2 that is right: (3 |1/3 - 0.9| + |1 - 0.2|) / 4.
    found = calibration(np.float32([0.9, 0.9, 0.9, 0.2]), np.array([1, 0, 0, 1], bool), bins=10)
    assert found["expected_calibration_error"] == pytest.approx((3 * (0.9 - 1 / 3) + 0.8) / 4)


def test_it_is_torchmetrics_calibration_error():
    # Between bins only: torchmetrics closes its bins at the other end.
    random = np.random.default_rng(0)
    confidence = random.random(500).astype(np.float32)
    right = random.random(500) < confidence ** 2
    expected = binary_calibration_error(torch.from_numpy(confidence), torch.from_numpy(right).int(), n_bins=15)
    found = calibration(confidence, right, bins=15)
    assert found["expected_calibration_error"] == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("k", [3, 5, 15])
def test_shares_of_k_votes_fall_into_bins_of_their_own(k):
    shares = np.arange(1, k + 1, dtype=np.float32) / np.float32(k)
    found = calibration(shares, np.ones(k, bool), bins=15)
    assert [entry["n"] for entry in found["bins"]] == [1] * k
    for entry in found["bins"]:
        assert entry["low"] < entry["confidence"] <= entry["high"] + 1e-6


def test_confidence_of_nothing_is_counted():
    assert calibration(np.zeros(3, np.float32), np.zeros(3, bool))["bins"][0]["n"] == 3


def test_the_confidence_of_an_emotion_is_that_of_the_faces_that_were_given_it():
    # The third is not near enough for a label: its confidence is nobody's.
    answers = Answers(
        classes=("anger", "fear", "neutral"), truth=np.array([0, 1, 0, 1]), decided=np.array([0, 0, 0, 1]),
        confidence=np.float32([0.5, 0.75, 1.0, 0.25]), nearest=np.float32([1, 1, 3, 1]), threshold=2.0,
    )
    assert mean_confidences(answers) == {"anger": 0.625, "fear": 0.25, "neutral": None}
