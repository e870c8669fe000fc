"""How good embeddings are: k-NN of query faces among anchors, as the recogniser decides, in three figures."""
from __future__ import annotations

from typing import Dict

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score

from siamese_emotion_ros.recognition.neighbors import NearestAnchors, majority_vote


def neighbor_scores(
    anchors: np.ndarray,
    anchor_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    k: int,
    n_classes: int,
) -> Dict[str, float]:
    """Scores of the k-NN vote: embeddings float32 [N, D] and [M, D], labels int64 in 0..n_classes-1; with a
    k above N all N anchors vote.

    Returns `top1` (share that is right), `macro_f1` (mean F1 over the classes that are met or decided) and
    `one_vs_rest` (mean over the classes of (TP + TN) / M, the paper's accuracy).
    """
    distances, indices, _ = NearestAnchors(anchors, anchor_labels, n_classes).query(queries, min(k, len(anchors)))
    neighbors = anchor_labels[indices]
    decided = np.array([majority_vote(*row, n_classes)[0] for row in zip(neighbors, distances)])
    return label_scores(query_labels, decided, n_classes)


def label_scores(truth: np.ndarray, decided: np.ndarray, n_classes: int) -> Dict[str, float]:
    """The figures of `neighbor_scores` for class indices that were decided in any way; both int64 [M]."""
    classes = np.arange(n_classes)
    confusion = confusion_matrix(truth, decided, labels=classes)
    right = confusion.diagonal()
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * right
    return {
        "top1": float(right.sum() / confusion.sum()),
        "macro_f1": float(f1_score(truth, decided, average="macro", zero_division=0)),
        "one_vs_rest": float(np.mean(1 - wrong / confusion.sum())),
    }
