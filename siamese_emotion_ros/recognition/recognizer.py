"""Recognizer: one immutable snapshot of a model, a gallery and the settings of the vote."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from siamese_emotion_ros.recognition.approximate import ApproximateAnchors, anchors_for, measured_recall
from siamese_emotion_ros.recognition.emotions import UNKNOWN
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.neighbors import majority_vote
from siamese_emotion_ros.recognition.preprocessing import Faces


@dataclass(frozen=True)
class Settings:
    """How a vote is taken.

    k: neighbours that vote; None = the gallery's own. distance_threshold: a face whose nearest anchor is farther than
    this is unknown; None = the gallery's own, infinity = never unknown. search: one of approximate.SEARCHES.
    """

    k: Optional[int] = None
    distance_threshold: Optional[float] = None
    search: str = "exact"

    def __post_init__(self) -> None:
        if self.distance_threshold is not None and not self.distance_threshold > 0:
            raise ValueError(f"distance_threshold is {self.distance_threshold}: expected a distance above 0")


@dataclass(frozen=True)
class Recognition:
    """What one face was taken for.

    label: one of the recognizer's classes, or "unknown".
    confidence: 0..1, the label's score; 0 for unknown. With a calibrated gallery, the probability that it is right.
    class_scores: float32 [C], summing to 1: every class's share of the vote, sharpened as the gallery says.
    class_distances: float32 [C], Euclidean distance of the nearest anchor of each class.
    neighbor_labels, neighbor_distances (float32 [k]), neighbor_names: the k nearest anchors, nearest first.
    """

    label: str
    confidence: float
    class_scores: np.ndarray
    class_distances: np.ndarray
    neighbor_labels: Tuple[str, ...]
    neighbor_distances: np.ndarray
    neighbor_names: Tuple[str, ...]


class Recognizer:
    """Names the emotion of faces by the majority of their nearest anchors (the paper's classifier).

    Immutable: a swap of model, gallery or settings makes a new Recognizer, so an answer never mixes two of them.
    """

    def __init__(self, model: EmbeddingModel, gallery: Gallery, settings: Settings = Settings()) -> None:
        """ValueError when the gallery was made for another model or has fewer anchors than k."""
        if gallery.model_fingerprint != model.fingerprint:
            without = "" if gallery.images is not None else ", and it holds embeddings only, so it cannot follow"
            raise ValueError(
                f"the gallery was made for model {gallery.model_fingerprint[:12]}, the model is "
                f"{model.fingerprint[:12]}{without}: set model_path and gallery_path together "
                "(set_parameters_atomically), or build the gallery for this model, or with images"
            )
        if gallery.embeddings.shape[1] != model.embedding_dim:
            raise ValueError(
                f"the gallery's embeddings have {gallery.embeddings.shape[1]} dimensions, the model's "
                f"{model.embedding_dim}: build the gallery for this model"
            )
        k = gallery.k if settings.k is None else settings.k
        if not 1 <= k <= len(gallery):
            raise ValueError(f"k is {k}: expected 1 to {len(gallery)}, the number of anchors in the gallery")
        self.model = model
        self.gallery = gallery
        self.settings = settings
        self.k = k
        threshold = gallery.threshold if settings.distance_threshold is None else settings.distance_threshold
        self.threshold = math.inf if threshold is None else float(threshold)
        everything = gallery.embeddings, gallery.labels, len(gallery.classes)
        self._anchors = anchors_for(settings.search, *everything)
        #: The share 0..1 of the k nearest anchors that the search finds; 1 where it is exact.
        self.recall = 1.0
        if isinstance(self._anchors, ApproximateAnchors):
            self.recall = measured_recall(self._anchors, *everything, k)

    @property
    def classes(self) -> Tuple[str, ...]:
        """The labels this recognizer can give, in the order of every per-class result."""
        return self.gallery.classes

    def recognize(self, faces: Faces) -> List[Recognition]:
        """What each of N uint8 faces ([H, W] gray or [H, W, 3] BGR, any size) is taken for, in their order."""
        if not len(faces):
            return []
        return self.recognize_embeddings(self.model.embed(faces))

    def recognize_embeddings(self, embeddings: np.ndarray) -> List[Recognition]:
        """What each of N embeddings, float32 [N, D], is taken for."""
        gallery = self.gallery
        results = []
        for distances, anchors, class_distances in zip(*self._anchors.query(embeddings, self.k)):
            labels = gallery.labels[anchors]
            winner, scores = majority_vote(labels, distances, len(gallery.classes), gallery.sharpness, gallery.doubt)
            known = distances[0] <= self.threshold
            results.append(
                Recognition(
                    label=gallery.classes[winner] if known else UNKNOWN,
                    confidence=float(scores[winner]) if known else 0.0,
                    class_scores=scores,
                    class_distances=class_distances,
                    neighbor_labels=tuple(gallery.classes[label] for label in labels.tolist()),
                    neighbor_distances=distances,
                    neighbor_names=tuple(gallery.names[anchor] for anchor in anchors.tolist()),
                )
            )
        return results
