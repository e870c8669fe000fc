"""Anchors from faces that were just seen: which of them are good enough, and the gallery with or without them."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import count, islice
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.recognition.emotions import UNKNOWN
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.neighbors import NearestAnchors
from siamese_emotion_ros.recognition.preprocessing import resize, to_gray

#: Why a face does not become an anchor.
TOO_SMALL, DOUBTFUL, BLURRED, DEVIATING = "too small", "poorly detected", "blurred", "unlike the others"
REASONS = (TOO_SMALL, DOUBTFUL, BLURRED, DEVIATING)

#: Faces with a shorter side than this have nothing to compare [pixels].
MIN_SIDE = 24

#: Focus is measured on faces of this size, so that it does not depend on how near the person stands [pixels].
FOCUS_SIZE = 48

#: Grey values that vary less say more of the camera's noise than of the face: not enlarged further.
FLATTEST_VARIANCE = 100.0

#: Anchors looked at to find out how far apart a gallery's anchors are.
SPACING_SAMPLE = 256

MAX_LABEL_LENGTH = 64


class Candidate(NamedTuple):
    """A face that might become an anchor: uint8 [H, W] or BGR [H, W, 3], and its detector's score 0..1."""

    face: np.ndarray
    score: float = 1.0


@dataclass(frozen=True)
class Criteria:
    """What makes a face good enough.

    min_score: the detector's score, 0..1. min_focus: see `focus`; 0 takes blurred faces too. agreement: a face may be
    this many times as far from the middle one of the faces as they are on the median.
    """

    min_score: float = 0.7
    min_focus: float = 0.01
    agreement: float = 2.0


class Choice(NamedTuple):
    """The faces that passed: their indices int64 [M] and embeddings float32 [M, D]; and how many failed, by reason."""

    kept: np.ndarray
    embeddings: np.ndarray
    refused: Dict[str, int]

    def sentence(self) -> str:
        """How many were taken and why the others were not, such as `7 of 10 faces taken; 3 blurred`."""
        offered = len(self.kept) + sum(self.refused.values())
        reasons = [f"{self.refused[reason]} {reason}" for reason in REASONS if self.refused.get(reason)]
        return "; ".join([f"{len(self.kept)} of {offered} faces taken", *reasons])


def focus(face: np.ndarray) -> float:
    """How sharp a uint8 face is, 0 or more: the energy of its second differences over that of its grey values.

    Of rows and columns the smaller counts, since a moving face is blurred in one direction only. On FER-2013 99 % of
    the faces are above 0.05, and 80 % below 0.01 once a Gaussian of 1.5 pixels has gone over them. Faces 128 pixels
    wide from two video clips are at 0.15 to 0.42, and so blurred at 0.004 to 0.008.
    """
    gray = resize(to_gray(face), FOCUS_SIZE).astype(np.float32)
    finest = min(float(np.diff(gray, 2, axis=axis).var()) for axis in (0, 1))
    return finest / max(float(gray.var()), FLATTEST_VARIANCE)


def choose(
    model: EmbeddingModel,
    candidates: Sequence[Candidate],
    criteria: Criteria = Criteria(),
    gallery: Optional[Gallery] = None,
) -> Choice:
    """The candidates that are large enough, well detected, sharp and like each other.

    They are embedded as the gallery stores them, if it carries images: then its fingerprint stays the same wherever it
    is embedded again. The gallery's own spacing says which differences between faces are too small to matter.
    """
    reasons = [fault(candidate, criteria) for candidate in candidates]
    kept = np.array([row for row, reason in enumerate(reasons) if reason is None], np.int64)
    faces = [candidates[row].face for row in kept]
    if gallery is not None and gallery.images is not None:
        faces = list(as_stored(gallery, faces))
    embeddings = model.embed(faces)
    alike = _alike(embeddings, criteria.agreement, 0.0 if gallery is None else spacing(gallery))
    refused = Counter(reason for reason in reasons if reason is not None)
    refused[DEVIATING] = int((~alike).sum())
    return Choice(kept[alike], embeddings[alike], dict(refused))


def extend(
    gallery: Gallery,
    label: str,
    embeddings: np.ndarray,
    faces: Sequence[np.ndarray],
    name: str = "enrolled",
    new_class: bool = False,
    reserved: Sequence[str] = (),
) -> Tuple[Gallery, Tuple[str, ...]]:
    """The gallery with M more anchors of one emotion, and their names, `<name>/<label>/<number>`.

    No name is given that an anchor or `reserved` has.

    embeddings: float32 [M, D], by the gallery's model. faces: the M faces behind them, kept if the gallery keeps
    images. ValueError for a label that the gallery does not have, unless new_class, and for one that cannot be a label.
    """
    label, name = check_label(gallery, label, new_class), name.strip() or "enrolled"
    classes = gallery.classes if label in gallery.classes else (*gallery.classes, label)
    taken = {*gallery.names, *reserved}
    numbered = (f"{name}/{label}/{number}" for number in count(1))
    names = tuple(islice((text for text in numbered if text not in taken), len(embeddings)))
    images = gallery.images
    if images is not None:
        images = np.concatenate((images, as_stored(gallery, faces)))
    labels = np.full(len(embeddings), classes.index(label), np.int64)
    extended = replace(
        gallery,
        embeddings=np.concatenate((gallery.embeddings, embeddings)),
        labels=np.concatenate((gallery.labels, labels)),
        classes=classes,
        names=gallery.names + names,
        images=images,
    )
    return extended, names


def check_label(gallery: Gallery, label: str, new_class: bool) -> str:
    """The label without surrounding blanks; ValueError when it is none of the gallery's and may or can not be added."""
    label, known = label.strip(), ", ".join(gallery.classes)
    if label in gallery.classes:
        return label
    if not label or len(label) > MAX_LABEL_LENGTH or not label.isprintable() or label == UNKNOWN:
        raise ValueError(
            f"the label is {label[:80]!r}: expected one of {known}, or with new_class another of 1 to "
            f"{MAX_LABEL_LENGTH} characters that is not {UNKNOWN!r}"
        )
    if not new_class:
        raise ValueError(f"the label is {label!r}, and the gallery knows {known}: set new_class to add one")
    return label


def remove(
    gallery: Gallery, patterns: Sequence[str], label: str = "", drop_classes: bool = False
) -> Tuple[Gallery, int]:
    """The gallery without the anchors of `label` (empty: of any) whose name fits one of `patterns`, and their number.

    A pattern is a name in which * and ? stand for anything and any character; no pattern at all fits every name. A
    class that is left without an anchor goes with drop_classes, else ValueError; so too when nothing would be left.
    """
    if not label and not patterns:
        raise ValueError("neither names nor a label: say which anchors, such as names ['enrolled/*']")
    if label and label not in gallery.classes:
        raise ValueError(f"the gallery has no {label!r}: it knows {', '.join(gallery.classes)}")
    # To fnmatch brackets have a meaning, too.
    known = [pattern.replace("[", "[[]") for pattern in patterns] or ["*"]
    fits = np.array([any(fnmatchcase(name, pattern) for pattern in known) for name in gallery.names])
    if label:
        fits &= gallery.labels == gallery.classes.index(label)
    if fits.all():
        raise ValueError(f"that is all {len(gallery)} anchors: a gallery needs some; set gallery_path to another")
    rest = np.flatnonzero(~fits)
    left = np.bincount(gallery.labels[rest], minlength=len(gallery.classes)) > 0
    emptied = [name for name, some in zip(gallery.classes, left) if not some]
    if emptied and not drop_classes:
        raise ValueError(f"no anchor would be left for {', '.join(emptied)}: set drop_classes to lose the class too")
    if emptied:
        rest = np.flatnonzero(~fits[left[gallery.labels]])
        gallery = gallery.restrict([name for name in gallery.classes if name not in emptied])
    return gallery.select(rest), int(fits.sum())


def spacing(gallery: Gallery) -> float:
    """How far an anchor's nearest other anchor is, on the median of a sample; 0 in a gallery of one."""
    if len(gallery) < 2:
        return 0.0
    sample = np.linspace(0, len(gallery) - 1, min(len(gallery), SPACING_SAMPLE)).astype(np.int64)
    anchors = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    return float(np.median(anchors.query(gallery.embeddings[sample], 2)[0][:, 1]))


def as_stored(gallery: Gallery, faces: Sequence[np.ndarray]) -> np.ndarray:
    """Faces uint8 [M, S, S] as a gallery with images keeps them; ValueError when its images are not square."""
    assert gallery.images is not None
    height, width = gallery.images.shape[1:]
    if height != width:
        raise ValueError(f"the gallery's images are {width}x{height}: expected square ones; build the gallery again")
    return np.stack([resize(to_gray(face), height) for face in faces]) if len(faces) else gallery.images[:0]


def fault(candidate: Candidate, criteria: Criteria) -> Optional[str]:
    """Why a face is no anchor whatever the others look like, one of REASONS; None for one that is good enough."""
    if min(candidate.face.shape[:2]) < MIN_SIDE:
        return TOO_SMALL
    if not candidate.score >= criteria.min_score:
        return DOUBTFUL
    return BLURRED if focus(candidate.face) < criteria.min_focus else None


def _alike(embeddings: np.ndarray, agreement: float, spacing: float) -> np.ndarray:
    """bool [M]: which of the embeddings are not too far from the one in their middle (their medoid)."""
    if len(embeddings) < 3:  # of two that differ nobody knows which is the odd one
        return np.ones(len(embeddings), bool)
    distances = np.stack([np.linalg.norm(embeddings - row, axis=1) for row in embeddings])
    from_middle = distances[distances.sum(axis=1).argmin()]
    usual = float(np.median(from_middle[from_middle > 0])) if (from_middle > 0).any() else 0.0
    return from_middle <= max(agreement * usual, spacing)
