"""What all commands that write a gallery do: write it whole, and say what it is."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from siamese_emotion_ros.recognition.gallery import Gallery


def write_and_tell(console: Console, output: Path, gallery: Gallery, half: bool = False) -> None:
    """Write the gallery whole or not at all, and say what is in it; float16 when asked, or when nothing is lost."""
    import numpy as np

    from siamese_emotion_ros.cli.gallery.calibration import confidence_text, is_calibrated
    from siamese_emotion_ros.recognition.artifacts import write_gallery

    with np.errstate(over="ignore"):
        lossless = bool((gallery.embeddings.astype(np.float16) == gallery.embeddings).all())
    fingerprint = write_gallery(output, gallery, half or lossless)
    console.print(anchors_table(gallery))
    known = "never unknown" if gallery.threshold is None else f"unknown beyond {gallery.threshold:.4g}"
    images = "embeddings only" if gallery.images is None else "with images"
    console.print(f"{len(gallery)} anchors, {images}, k {gallery.k}, {known}")
    if is_calibrated(gallery):
        console.print(f"confidence {confidence_text(gallery.sharpness, gallery.doubt)}")
    console.print(f"for model {gallery.model_fingerprint[:12]}")
    console.print(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB, {fingerprint[:12]})", soft_wrap=True)


def anchors_table(gallery: Gallery) -> RenderableType:
    """How many anchors each emotion has, and which share of all that is."""
    from siamese_emotion_ros.cli.output import plain_table

    table = plain_table()
    table.add_column("emotion")
    table.add_column("anchors", justify="right")
    table.add_column("share", justify="right")
    for label, count in zip(gallery.classes, gallery.counts):
        table.add_row(label, str(count), f"{count / len(gallery):.1%}")
    return table
