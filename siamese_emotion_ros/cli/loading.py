"""Reading what several commands need: a data set with a progress bar, and the gallery of a model."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

if TYPE_CHECKING:
    from siamese_emotion_ros.datasets.face_set import FaceSet
    from siamese_emotion_ros.recognition.gallery import Gallery
    from siamese_emotion_ros.recognition.model import EmbeddingModel


def load_faces(dataset: str, root: Path, options: Mapping[str, Any], quiet: bool = False) -> FaceSet:
    """The data set `dataset` at `root` as datasets.load, or "bag", as evaluation.bag_faces.load_bag.

    Says what was skipped and what was left out, unless `quiet`.
    """
    from collections import Counter

    from siamese_emotion_ros.cli.output import plain_console
    from siamese_emotion_ros.cli.progress import reading_progress
    from siamese_emotion_ros.datasets.load import DATASETS, load

    loaders = dict(DATASETS)
    if dataset not in DATASETS:  # what a bag needs is loaded for a bag, and for the list of all that there is
        from siamese_emotion_ros.evaluation.bag_faces import load_bag

        loaders["bag"] = load_bag
    console = plain_console(stderr=True, quiet=quiet)
    with reading_progress(f"reading {dataset}", console) as progress:
        faces = load(dataset, root, loaders, **{"progress": progress, **options})
    if faces.skipped:
        first = faces.skipped[0]
        console.print(f"skipped {len(faces.skipped)}, such as {first.name}: {first.reason}", soft_wrap=True)
    for reason, count in Counter(row.reason for row in faces.left_out).items():
        console.print(f"left out {count} faces: {reason}")
    return faces


def load_gallery(file: Path, model: EmbeddingModel, model_file: Path) -> Gallery:
    """The gallery in `file`; ValueError, naming both files, when it was made for another model than `model`."""
    from siamese_emotion_ros.recognition.artifacts import read_gallery

    gallery = read_gallery(file)
    if gallery.model_fingerprint != model.fingerprint:
        raise ValueError(
            f"{file} was made for model {gallery.model_fingerprint[:12]}, and {model_file} is "
            f"{model.fingerprint[:12]}: give that model with --model, or a gallery of this one, which "
            "`gallery build` makes, or `gallery re-embed` from one with images"
        )
    return gallery
