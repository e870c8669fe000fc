"""One evaluation from end to end: embed the faces, ask the recogniser and the head, and compute every figure."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.evaluation.anchors import queries_among_anchors
from siamese_emotion_ros.evaluation.answers import Answers, answers_of_head, answers_of_neighbors
from siamese_emotion_ros.evaluation.bootstrap import confidence_intervals
from siamese_emotion_ros.evaluation.label_columns import MEANING, OWN, label_columns
from siamese_emotion_ros.evaluation.metrics import (
    confusion,
    headline,
    optional_float,
    per_class,
    unknown_curve,
)
from siamese_emotion_ros.evaluation.reliability import calibration, mean_confidences
from siamese_emotion_ros.evaluation.verification import verification
from siamese_emotion_ros.recognition.embedding import Progress, embed_faces
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Settings


@dataclass(frozen=True, eq=False)
class Measurement:
    """What an evaluation found: the figures (JSON-ready), and the arrays that pictures are drawn from.

    figures: see `measure`. faces: the evaluated faces under the data set's own labels, of the classes that it shares
    with the gallery. embeddings: float32 [N, D] of them. answers: the recogniser's about them, over all the gallery's.
    """

    figures: Dict[str, Any]
    faces: FaceSet
    embeddings: np.ndarray
    answers: Answers


def measure(
    model: EmbeddingModel,
    gallery: Gallery,
    settings: Settings,
    queries: FaceSet,
    seed: int = 0,
    replicates: int = 2000,
    pairs: int = 20000,
    progress: Optional[Progress] = None,
    embeddings: Optional[np.ndarray] = None,
) -> Measurement:
    """Ask the model and the gallery about every query labelled one of gallery.classes.

    `embeddings`: float32 [N, D] of the queries, where they are known already.
    The figures are those of `describe` for the recogniser under the data set's own labels, and: classes, model_id,
    gallery_id (content fingerprints), anchors, k, threshold (None = never unknown), queries_among_anchors, verification
    (pairs of query embeddings), head (the figures of the classification head, None without one that knows the classes),
    label_columns ({name: {meaning, …the same figures}} for each further labelling of the faces). ValueError when no
    face is left, and as Recognizer.
    """
    columns = label_columns(queries, gallery.classes)
    own = columns[OWN]
    if not len(own):
        raise ValueError(f"no face is labelled {' or '.join(gallery.classes)}: choose another split or other classes")
    row_of = {name: row for row, name in enumerate(queries.names)}
    rows = {name: np.array([row_of[face] for face in column.names], np.int64) for name, column in columns.items()}
    asked = np.unique(np.concatenate(list(rows.values())))
    place = {name: np.searchsorted(asked, indices) for name, indices in rows.items()}
    if embeddings is None:
        embeddings = embed_faces(model, list(queries.select(asked).faces), progress)
    else:
        embeddings = embeddings[asked]

    # Truth is filled in for each column of labels; the answers are the same.
    blank = np.zeros(len(asked), np.int64)
    by_neighbors = answers_of_neighbors(model, gallery, settings, embeddings, blank)
    by_head = answers_of_head(model, gallery.classes, embeddings, blank)

    def described(answers: Answers, column: str) -> Tuple[Answers, Dict[str, Any]]:
        faces = columns[column]
        held = answers.relabelled(place[column], faces.labels_among(gallery.classes))
        return held, describe(held, faces.subjects, replicates, seed)

    answers, figures = described(by_neighbors, OWN)
    figures.update(
        classes=list(gallery.classes),
        model_id=model.fingerprint,
        gallery_id=gallery.fingerprint,
        anchors=len(gallery),
        k=gallery.k if settings.k is None else settings.k,
        threshold=optional_float(answers.threshold),
        queries_among_anchors=queries_among_anchors(gallery, own.faces, embeddings[place[OWN]]),
        verification=verification(embeddings[place[OWN]], own.labels, pairs, seed),
        head=None if by_head is None else described(by_head, OWN)[1],
        label_columns={
            name: {"meaning": MEANING[name], **described(by_neighbors, name)[1]} for name in columns if name != OWN
        },
    )
    return Measurement(figures, own, embeddings[place[OWN]], answers)


def describe(
    answers: Answers, subjects: Optional[Tuple[str, ...]] = None, replicates: int = 2000, seed: int = 0
) -> Dict[str, Any]:
    """Every figure that answers alone give, JSON-ready.

    n; the headline figures of `metrics.headline` (top1 counts unknown as wrong); top1_without_threshold (every face
    given its best class); per_class, with the mean confidence of the faces that were given it; confusion {true, given,
    counts}; confidence_intervals; calibration (of the confidence in the best class, threshold aside);
    unknown_curve (None when the answers carry no distances).
    """
    matrix = confusion(answers.truth, answers.given, len(answers.classes))
    right = answers.decided == answers.truth
    confidences = mean_confidences(answers)
    return {
        "n": len(answers),
        **{name: optional_float(value) for name, value in headline(matrix).items()},
        "top1_without_threshold": float(right.mean()),
        "per_class": {
            label: {**row, "confidence": confidences[label]}
            for label, row in per_class(matrix, answers.classes).items()
        },
        "confusion": {
            "true": list(answers.classes), "given": [*answers.classes, "unknown"], "counts": matrix.tolist(),
        },
        "confidence_intervals": confidence_intervals(answers, subjects, replicates, seed=seed),
        "calibration": calibration(answers.confidence, right),
        "unknown_curve": unknown_curve(answers) if answers.nearest.any() else None,
    }
