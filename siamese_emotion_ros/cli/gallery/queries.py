"""The labelled faces by which a gallery is compared or calibrated: read, checked against its anchors, embedded."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    import numpy as np

    from siamese_emotion_ros.cli.source import Source
    from siamese_emotion_ros.recognition.gallery import Gallery
    from siamese_emotion_ros.recognition.model import EmbeddingModel


class EmbeddedQueries(NamedTuple):
    """The gallery in the classes that are asked about, and M faces of them that are no anchors of it.

    model: what embedded both. embeddings: float32 [M, D]. labels: int64 [M], indices into the gallery's classes. part:
    the split's full name.
    """

    gallery: Gallery
    model: EmbeddingModel
    embeddings: np.ndarray
    labels: np.ndarray
    part: str


def embedded_queries(
    gallery: Gallery, model: Path, source: Source, seed: int, device: str, classes: Optional[str] = None
) -> EmbeddedQueries:
    """The faces of `source`, embedded by the gallery's model; ValueError for another one, or faces among anchors."""
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation.anchors import narrowed, queries_among_anchors, shared_classes
    from siamese_emotion_ros.recognition.embedding import embed_faces
    from siamese_emotion_ros.recognition.emotions import parse_label_set
    from siamese_emotion_ros.recognition.model import EmbeddingModel

    embedder = EmbeddingModel.load(model, device)
    if gallery.model_fingerprint != embedder.fingerprint:
        raise ValueError(
            f"the gallery was made for model {gallery.model_fingerprint[:12]}, and {model} is "
            f"{embedder.fingerprint[:12]}: name the gallery's model"
        )
    faces, _, part = source.load(seed)
    gallery = narrowed(gallery, parse_label_set(classes) if classes else shared_classes(gallery.classes, faces))
    faces = faces.restrict(gallery.classes)
    if not len(faces):
        raise ValueError(f"{source.root} has no face of {', '.join(gallery.classes)} in {part}: choose another --split")
    with face_progress("embedding faces") as progress:
        embeddings = embed_faces(embedder, faces.faces, progress)
    among = queries_among_anchors(gallery, faces.faces, embeddings)
    if among:
        raise ValueError(
            f"{among} of the {len(faces)} faces are anchors of the gallery, which knows them: choose another --split"
        )
    return EmbeddedQueries(gallery, embedder, embeddings, faces.labels, part)
