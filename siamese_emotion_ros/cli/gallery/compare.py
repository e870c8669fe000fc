"""`siamese-emotion gallery compare`: what every way of condensing a gallery costs, on faces that are no anchors."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Union

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.lists import numbers
from siamese_emotion_ros.cli.options import DEVICE, JUDGE, LOADER_OPTIONS, MODEL, SHARED_CLASSES, seed_option
from siamese_emotion_ros.cli.source import Source, options_of
from siamese_emotion_ros.shipped import default_model

if TYPE_CHECKING:
    from rich.console import RenderableType

    from siamese_emotion_ros.evaluation.condensing import Condensed

#: A condensed gallery that loses less than this share of the faces is as good as the full one.
NOTHING_LOST = 0.005


@reported()
def compare(
    file: Path = typer.Argument(..., metavar="GALLERY", help="The full gallery."),
    dataset: str = typer.Option("fer2013", help="Data set of the query faces: fer2013, ckplus, kdef, folder or bag."),
    root: Path = typer.Option(..., help="Your copy of the data set."),
    split: Optional[str] = typer.Option(
        None, metavar="[SCHEME:]PART", help="Which of its faces to use, as in `evaluate`; none may be an anchor."
    ),
    classes: Optional[str] = SHARED_CLASSES,
    model: Optional[Path] = MODEL,
    sizes: str = typer.Option("100,300,1000", help="How many anchors to condense to, comma-separated."),
    methods: str = typer.Option(
        "random,herding,hart,kmeans,edited", show_default="all",
        help="Methods of condensing, comma-separated: random, herding, hart, kmeans, edited.",
    ),
    judge: str = JUDGE,
    k: Optional[str] = typer.Option(None, help="Neighbours that vote, comma-separated. Default: the gallery's."),
    seeds: int = typer.Option(1, min=1, help="Condense this many times with different seeds, and show mean and worst."),
    balance: float = typer.Option(0.0, help="0 keeps the emotions' proportions, 1 gives each the same number."),
    option: Optional[List[str]] = LOADER_OPTIONS,
    split_seed: int = seed_option("Seed of the split."),
    csv: Optional[Path] = typer.Option(None, help="Write the table to this file."),
    device: str = DEVICE,
    force: bool = typer.Option(False, "--force", help="Overwrite the CSV file."),
) -> None:
    """Condense a gallery by every method to every size, and compare top-1 with that of the full one."""
    from siamese_emotion_ros.cli.gallery.queries import embedded_queries
    from siamese_emotion_ros.cli.loading import load_gallery
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation.condensing import compare_condensations
    from siamese_emotion_ros.evaluation.tables import as_csv
    from siamese_emotion_ros.recognition.condensation import EDITING, check_judge, check_method, clear_by
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    faces = Source(dataset, root, split, options_of(option))
    counts = numbers(sizes, "--sizes", "100,300,1000", int)
    ks = numbers(k, "--k", "5,15", int) if k else []
    tried = methods.split(",")
    refuse_existing(csv, force)
    for method in tried:  # before the data set is read, which takes a while
        check_method(method)
    check_judge(judge)
    model = model or default_model()
    embedder = EmbeddingModel.load(model, device)
    queries = embedded_queries(load_gallery(file, embedder, model), embedder, faces, split_seed, classes)
    clear = None
    if set(tried) & set(EDITING):
        with face_progress("judging anchors") as progress:
            clear = clear_by(judge, queries.gallery, embedder, progress)
    with face_progress("condensing") as progress:
        compared = compare_condensations(
            queries.gallery, queries.embeddings, queries.labels, counts, tried, ks, seeds, balance, clear,
            progress,
        )
    console = plain_console()
    console.print(_table(f"{faces.dataset}, {queries.part}: {len(queries.labels)} faces", compared))
    if csv is not None:
        write_atomically(csv, as_csv(compared, ".6f"))
        console.print(f"wrote {csv}", soft_wrap=True)


def _table(title: str, rows: List[Condensed]) -> RenderableType:
    from rich.text import Text

    from siamese_emotion_ros.cli.output import plain_table

    table = plain_table(title)
    table.add_column("method")
    names = ["anchors", "k", "top-1", "lost", "macro recall"]
    if any(row.seeds > 1 for row in rows):
        names.insert(3, "worst")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for row in rows:
        figures: Dict[str, Union[str, Text]] = {
            "anchors": f"{row.anchors:,}", "k": str(row.k), "top-1": f"{100 * row.top1:.1f}",
            "worst": f"{100 * row.worst_top1:.1f}" if row.seeds > 1 else "",
            "lost": Text(f"{100 * row.lost:.1f}", style="green" if row.lost < NOTHING_LOST else "red"),
            "macro recall": f"{100 * row.macro_recall:.1f}",
        }
        group = (row.method, row.anchors)
        if before is not None and group != before:
            table.add_section()
        table.add_row(row.method if group != before else "", *(figures[name] for name in names))
        before = group
    return table
