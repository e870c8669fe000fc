"""`siamese-emotion similar`: which faces of a folder wear the expression of this one?"""
from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DEVICE, MODEL
from siamese_emotion_ros.shipped import default_model

#: Faces in a row of the contact sheet.
COLUMNS = 8


@reported()
def similar(
    anchor: Path = typer.Argument(..., metavar="ANCHOR", help="Image of the face to compare with."),
    folder: Path = typer.Argument(..., metavar="FOLDER", help="Images to search, subfolders too."),
    threshold: Optional[float] = typer.Option(None, min=0.0, help="Largest distance that counts as similar."),
    top: Optional[int] = typer.Option(32, min=1, help="Show at most this many, the nearest."),
    model: Optional[Path] = MODEL,
    crop: str = typer.Option(
        "auto", help="When to search a picture for a face: always, never, or auto (when too large for a face crop)."
    ),
    sheet: Path = typer.Option(Path("similar.png"), help="Contact sheet to write, the anchor first."),
    csv: Path = typer.Option(Path("similar.csv"), help="Table to write: rank, file, distance."),
    device: str = DEVICE,
    force: bool = typer.Option(False, "--force", help="Overwrite the sheet and the table."),
) -> None:
    """Find the faces of FOLDER that are near ANCHOR: a contact sheet and a table of distances."""
    import cv2

    from siamese_emotion_ros.cli.output import plain_console, plain_table, refuse_existing, refuse_unwritable
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.drawing.contact_sheet import contact_sheet
    from siamese_emotion_ros.evaluation.retrieval import matches_csv, similar_faces, within
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    refuse_unwritable(sheet, csv)
    for output in (sheet, csv):
        _refuse_input(output, anchor, folder)
        refuse_existing(output, force)
    embedder = EmbeddingModel.load(model or default_model(), device)
    with face_progress("comparing faces") as progress:
        face, matches, skipped = similar_faces(embedder, anchor, folder, crop, progress=progress)
    near = within(matches, threshold, top)

    write_atomically(csv, matches_csv(near).encode())
    images = [face] + [match.face for match in near]
    captions = ["anchor"] + [f"{match.distance:.3g}  {Path(match.name).name}" for match in near]
    _, png = cv2.imencode(".png", contact_sheet(images, captions, min(COLUMNS, len(images))))
    write_atomically(sheet, png.tobytes())

    console = plain_console()
    table = plain_table()
    for name in ("rank", "distance"):
        table.add_column(name, justify="right")
    table.add_column("file", overflow="fold")
    for rank, match in enumerate(near, start=1):
        table.add_row(str(rank), f"{match.distance:.4g}", match.name)
    if near:
        console.print(table)
    limit = "" if threshold is None else f" within {threshold:g}"
    nearest = f"; the nearest is {matches[0].distance:.4g} away" if not near else ""
    console.print(f"{len(near)} of {len(matches)} faces{limit}{nearest}")
    if skipped:
        console.print(f"skipped {len(skipped)} images, such as {skipped[0].name}: {skipped[0].reason}", soft_wrap=True)
    console.print(f"wrote {sheet} and {csv}", soft_wrap=True)


def _refuse_input(output: Path, anchor: Path, folder: Path) -> None:
    """ValueError for an output that is the anchor or an image of the folder, with --force too."""
    from siamese_emotion_ros.datasets.images import EXTENSIONS

    is_image = output.suffix.lower() in EXTENSIONS and folder.resolve() in output.resolve().parents
    if output.is_file() and (is_image or output.resolve() == anchor.resolve()):
        raise ValueError(f"{output} is one of the pictures that are compared: name another file with --sheet or --csv")
