"""`siamese-emotion gallery calibrate`: where known ends and how sure a vote is, by faces whose emotion is known."""
from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DEVICE, FORCE, LOADER_OPTIONS, K, seed_option
from siamese_emotion_ros.cli.source import Source, options_of


@reported()
def calibrate(
    file: Path = typer.Argument(..., metavar="GALLERY", help="The gallery to calibrate, such as a condensed one."),
    model: Path = typer.Option(..., help="The gallery's model file."),
    dataset: str = typer.Option(
        "fer2013", help="Data set of the query faces: fer2013, ckplus, kdef, folder or bag."
    ),
    root: Path = typer.Option(..., help="Your copy of the data set."),
    output: Path = typer.Option(..., help="Gallery file to write; may be GALLERY itself, with --force."),
    split: str = typer.Option(
        "val", metavar="[SCHEME:]PART", help="Which of its faces to use, as in `evaluate`; none may be an anchor."
    ),
    known_share: float = typer.Option(0.95, help="Share of the correctly recognised faces that stays known."),
    k: Optional[int] = K,
    option: Optional[List[str]] = LOADER_OPTIONS,
    seed: int = seed_option("Seed of the split."),
    device: str = DEVICE,
    force: bool = FORCE,
) -> None:
    """Set the unknown threshold, and rescale the vote so that confidence is the probability of being right.

    Each emotion's share of the vote is raised to a power (sharpness), a constant (doubt) is added, and they are scaled
    to sum to 1.
    """
    from dataclasses import replace

    from siamese_emotion_ros.cli.gallery.calibration import check_known_share
    from siamese_emotion_ros.cli.gallery.output import write_and_tell
    from siamese_emotion_ros.cli.gallery.queries import embedded_queries
    from siamese_emotion_ros.cli.loading import load_gallery
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.recognition.calibration import calibrated
    from siamese_emotion_ros.recognition.model import EmbeddingModel

    faces = Source(dataset, root, split, options_of(option))
    refuse_existing(output, force)
    check_known_share(known_share)
    embedder = EmbeddingModel.load(model, device)
    gallery = load_gallery(file, embedder, model)
    if k is not None:
        gallery = replace(gallery, k=k)
    queries = embedded_queries(gallery, embedder, faces, seed)
    if queries.gallery.classes != gallery.classes:
        missing = ", ".join(label for label in gallery.classes if label not in queries.gallery.classes)
        raise ValueError(f"{faces.root} has no face of {missing}: calibrate on faces of all the gallery's labels")
    console = plain_console()
    write_and_tell(console, output, calibrated(gallery, queries.embeddings, queries.labels, known_share))
    console.print(f"calibrated on {len(queries.labels)} faces of {faces.dataset}, {queries.part}")
