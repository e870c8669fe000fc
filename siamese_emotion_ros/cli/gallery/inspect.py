"""`siamese-emotion gallery inspect`: how tight the classes of a gallery are, and where they run into each other."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import seed_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from siamese_emotion_ros.evaluation.inspection import Confusion


@reported()
def inspect(
    file: Path = typer.Argument(..., metavar="GALLERY", help="A gallery (*.gallery.safetensors)."),
    plot: Optional[Path] = typer.Option(None, help="Draw a map of the anchors and their confusions as this PNG."),
    confusions: int = typer.Option(
        5, min=0, help="How many of the closest pairs of anchors of different emotions to list."
    ),
    seed: int = seed_option("Seed of the map, and of the sample by which a large gallery is judged."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
    force: bool = typer.Option(False, "--force", help="Overwrite the PNG."),
) -> None:
    """Describe a gallery: counts, spread, which emotions its anchors confuse; draw it as a map."""
    import json

    from siamese_emotion_ros.cli.inspect import facts_tables, gallery_facts
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation.gallery_plot import draw_gallery
    from siamese_emotion_ros.evaluation.inspection import judge_gallery, nearest_confusions
    from siamese_emotion_ros.recognition.artifacts import read_gallery
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    refuse_existing(plot, force)
    gallery = read_gallery(file)
    with face_progress("comparing anchors with each other") as progress:
        judgement = judge_gallery(gallery, seed, progress)
    facts = gallery_facts(file, gallery, judgement)
    pairs = nearest_confusions(gallery, judgement, confusions) if confusions else []
    facts["nearest_confusions"] = [pair._asdict() for pair in pairs]
    console = plain_console(stderr=as_json)
    if plot is not None:
        with console.status("drawing the map"):
            write_atomically(plot, draw_gallery(gallery, judgement, file.name, seed))
    if as_json:
        print(json.dumps(facts, indent=1, allow_nan=False))
    else:
        console.print(facts_tables(file, facts))
        if pairs:
            console.print()
            console.print(_pairs_table(pairs))
    if plot is not None:
        console.print(f"wrote {plot}", soft_wrap=True)


def _pairs_table(pairs: List[Confusion]) -> RenderableType:
    from siamese_emotion_ros.cli.output import plain_table

    table = plain_table("Closest anchors of different emotions")
    table.add_column("distance", justify="right")
    for name in ("emotion", "anchor", "emotion", "anchor"):
        table.add_column(name, overflow="fold")
    for pair in pairs:
        table.add_row(f"{pair.distance:.3g}", pair.label, pair.name, pair.other_label, pair.other_name)
    return table
