"""Galleries made of galleries: several as one, and anchors under other labels."""
from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery

#: So many unknown names are listed in an error.
NAMED = 5


def merge(galleries: Sequence[Gallery], k: Optional[int] = None) -> Gallery:
    """The anchors of several galleries of one model, in their order, as one gallery.

    An anchor that an earlier gallery has already (the same embedding under the same label) is taken once. The classes
    are those of the first, then what the others add; k is the first's unless it is given. Threshold, sharpness and
    doubt stay when all have the same, since what was found for one set of anchors says nothing of another; images stay
    when all have them, of one size. ValueError for galleries of different models, and for an anchor that two galleries
    label differently.
    """
    if not galleries:
        raise ValueError("there is no gallery to merge: name at least one")
    first = galleries[0]
    for number, gallery in enumerate(galleries[1:], start=2):
        if gallery.model_fingerprint != first.model_fingerprint:
            raise ValueError(
                f"gallery 1 was made for model {first.model_fingerprint[:12]}, gallery {number} for "
                f"{gallery.model_fingerprint[:12]}: embed one of them anew for the other's model"
            )
    classes = tuple(dict.fromkeys(label for gallery in galleries for label in gallery.classes))
    rows = _first_occurrences(galleries)
    labels = [
        np.array([classes.index(label) for label in gallery.classes], np.int64)[gallery.labels[kept]]
        for gallery, kept in zip(galleries, rows)
    ]
    thresholds = {gallery.threshold for gallery in galleries}
    certainties = {(gallery.sharpness, gallery.doubt) for gallery in galleries}
    sharpness, doubt = certainties.pop() if len(certainties) == 1 else (1.0, 0.0)
    shapes = {None if gallery.images is None else gallery.images.shape[1:] for gallery in galleries}
    with_images = len(shapes) == 1 and None not in shapes
    return Gallery(
        embeddings=np.concatenate([gallery.embeddings[kept] for gallery, kept in zip(galleries, rows)]),
        labels=np.concatenate(labels),
        classes=classes,
        names=tuple(gallery.names[row] for gallery, kept in zip(galleries, rows) for row in kept),
        model_fingerprint=first.model_fingerprint,
        k=first.k if k is None else k,
        threshold=thresholds.pop() if len(thresholds) == 1 else None,
        sharpness=sharpness, doubt=doubt,
        images=np.concatenate([
            gallery.images[kept] for gallery, kept in zip(galleries, rows) if gallery.images is not None
        ]) if with_images else None,
    )


def relabel(
    gallery: Gallery, classes: Optional[Mapping[str, str]] = None, anchors: Optional[Mapping[str, str]] = None
) -> Gallery:
    """The gallery with its classes renamed ({old: new}), then single anchors labelled anew ({name: label}).

    Classes may be given one name, which makes one class of them, and labels may be new ones, which come last. A class
    left without an anchor goes. Embeddings, order, k and threshold stay. ValueError for a class or an anchor that the
    gallery does not have, and as Gallery.
    """
    classes, anchors = dict(classes or {}), dict(anchors or {})
    _refuse_unknown(classes, gallery.classes, "class")
    _refuse_unknown(anchors, gallery.names, "anchor")
    if not all(label.strip() for label in (*classes.values(), *anchors.values())):
        raise ValueError("a label is empty: give every class and anchor a word")
    renamed = [classes.get(label, label) for label in gallery.classes]
    given = [anchors.get(name, renamed[label]) for name, label in zip(gallery.names, gallery.labels)]
    used = set(given)
    order = tuple(label for label in dict.fromkeys((*renamed, *given)) if label in used)
    return replace(gallery, labels=np.array([order.index(label) for label in given], np.int64), classes=order)


def _first_occurrences(galleries: Sequence[Gallery]) -> List[np.ndarray]:
    """Of each gallery, the rows (int64, ascending) that no gallery before it has."""
    seen: Dict[bytes, Dict[str, str]] = {}  # {digest of an embedding: {label: name}}
    rows = []
    for gallery in galleries:
        digests = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in gallery.embeddings]
        labels = [gallery.classes[label] for label in gallery.labels]
        new = [row for row, (digest, label) in enumerate(zip(digests, labels)) if label not in seen.get(digest, ())]
        for row in new:
            for label, name in seen.get(digests[row], {}).items():
                raise ValueError(
                    f"the anchor {gallery.names[row]!r} is {labels[row]} in one gallery and, as {name!r}, {label} in "
                    "another: relabel it in one of them"
                )
        for row in new:
            seen.setdefault(digests[row], {})[labels[row]] = gallery.names[row]
        rows.append(np.array(new, np.int64))
    return rows


def _refuse_unknown(wanted: Mapping[str, str], known: Sequence[str], what: str) -> None:
    known_names: Set[str] = set(known)
    missing: Tuple[str, ...] = tuple(name for name in wanted if name not in known_names)
    if missing:
        more = "" if len(missing) <= NAMED else f" and {len(missing) - NAMED} more"
        some = ", ".join(known[:NAMED]) + (", …" if len(known) > NAMED else "")
        raise ValueError(
            f"the gallery has no {what} {', '.join(map(repr, missing[:NAMED]))}{more}: it has {some}"
        )
