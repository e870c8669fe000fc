"""Which anchors the evaluated faces are compared with, and whether any of those faces is an anchor itself."""
from __future__ import annotations

import warnings
from typing import Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.datasets.repeats import first_occurrences
from siamese_emotion_ros.datasets.splits import LeakWarning
from siamese_emotion_ros.recognition.embedding import Progress, embed_faces
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.neighbors import NearestAnchors
from siamese_emotion_ros.recognition.preprocessing import Faces, resize, to_gray

#: Two embeddings are of the same picture when they are so near, as a share of their mean length. float16 storage moves
#: the default network's by 0.0003. gallery_check's SAME_EMBEDDING is too wide: a third of a clip's neighbouring frames
#: lie within it, the nearest of them 0.005 apart.
SAME_FACE = 1e-3

#: Neighbours that vote among anchors that come without a gallery's own choice; as `siamese-emotion gallery build`.
DEFAULT_K = 15


def shared_classes(gallery_classes: Sequence[str], faceset: FaceSet) -> Tuple[str, ...]:
    """The gallery's classes that the data set has faces of, in the gallery's order; ValueError for fewer than two."""
    counts = faceset.counts()
    shared = tuple(label for label in gallery_classes if counts.get(label, 0) > 0)
    if len(shared) < 2:
        raise ValueError(
            f"the gallery knows {', '.join(gallery_classes)}, the data set has "
            f"{', '.join(label for label, n in counts.items() if n) or 'no face'}: at least two in common are needed"
        )
    return shared


def narrowed(gallery: Gallery, classes: Sequence[str]) -> Gallery:
    """The gallery as it is when it has exactly these classes, else restricted to them."""
    return gallery if tuple(classes) == gallery.classes else gallery.restrict(classes)


def gallery_of_faces(
    model: EmbeddingModel, anchors: FaceSet, k: Optional[int] = None, progress: Optional[Progress] = None
) -> Gallery:
    """A gallery of a whole FaceSet, made on the fly; it has no threshold. ValueError as Gallery."""
    wanted = min(DEFAULT_K, len(anchors)) if k is None else k
    return Gallery(
        embeddings=embed_faces(model, list(anchors.faces), progress),
        labels=anchors.labels,
        classes=anchors.classes,
        names=anchors.names,
        model_fingerprint=model.fingerprint,
        k=wanted,
    )


def without_queries(anchors: FaceSet, queries: FaceSet) -> Tuple[FaceSet, int]:
    """The anchors whose pictures are not among the queries, and how many were left out."""
    first = first_occurrences(tuple(queries.faces) + tuple(anchors.faces))[len(queries) :]
    kept = first >= len(queries)
    return anchors.select(kept), int((~kept).sum())


def queries_among_anchors(gallery: Gallery, faces: Faces, embeddings: np.ndarray) -> int:
    """How many of the queries are anchors: the gallery was built from what it is asked about.

    `faces` are the queries' M pictures, `embeddings` float32 [M, D] what the gallery's model makes of them. Compared by
    embedding and not by name: files of other folders may have the names of anchors, and a prototype has the name of no
    face. A gallery with images has embedded those, which are of another size than the pictures: then they are compared.
    """
    anchors = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    nearest = anchors.query(embeddings, 1)[0][:, 0]
    is_anchor = nearest <= SAME_FACE * np.linalg.norm(gallery.embeddings, axis=1).mean()
    if gallery.images is not None:
        kept, side = {image.tobytes() for image in gallery.images}, gallery.images.shape[1]
        is_anchor |= np.array([resize(to_gray(face), side).tobytes() in kept for face in faces], bool)
    return int(is_anchor.sum())


def anchors_notice(among: int, faces: int) -> str:
    """What to say about figures of so many faces, `among` of which are anchors of the gallery that was asked."""
    return (
        f"{among} of the {faces} faces are anchors of the gallery themselves: these figures are too good. Evaluate a "
        "part that the gallery was not built from."
    )


def warn_of_anchors(model: EmbeddingModel, gallery: Gallery, queries: FaceSet) -> None:
    """Warn LeakWarning where some of the queries are anchors of the gallery that is asked about them."""
    among = queries_among_anchors(gallery, queries.faces, embed_faces(model, list(queries.faces)))
    if among:
        warnings.warn(anchors_notice(among, len(queries)), LeakWarning, stacklevel=3)
