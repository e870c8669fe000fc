"""`siamese-emotion framing`: which margin around a detector's square suits a model best."""
from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.lists import numbers
from siamese_emotion_ros.cli.options import DEVICE, seed_option
from siamese_emotion_ros.cli.source import source


@reported()
def framing(
    dataset: Optional[str] = typer.Option(None, help="Data set: fer2013, ckplus, kdef, folder or bag."),
    root: Optional[Path] = typer.Option(None, help="Your copy of the data set."),
    split: Optional[str] = typer.Option(None, metavar="[SCHEME:]PART", help="Which faces to use, as in `evaluate`."),
    option: Optional[List[str]] = typer.Option(
        None, metavar="KEY=VALUE", help="Option of the data set's loader, such as min_agreement=0.7; repeatable."
    ),
    model: Path = typer.Option(..., help="Model file."),
    gallery: Path = typer.Option(..., help="Gallery file."),
    count: int = typer.Option(
        400, "--faces", min=1, help="How many of the faces to use, drawn by the seed, each in a scene of its own."
    ),
    margins: str = typer.Option(
        "0,0.03,0.06,0.1,0.2,0.3", help="Margins to try, as shares of the square's side, comma-separated."
    ),
    detector_model: Optional[Path] = typer.Option(None, help="YuNet's .onnx file, to try that detector too."),
    seed: int = seed_option("Seed of the draw and the scenes."),
    device: str = DEVICE,
    csv: Optional[Path] = typer.Option(None, help="Write the table to this file."),
) -> None:
    """Put faces at known places into made-up scenes, and recognise what each detector and margin crops from them."""
    import numpy as np
    from rich.text import Text

    from siamese_emotion_ros.cli.loading import load_gallery
    from siamese_emotion_ros.cli.output import plain_console, plain_table, refuse_unwritable
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation import framing as measuring
    from siamese_emotion_ros.evaluation.anchors import narrowed, shared_classes
    from siamese_emotion_ros.evaluation.tables import as_csv
    from siamese_emotion_ros.faces.detectors import available_detectors, make_detector
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    tried = numbers(margins, "--margins", "0,0.1,0.2", float)
    faces = source(dataset, root, None, split, option)
    refuse_unwritable(csv)
    embedder = EmbeddingModel.load(model, device, backend="auto", threads=2)
    stored = load_gallery(gallery, embedder, model)
    queries, _, part = faces.load(seed)
    anchors = narrowed(stored, shared_classes(stored.classes, queries))
    queries = queries.restrict(anchors.classes)
    queries = queries.select(np.sort(np.random.default_rng(seed).permutation(len(queries))[:count]))
    names = available_detectors(detector_model)
    detectors = [make_detector(name, model_path=detector_model if name == "yunet" else None) for name in names]
    with face_progress("searching scenes") as progress:
        rows = measuring.framing(embedder, anchors, detectors, tried, queries, seed, progress)

    console = plain_console()
    table = plain_table(f"{model.name} on {len(queries)} faces of {faces.dataset}, {part}, in scenes")
    for heading in ("detector", "margin", "found", "right", "down", "size", "top-1", "known box"):
        table.add_column(heading, justify="left" if heading == "detector" else "right", no_wrap=True)
    for row, before in zip(rows, [None, *rows]):
        first = before is None or before.detector != row.detector
        place = [f"{row.found:.1%}", f"{row.right:+.3f}", f"{row.down:+.3f}", f"{row.size:.3f}"] if first else [""] * 4
        best = row.top1 == max(other.top1 for other in rows if other.detector == row.detector)
        top1 = Text(f"{row.top1:.1%}", style="bold" if best else "")
        table.add_row(row.detector if first else "", f"{row.margin:g}", *place, top1, f"{row.known_top1:.1%}")
    console.print(table)
    if csv is not None:
        write_atomically(csv, as_csv(rows))
        console.print(f"wrote {csv}", soft_wrap=True)
