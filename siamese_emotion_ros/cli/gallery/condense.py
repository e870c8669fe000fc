"""`siamese-emotion gallery condense`: fewer anchors that answer like many."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import FORCE, HALF, NEW_GALLERY, K, seed_option

if TYPE_CHECKING:
    from siamese_emotion_ros.recognition.gallery import Gallery


@reported()
def condense(
    file: Path = typer.Argument(..., metavar="GALLERY", help="The gallery to condense."),
    anchors: int = typer.Option(..., help="Keep about this many."),
    output: Path = NEW_GALLERY,
    method: str = typer.Option(
        "edited", help="random; herding: anchors that keep each class's mean; hart: condensed nearest neighbours; "
        "kmeans: the means of clusters; edited: kmeans over the anchors that their neighbours recognise correctly. "
        "`gallery compare` says what each costs.",
    ),
    balance: float = typer.Option(0.0, help="0 keeps the emotions' proportions, 1 gives each the same number."),
    seed: int = seed_option("Seed of all methods but herding."),
    k: Optional[int] = K,
    half: bool = HALF,
    force: bool = FORCE,
) -> None:
    """Condense a gallery; its threshold is adapted, so that as many faces stay known as before."""
    from dataclasses import replace

    import numpy as np

    from siamese_emotion_ros.cli.gallery.calibration import is_calibrated
    from siamese_emotion_ros.cli.gallery.output import write_and_tell
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.recognition.artifacts import read_gallery
    from siamese_emotion_ros.recognition.calibration import carried_threshold
    from siamese_emotion_ros.recognition.condensation import EDITING, check_method, clear_anchors
    from siamese_emotion_ros.recognition.condensation import condense as condensed_by

    refuse_existing(output, force)
    full = read_gallery(file)
    check_method(method)
    if not len(full.classes) <= anchors < len(full):
        raise ValueError(
            f"--anchors is {anchors}: expected {len(full.classes)}, one for each class, to {len(full) - 1}, fewer than "
            "there are"
        )

    clear = np.ones(len(full), bool)
    if method in EDITING:
        with face_progress("comparing anchors with each other") as progress:
            clear = clear_anchors(full, progress)

    def fewer(rows: np.ndarray) -> Gallery:
        return condensed_by(full.select(rows), anchors, method, seed, balance, clear[rows])

    console = plain_console()
    with console.status(f"condensing {len(full)} anchors to {anchors}"):
        condensed = fewer(np.arange(len(full)))
        if k is not None:
            condensed = replace(condensed, k=k)
        if full.threshold is not None:
            condensed = replace(condensed, threshold=carried_threshold(full, fewer, seed))
    write_and_tell(console, output, condensed, half)
    if condensed.threshold is not None:
        console.print(f"the threshold was {full.threshold:.4g} among {len(full)} anchors")
    if is_calibrated(full):
        console.print("sharpness and doubt are those of the full gallery: `gallery calibrate` finds this one's",
                      style="yellow")
    if full.images is not None and condensed.images is None:
        console.print("means of embeddings have no images: this gallery cannot be embedded again for another model",
                      style="yellow")
