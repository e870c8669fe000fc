"""`siamese-emotion robustness`: what blur, darkness, bad boxes and the like cost a model."""
from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DEVICE, LOADER_OPTIONS, seed_option
from siamese_emotion_ros.cli.source import source


@reported()
def robustness(
    dataset: Optional[str] = typer.Option(None, help="Data set: fer2013, ckplus, kdef, folder or bag."),
    root: Optional[Path] = typer.Option(None, help="Your copy of the data set."),
    split: Optional[str] = typer.Option(None, metavar="[SCHEME:]PART", help="Which faces to use, as in `evaluate`."),
    option: Optional[List[str]] = LOADER_OPTIONS,
    model: Path = typer.Option(..., help="Model file."),
    gallery: Path = typer.Option(..., help="Gallery file."),
    seed: int = seed_option("Seed of the corruptions' random parts."),
    device: str = DEVICE,
    csv: Optional[Path] = typer.Option(None, help="Write the table to this file."),
    plot: Optional[Path] = typer.Option(None, help="Plot the results to this PNG file."),
) -> None:
    """Measure top-1 under fourteen corruptions at three strengths each, and on the unchanged faces."""
    from rich.table import Table

    from siamese_emotion_ros.cli.loading import load_gallery
    from siamese_emotion_ros.cli.output import plain_console, refuse_unwritable
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation import robustness as measuring
    from siamese_emotion_ros.evaluation.anchors import narrowed, shared_classes
    from siamese_emotion_ros.evaluation.tables import as_csv
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.recognizer import Settings
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    faces = source(dataset, root, None, split, option)
    refuse_unwritable(csv, plot)
    embedder = EmbeddingModel.load(model, device, backend="auto", threads=2)
    stored = load_gallery(gallery, embedder, model)
    queries, _, part = faces.load(seed)
    anchors = narrowed(stored, shared_classes(stored.classes, queries))
    with face_progress("corrupting and embedding faces") as progress:
        rows = measuring.robustness(embedder, anchors, Settings(), queries, seed, progress)

    console = plain_console()
    table = Table(title=f"{model.name} on {faces.dataset}, {part}: {rows[0].n} faces")
    for heading in ("", "strength", "top-1", "macro-F1", "lost", "unknown"):
        table.add_column(heading, justify="left" if heading in ("", "strength") else "right")
    for row, before in zip(rows, [None, *rows]):
        first = before is None or before.corruption != row.corruption
        shares = ["" if share is None else f"{share:.1%}" for share in (row.top1, row.macro_f1)]
        lost = "" if row.drop is None else f"{100 * row.drop:.1f}"
        table.add_row(row.corruption if first else "", row.strength, *shares, lost, f"{row.unknown:.1%}")
    console.print(table)
    if csv is not None:
        write_atomically(csv, as_csv(rows))
        console.print(f"wrote {csv}", soft_wrap=True)
    if plot is not None:
        write_atomically(plot, measuring.plot(rows, f"{model.stem}: {faces.dataset}, {part}"))
        console.print(f"wrote {plot}", soft_wrap=True)
