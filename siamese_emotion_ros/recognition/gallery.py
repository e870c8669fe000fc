"""A gallery: the labelled anchor embeddings that a face is compared with."""
from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.recognition.embedding import Progress, embed_faces
from siamese_emotion_ros.recognition.emotions import UNKNOWN
from siamese_emotion_ros.recognition.neighbors import on_cache_lines
from siamese_emotion_ros.recognition.plain_text import check_plain
from siamese_emotion_ros.recognition.preprocessing import Faces, resize, to_gray

if TYPE_CHECKING:
    from siamese_emotion_ros.recognition.model import EmbeddingModel

#: So much may the images that a gallery carries take: a gallery file has at most 1 GiB, which they share.
MAX_IMAGE_BYTES = 1 << 29

#: The largest number in an embedding: the sums of its squares are still far from what float32 can hold.
LARGEST = 1e15


@dataclass(frozen=True)
class Gallery:
    """N anchors in a D-dimensional embedding space. Checked when made: a Gallery that exists can be used.

    embeddings: float32 [N, D], finite.
    labels: int64 [N], indices into `classes`; every class has at least one anchor.
    classes: the labels this gallery can give; order of every per-class result.
    names: where each anchor comes from, such as a data set's image id; N of them. All text is plain (see plain_text).
    model_fingerprint: the model that made the embeddings.
    k: neighbours that vote, 1..N.
    threshold: distance of the nearest anchor beyond which a face is unknown; None = never, and so is infinity.
    sharpness, doubt: a class's score is its share of the vote to the power `sharpness` (an inverse temperature), plus
        `doubt` (additive smoothing), all of them scaled to sum 1; 1 and 0 = the plain share. Found by
        calibration.certainty_for, so that the winner's score is the probability that it is right; without `doubt`, a
        unanimous vote would always score 1.
    images: optional uint8 [N, H, W] faces behind the anchors, from which another model can embed them anew.
    Raises ValueError, saying what was expected, for anything else.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    classes: Tuple[str, ...]
    names: Tuple[str, ...]
    model_fingerprint: str
    k: int
    threshold: Optional[float] = None
    images: Optional[np.ndarray] = None
    sharpness: float = 1.0
    doubt: float = 0.0

    def __post_init__(self) -> None:
        embeddings, labels = self.embeddings, self.labels
        if embeddings.dtype != np.float32 or embeddings.ndim != 2 or 0 in embeddings.shape:
            raise ValueError(
                f"embeddings are {embeddings.dtype} {embeddings.shape}: expected float32 [anchors, dimensions]"
            )
        if not np.isfinite(embeddings).all():
            rows = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
            raise ValueError(
                f"{len(rows)} anchor(s) hold NaN or infinity, the first is number {rows[0]}: build the gallery again"
            )
        largest = max(float(embeddings.max()), -float(embeddings.min()))
        if largest > LARGEST:
            raise ValueError(
                f"an embedding holds {largest:g}: expected at most {LARGEST:g}, beyond which distances overflow; build "
                "the gallery again"
            )
        if labels.dtype != np.int64 or labels.shape != (len(embeddings),):
            raise ValueError(
                f"labels are {labels.dtype} {labels.shape}: expected int64 [{len(embeddings)}], one per anchor"
            )
        if len(self.names) != len(embeddings):
            raise ValueError(f"{len(self.names)} names for {len(embeddings)} anchors: expected one each")
        if len(self.classes) < 1 or len(set(self.classes)) != len(self.classes) or UNKNOWN in self.classes:
            raise ValueError(f"classes are {list(self.classes)}: expected distinct labels, none of them {UNKNOWN!r}")
        check_plain("classes", self.classes)
        check_plain("names", self.names)
        check_plain("the model's fingerprint", [self.model_fingerprint])
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise ValueError(f"a label index lies outside 0..{len(self.classes) - 1}, the {len(self.classes)} classes")
        empty = np.flatnonzero(self.counts == 0)
        if len(empty):
            raise ValueError(
                f"no anchor for {', '.join(self.classes[c] for c in empty)}: every class needs at least one"
            )
        if not 1 <= self.k <= len(embeddings):
            raise ValueError(f"k is {self.k}: expected 1 to {len(embeddings)}, the number of anchors")
        if self.threshold is not None and not self.threshold > 0:
            raise ValueError(f"threshold is {self.threshold}: expected a distance above 0, or none")
        if isinstance(self.threshold, int) and self.threshold > sys.float_info.max:
            raise ValueError(f"threshold is above {sys.float_info.max:g}: expected a distance, or none")
        if not 0 < self.sharpness < 100:
            raise ValueError(f"sharpness is {self.sharpness}: expected a power above 0 and below 100; 1 is neutral")
        if not 0 <= self.doubt < 100:
            raise ValueError(f"doubt is {self.doubt}: expected 0 (none) or more, and below 100")
        if self.images is not None and (
            self.images.dtype != np.uint8 or self.images.ndim != 3 or len(self.images) != len(embeddings)
            or 0 in self.images.shape
        ):
            raise ValueError(
                f"images are {self.images.dtype} {self.images.shape}: expected uint8 [{len(embeddings)}, H, W]"
            )
        object.__setattr__(self, "embeddings", on_cache_lines(embeddings))
        if self.threshold == math.inf:
            object.__setattr__(self, "threshold", None)

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def counts(self) -> np.ndarray:
        """Anchors per class, int64 [number of classes]."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over everything that decides an answer: anchors, labels, names, images, settings, model."""
        digest = hashlib.sha256()
        settings = [list(self.classes), list(self.names), self.model_fingerprint, self.k, self.threshold]
        if (self.sharpness, self.doubt) != (1.0, 0.0):
            settings += [self.sharpness, self.doubt]
        digest.update(json.dumps(settings).encode())
        for array in (self.embeddings, self.labels) + (() if self.images is None else (self.images,)):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def select(self, anchors: np.ndarray) -> Gallery:
        """The gallery of the anchors at these indices, in their order; k is lowered to their number if it is larger."""
        return replace(
            self,
            embeddings=self.embeddings[anchors],
            labels=self.labels[anchors],
            names=tuple(self.names[i] for i in anchors),
            k=min(self.k, len(anchors)),
            images=None if self.images is None else self.images[anchors],
        )

    def restrict(self, classes: Sequence[str]) -> Gallery:
        """The anchors of these classes only, in the order given; ValueError names a class the gallery does not have."""
        missing = [label for label in classes if label not in self.classes]
        if missing:
            raise ValueError(f"the gallery has no {', '.join(missing)}: it knows {', '.join(self.classes)}")
        renumbered = np.full(len(self.classes), -1, np.int64)
        renumbered[[self.classes.index(label) for label in classes]] = np.arange(len(classes))
        anchors = np.flatnonzero(renumbered[self.labels] >= 0)
        return replace(
            self,
            embeddings=self.embeddings[anchors],
            labels=renumbered[self.labels[anchors]],
            classes=tuple(classes),
            names=tuple(self.names[i] for i in anchors),
            k=min(self.k, len(anchors)),
            images=None if self.images is None else self.images[anchors],
        )


def build_gallery(
    model: EmbeddingModel,
    faces: Faces,
    labels: np.ndarray,
    classes: Sequence[str],
    names: Sequence[str],
    k: int,
    image_size: Optional[int] = None,
    progress: Optional[Progress] = None,
) -> Gallery:
    """Embed labelled faces as anchors; `progress` counts faces.

    `faces` are uint8 images of any size, `labels` int64 [N] indices into `classes`. With `image_size` the gallery also
    carries the faces, gray and that many pixels square, so that it can follow a change of model. ValueError as Gallery,
    and for more of such images than a gallery file can hold.
    """
    if image_size is not None and image_size * image_size * len(faces) > MAX_IMAGE_BYTES:
        raise ValueError(
            f"{len(faces)} images of {image_size}x{image_size} pixels: expected at most {MAX_IMAGE_BYTES} bytes; make "
            "them smaller, or condense the gallery first"
        )
    images = None if image_size is None else np.stack([resize(to_gray(face), image_size) for face in faces])
    return Gallery(
        # Faces as they are kept, so that they have the same embeddings whenever they are embedded again.
        embeddings=embed_faces(model, faces if images is None else images, progress),
        labels=np.asarray(labels, np.int64), classes=tuple(classes), names=tuple(names),
        model_fingerprint=model.fingerprint, k=k, images=images,
    )


def reembed(gallery: Gallery, model: EmbeddingModel, progress: Optional[Progress] = None) -> Gallery:
    """The gallery for another model, embedded anew from the images it carries; ValueError when it carries none.

    `progress` counts images. Threshold, sharpness and doubt are dropped: what one embedding
    space was found to need says nothing of another.
    """
    if gallery.images is None:
        raise ValueError(
            f"the gallery was made for model {gallery.model_fingerprint[:12]} and holds embeddings only, so it cannot "
            f"follow to model {model.fingerprint[:12]}: set model_path and gallery_path together, "
            "or build it with images"
        )
    return replace(
        gallery, embeddings=embed_faces(model, gallery.images, progress), model_fingerprint=model.fingerprint,
        threshold=None, sharpness=1.0, doubt=0.0,
    )
