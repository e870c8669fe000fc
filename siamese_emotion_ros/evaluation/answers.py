"""Answers: what a classifier said about labelled faces, in the arrays that every metric is computed from."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings


@dataclass(frozen=True, eq=False)
class Answers:
    """What N labelled faces were taken for.

    classes     C labels; `truth` and `decided` are indices into them.
    truth       int64 [N].
    decided     int64 [N], the best class, whether or not the face is near enough to be known.
    confidence  float32 [N], 0..1: the share of the vote (k-NN) or the probability (head) of `decided`.
    nearest     float32 [N], Euclidean distance of the nearest anchor; zeros where there are no anchors (head).
    threshold   a face whose `nearest` is larger is unknown; infinity = never.
    ValueError for arrays that do not belong together.
    """

    classes: Tuple[str, ...]
    truth: np.ndarray
    decided: np.ndarray
    confidence: np.ndarray
    nearest: np.ndarray
    threshold: float = math.inf

    def __post_init__(self) -> None:
        for name in ("truth", "decided", "confidence", "nearest"):
            if getattr(self, name).shape != (len(self.truth),):
                raise ValueError(f"{name} has shape {getattr(self, name).shape}: expected ({len(self.truth)},)")
        if len(self.truth) == 0:
            raise ValueError("there is no face to evaluate: choose another split or other classes")
        for name in ("truth", "decided"):
            indices = getattr(self, name)
            if indices.min() < 0 or indices.max() >= len(self.classes):
                raise ValueError(f"{name} spans {indices.min()}..{indices.max()}: expected 0..{len(self.classes) - 1}")
        if np.isnan(self.nearest).any():
            raise ValueError("a distance is NaN: the model or the gallery is broken")

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def known(self) -> np.ndarray:
        """bool [N]: near enough to an anchor to be given a label."""
        return self.nearest <= self.threshold

    @property
    def given(self) -> np.ndarray:
        """int64 [N]: the answer as published, an index into `classes`, or C for unknown."""
        return np.where(self.known, self.decided, len(self.classes))

    def relabelled(self, rows: np.ndarray, truth: np.ndarray) -> Answers:
        """The same answers, for the faces at `rows`, held against other labels (indices into the same classes)."""
        return replace(
            self, truth=truth, decided=self.decided[rows], confidence=self.confidence[rows], nearest=self.nearest[rows]
        )


def answers_of_neighbors(
    model: EmbeddingModel, gallery: Gallery, settings: Settings, embeddings: np.ndarray, truth: np.ndarray
) -> Answers:
    """What the deployed recogniser says about `embeddings` [N, D]; `truth` int64 [N] are indices into gallery.classes.

    The vote is taken without a threshold, so that what the threshold costs can be seen; a face is unknown exactly when
    Recognizer would say so. ValueError as Recognizer.
    """
    recognizer = Recognizer(model, gallery, settings)
    undecided = Recognizer(model, gallery, replace(settings, distance_threshold=math.inf))
    results = undecided.recognize_embeddings(embeddings)
    return Answers(
        classes=gallery.classes,
        truth=np.asarray(truth, np.int64),
        decided=np.array([gallery.classes.index(result.label) for result in results], np.int64),
        confidence=np.array([result.confidence for result in results], np.float32),
        nearest=np.array([result.neighbor_distances[0] for result in results], np.float32),
        threshold=recognizer.threshold,
    )


def answers_of_head(
    model: EmbeddingModel, classes: Sequence[str], embeddings: np.ndarray, truth: np.ndarray
) -> Optional[Answers]:
    """What the model's classification head (the paper's second stage) says, choosing among `classes` only.

    None when the model has no head, or one that does not know all the classes.
    """
    shares = model.head_probabilities(embeddings, classes)
    if shares is None:
        return None
    decided = shares.argmax(axis=1)
    return Answers(
        classes=tuple(classes),
        truth=np.asarray(truth, np.int64),
        decided=decided,
        confidence=np.take_along_axis(shares, decided[:, None], axis=1)[:, 0].astype(np.float32),
        nearest=np.zeros(len(truth), np.float32),
    )
