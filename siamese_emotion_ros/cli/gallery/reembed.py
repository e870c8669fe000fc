"""`siamese-emotion gallery re-embed`: the same anchors for another model."""
from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DEVICE, FORCE, HALF, NEW_GALLERY


@reported()
def reembed(
    file: Path = typer.Argument(..., metavar="GALLERY", help="A gallery that holds images."),
    model: Path = typer.Option(..., help="Model file to embed them with."),
    output: Path = NEW_GALLERY,
    threshold: Optional[float] = typer.Option(
        None, help="Distance beyond which a face is unknown. Default: none; the old one means nothing to this model."
    ),
    half: bool = HALF,
    device: str = DEVICE,
    force: bool = FORCE,
) -> None:
    """Embed the images of a gallery again for another model; labels, names, k and images stay the same."""
    from dataclasses import replace

    from siamese_emotion_ros.cli.gallery.output import write_and_tell
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.recognition.artifacts import read_gallery
    from siamese_emotion_ros.recognition.gallery import reembed as reembedded
    from siamese_emotion_ros.recognition.model import EmbeddingModel

    refuse_existing(output, force)
    before = read_gallery(file)
    if before.images is None:
        raise ValueError(
            f"{file} holds embeddings only, so no other model can embed its faces: build it again, with --image-size"
        )
    embedder = EmbeddingModel.load(model, device)
    with face_progress("embedding anchors") as progress:
        after = replace(reembedded(before, embedder, progress), threshold=threshold)
    console = plain_console()
    write_and_tell(console, output, after, half)
    if before.threshold is not None and threshold is None:
        console.print(
            f"the threshold {before.threshold:.4g} was for model {before.model_fingerprint[:12]}; there is none now",
            style="yellow",
        )
