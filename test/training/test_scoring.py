from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.training.scoring import label_scores, neighbor_scores


def test_label_scores_against_counting():
    truth = np.array([0, 0, 0, 1, 1, 2])
    decided = np.array([0, 0, 1, 1, 2, 2])
    # Per class (TP, TN, FP, FN): 0: 2 3 0 1; 1: 1 3 1 1; 2: 1 4 1 0.
    scores = label_scores(truth, decided, 3)
    assert scores["top1"] == pytest.approx(4 / 6)
    assert scores["one_vs_rest"] == pytest.approx((5 / 6 + 4 / 6 + 5 / 6) / 3)
    assert scores["macro_f1"] == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)
    # A class that is neither met nor decided is left out of the mean, as scikit-learn does.
    assert label_scores(truth, decided, 7)["macro_f1"] == scores["macro_f1"]


def test_neighbor_scores_vote_among_k_anchors():
    anchors = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]], np.float32)
    labels = np.array([0, 0, 1, 1, 1])
    queries = np.array([[0.4], [10.4], [4.0]], np.float32)
    # With k = 3 the query at 4 has two anchors of class 0 and one of class 1 nearest.
    assert neighbor_scores(anchors, labels, queries, np.array([0, 1, 0]), 3, 2)["top1"] == 1.0
    assert neighbor_scores(anchors, labels, queries, np.array([0, 1, 1]), 3, 2)["top1"] == pytest.approx(2 / 3)
    # More neighbours than anchors: all of them vote.
    assert neighbor_scores(anchors, labels, queries, np.array([1, 1, 1]), 99, 2)["top1"] == 1.0
