"""The labelled faces by which a gallery is compared or calibrated: read, checked against its anchors, embedded."""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    import numpy as np

    from siamese_emotion_ros.cli.source import Source
    from siamese_emotion_ros.recognition.gallery import Gallery
    from siamese_emotion_ros.recognition.model import EmbeddingModel


class EmbeddedQueries(NamedTuple):
    """The gallery in the classes that are asked about, and M faces of them that are no anchors of it.

    embeddings: float32 [M, D]. labels: int64 [M], indices into the gallery's classes. part: the split's full name.
    """

    gallery: Gallery
    embeddings: np.ndarray
    labels: np.ndarray
    part: str


def embedded_queries(
    gallery: Gallery, model: EmbeddingModel, source: Source, seed: int, classes: Optional[str] = None
) -> EmbeddedQueries:
    """The faces of `source`, embedded by the gallery's model; ValueError for faces that are among the anchors."""
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation.anchors import narrowed, queries_among_anchors, shared_classes
    from siamese_emotion_ros.recognition.embedding import embed_faces
    from siamese_emotion_ros.recognition.emotions import parse_label_set

    faces, _, part = source.load(seed)
    gallery = narrowed(gallery, parse_label_set(classes) if classes else shared_classes(gallery.classes, faces))
    faces = faces.restrict(gallery.classes)
    if not len(faces):
        raise ValueError(f"{source.root} has no face of {', '.join(gallery.classes)} in {part}: choose another --split")
    with face_progress("embedding faces") as progress:
        embeddings = embed_faces(model, faces.faces, progress)
    among = queries_among_anchors(gallery, faces.faces, embeddings)
    if among:
        raise ValueError(
            f"{among} of the {len(faces)} faces are anchors of the gallery themselves: choose another --split"
        )
    return EmbeddedQueries(gallery, embeddings, faces.labels, part)
