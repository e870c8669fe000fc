"""`siamese-emotion gallery merge`: the anchors of several galleries as one."""
from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import FORCE, NEW_GALLERY


@reported()
def merge(
    files: List[Path] = typer.Argument(..., metavar="GALLERY...", help="Galleries of one model, two or more."),
    output: Path = NEW_GALLERY,
    k: Optional[int] = typer.Option(None, help="Neighbours that vote. Default: those of the first gallery."),
    threshold: Optional[float] = typer.Option(
        None, help="Distance beyond which a face is unknown. Default: the galleries' where they agree, else none."
    ),
    force: bool = FORCE,
) -> None:
    """Merge the anchors of several galleries into one; an anchor that is in two of them is taken once."""
    from dataclasses import replace

    from siamese_emotion_ros.cli.gallery.calibration import is_calibrated
    from siamese_emotion_ros.cli.gallery.output import write_and_tell
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.recognition.artifacts import read_gallery
    from siamese_emotion_ros.recognition.curation import merge as merged

    refuse_existing(output, force)
    if len(files) < 2:
        raise ValueError(f"{len(files)} gallery: name two or more to merge")
    galleries = [read_gallery(file) for file in files]
    for file, gallery in zip(files, galleries):
        if gallery.model_fingerprint != galleries[0].model_fingerprint:
            has_images = gallery.images is not None or galleries[0].images is not None
            remedy = "embed the one with images" if has_images else "neither has images, so build one of them"
            raise ValueError(
                f"{files[0]} was made for model {galleries[0].model_fingerprint[:12]}, {file} for "
                f"{gallery.model_fingerprint[:12]}: {remedy} for the other's model with "
                f"`gallery {'re-embed' if has_images else 'build'}`"
            )
    whole = merged(galleries, k)
    if threshold is not None:
        whole = replace(whole, threshold=threshold)
    console = plain_console()
    write_and_tell(console, output, whole)
    repeated = sum(map(len, galleries)) - len(whole)
    if repeated:
        console.print(f"{repeated} anchors were in more than one gallery and taken once")
    if threshold is None and whole.threshold is None and any(gallery.threshold is not None for gallery in galleries):
        texts = ", ".join("none" if gallery.threshold is None else f"{gallery.threshold:.4g}" for gallery in galleries)
        console.print(f"the thresholds differ ({texts}), so there is none: give --threshold to set one", style="yellow")
    if any(map(is_calibrated, galleries)) and not is_calibrated(whole):
        console.print("confidence is no longer calibrated: `gallery calibrate` finds sharpness, doubt and threshold",
                      style="yellow")
    if whole.images is None and any(gallery.images is not None for gallery in galleries):
        console.print(
            "not all galleries hold images of one size, so none are kept: this gallery cannot be embedded again for "
            "another model",
            style="yellow",
        )
