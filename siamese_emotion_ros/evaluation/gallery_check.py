"""Whether a gallery that can be read is also of use: repeated anchors, hopeless classes, the wrong model."""
from __future__ import annotations

from typing import List, NamedTuple, Optional

import numpy as np

from siamese_emotion_ros.recognition.embedding import Progress, embed_faces
from siamese_emotion_ros.recognition.emotions import EIGHT
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel

#: What a check comes to: fine, worth a look, or of no use to a robot.
PASSED, DOUBTFUL, FAILED = "ok", "look", "fail"

#: An embedding of a stored image may differ from the stored embedding by this share of the mean embedding's length:
#: float16 storage and another device's arithmetic stay far below it, another image does not.
SAME_EMBEDDING = 0.02


class Finding(NamedTuple):
    """What one check of a gallery came to: a verdict (PASSED, DOUBTFUL or FAILED), what was checked, what was found."""

    verdict: str
    check: str
    text: str


def check_gallery(gallery: Gallery) -> List[Finding]:
    """What there is to say about a gallery by itself; it has passed the reader's checks already."""
    megabytes = gallery.embeddings.nbytes / 1e6
    dimensions = gallery.embeddings.shape[1]
    return [
        Finding(PASSED, "file", f"{len(gallery)} anchors of {dimensions}, all finite, {megabytes:.1f} MB in memory"),
        _classes(gallery), _repeats(gallery), _contradictions(gallery), _votes(gallery), _threshold(gallery),
    ]


def check_fit(gallery: Gallery, model: EmbeddingModel, progress: Optional[Progress] = None) -> List[Finding]:
    """Whether the gallery was made for this model, and whether its images, if any, give the embeddings it holds."""
    if gallery.model_fingerprint != model.fingerprint:
        found = f"made for {gallery.model_fingerprint[:12]}, this model is {model.fingerprint[:12]}"
        if gallery.images is not None:
            return [Finding(DOUBTFUL, "model", f"{found}: a robot would embed its images anew at each start; "
                            "`gallery re-embed` does it once")]
        return [Finding(FAILED, "model", f"{found}, and it has no images: build the gallery for this model")]
    if gallery.embeddings.shape[1] != model.embedding_dim:
        return [Finding(FAILED, "model", f"embeddings of {gallery.embeddings.shape[1]}, the model's have "
                        f"{model.embedding_dim} dimensions: build the gallery again")]
    findings = [Finding(PASSED, "model", f"made for it ({model.fingerprint[:12]})")]
    if gallery.images is not None:
        findings.append(_images(gallery, model, progress))
    return findings


def _classes(gallery: Gallery) -> Finding:
    foreign = [label for label in gallery.classes if label not in EIGHT]
    if foreign:
        return Finding(DOUBTFUL, "classes", f"{', '.join(foreign)}: not among {', '.join(EIGHT)}; ROS4HRI consumers "
                       "will not know them")
    fewest, most = gallery.counts.min(), gallery.counts.max()
    each = f"{most}" if fewest == most else f"{fewest} to {most}"
    return Finding(PASSED, "classes", f"{', '.join(gallery.classes)}; {each} anchors each")


def _repeats(gallery: Gallery) -> Finding:
    labelled = np.concatenate([gallery.embeddings, gallery.labels[:, None].astype(np.float32)], axis=1)
    repeats = len(gallery) - len(np.unique(labelled, axis=0))
    if repeats:
        return Finding(DOUBTFUL, "repeats", f"{repeats} anchors are there more than once, and vote so often")
    return Finding(PASSED, "repeats", "none")


def _contradictions(gallery: Gallery) -> Finding:
    _, group = np.unique(gallery.embeddings, axis=0, return_inverse=True)
    group = group.reshape(-1)
    order = np.lexsort((gallery.labels, group))
    clash = (np.diff(group[order]) == 0) & (np.diff(gallery.labels[order]) != 0)
    if not clash.any():
        return Finding(PASSED, "labels", "no embedding has two")
    place = int(np.flatnonzero(clash)[0])
    one, other = order[place], order[place + 1]
    return Finding(
        DOUBTFUL, "labels", f"{int(clash.sum())} embeddings have two, such as {gallery.names[one]} "
        f"({gallery.classes[gallery.labels[one]]}) and {gallery.names[other]} "
        f"({gallery.classes[gallery.labels[other]]}): `gallery relabel` corrects one",
    )


def _votes(gallery: Gallery) -> Finding:
    # Of k votes the winner has at least k / C.
    hopeless = [
        f"{label} ({count})" for label, count in zip(gallery.classes, gallery.counts)
        if count * len(gallery.classes) < gallery.k
    ]
    if hopeless:
        return Finding(DOUBTFUL, "vote", f"k is {gallery.k}: {', '.join(hopeless)} have too few anchors ever to win")
    return Finding(PASSED, "vote", f"k is {gallery.k}, which every class can win")


def _threshold(gallery: Gallery) -> Finding:
    if gallery.threshold is None:
        return Finding(DOUBTFUL, "threshold", "none: whatever the camera sees is given one of the emotions")
    return Finding(PASSED, "threshold", f"unknown beyond {gallery.threshold:.4g}")


def _images(gallery: Gallery, model: EmbeddingModel, progress: Optional[Progress]) -> Finding:
    assert gallery.images is not None
    again = embed_faces(model, gallery.images, progress)
    gaps = np.linalg.norm(again - gallery.embeddings, axis=1) / np.linalg.norm(gallery.embeddings, axis=1).mean()
    off = np.flatnonzero(gaps > SAME_EMBEDDING)
    if len(off):
        worst = int(gaps.argmax())
        return Finding(
            FAILED, "images", f"{len(off)} do not give the embedding beside them; the worst, "
            f"{gallery.names[worst]}, is off by {gaps[worst]:.0%}: `gallery re-embed` makes them agree",
        )
    return Finding(PASSED, "images", f"all {len(gallery)} give the embeddings beside them")
