"""`siamese-emotion benchmark-knn`: what searching a gallery costs here, by its size, beside faiss."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.lists import numbers

if TYPE_CHECKING:
    from rich.console import RenderableType

    from siamese_emotion_ros.evaluation.search_speed import SearchCost


@reported()
def benchmark_knn(
    sizes: str = typer.Option("100,1000,10000,100000,1000000", help="Anchors in the gallery, comma-separated."),
    faces: str = typer.Option("1,8", help="Faces that are searched for at once, comma-separated."),
    k: int = typer.Option(15, min=1, help="Neighbours that vote."),
    dimensions: int = typer.Option(128, min=1, help="Dimensions of the embeddings."),
    repeats: int = typer.Option(25, min=3, help="Measurements of each search, alternating."),
    threads: int = typer.Option(1, min=1, help="Threads of both searches."),
    approximate_from: int = typer.Option(
        50_000, min=0, help="Also measure the approximate search, and its recall, from this many anchors on; 0: never."
    ),
    approximate: str = typer.Option("ivf", help="Which approximate search: ivf or hnsw."),
    json_file: Optional[Path] = typer.Option(None, "--json", help="Write the figures to this file as well."),
    csv_file: Optional[Path] = typer.Option(None, "--csv", help="Write the table to this file."),
) -> None:
    """Measure the exact search of anchors, alternating with faiss IndexFlatL2, and the approximate one; needs faiss."""
    import json

    from siamese_emotion_ros.cli.output import plain_console, refuse_unwritable
    from siamese_emotion_ros.evaluation.search_speed import measure_searches
    from siamese_emotion_ros.evaluation.tables import as_csv
    from siamese_emotion_ros.recognition.approximate import SEARCHES
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    refuse_unwritable(json_file, csv_file)
    if approximate not in SEARCHES[1:]:
        raise ValueError(f"--approximate is {approximate!r}: expected {' or '.join(SEARCHES[1:])}")
    console = plain_console()
    with console.status("starting") as status:
        costs = measure_searches(
            _numbers(sizes, "--sizes"), _numbers(faces, "--faces"), k, dimensions, repeats, threads,
            approximate_from or None, approximate, status.update,
        )
    console.print(_table(costs, k, dimensions, threads, approximate))
    if json_file is not None:
        facts = {"k": k, "dimensions": dimensions, "threads": threads, "approximate": approximate}
        facts["costs"] = [cost._asdict() for cost in costs]
        write_atomically(json_file, (json.dumps(facts, indent=1) + "\n").encode())
        console.print(f"wrote {json_file}", soft_wrap=True)
    if csv_file is not None:
        write_atomically(csv_file, as_csv(costs, ".4g"))
        console.print(f"wrote {csv_file}", soft_wrap=True)


def _table(costs: List[SearchCost], k: int, dimensions: int, threads: int, approximate: str) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from siamese_emotion_ros.cli.output import plain_table

    clock = "processor" if threads == 1 else "wall"
    table = plain_table(
        f"{k} nearest of anchors in {dimensions} dimensions; {threads} thread{'s' * (threads > 1)}, {clock} time"
    )
    for name in ("anchors", "faces", "exact", "faiss flat", "exact / faiss", "memory", approximate, "recall"):
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for cost in costs:
        if before not in (None, cost.anchors):
            table.add_section()
        table.add_row(
            f"{cost.anchors:,}" if cost.anchors != before else "", str(cost.faces), _ms(cost.exact_ms),
            _ms(cost.faiss_ms), f"{cost.ratio:.2f}", "" if cost.memory is None else f"{cost.memory:.2f}",
            "" if cost.approximate_ms is None else _ms(cost.approximate_ms),
            "" if cost.recall is None else f"{cost.recall:.1%}",
        )
        before = cost.anchors
    return Group(table, Text(
        "exact: the k nearest and the nearest of each class; faiss flat: the k nearest. memory: of the search with its "
        "embeddings, over the embeddings. Times are for all faces together.", style="dim",
    ))


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds:.0f} ms"


def _numbers(text: str, flag: str) -> List[int]:
    found = numbers(text, flag, "1,8", int)
    if min(found) < 1:
        raise ValueError(f"{flag} is {text!r}: expected numbers above 0")
    return found
