"""`siamese-emotion protocol`: how many emotions a network can tell apart, grown one at a time."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DATA_ROOT, OVERRIDES

if TYPE_CHECKING:
    from rich.console import Console

    from siamese_emotion_ros.training.growth import GrowthState


@reported()
def protocol(
    overrides: Optional[List[str]] = OVERRIDES,
    name: str = typer.Option(
        "growth_fer2013", "--config", help="YAML file, or the name of a shipped one, to train each network with."
    ),
    data_root: Optional[Path] = DATA_ROOT,
    output: Path = typer.Option(..., help="Folder of the run; run again with the same folder to continue."),
    starts: str = typer.Option("similar,middling,different", help="Which pairs of emotions to start from."),
    stop_below: float = typer.Option(0.7, help="Stop growing when top-1 falls below this share."),
    progress: bool = typer.Option(True, help="Show a progress bar for each network."),
) -> None:
    """Run the paper's emotion-growth protocol, and write growth.csv and growth.png to OUTPUT."""
    from siamese_emotion_ros.cli.loading import load_faces
    from siamese_emotion_ros.cli.output import plain_console, refuse_unwritable
    from siamese_emotion_ros.cli.train import read_named_config
    from siamese_emotion_ros.training.growth import TABLE, Growth, Interrupted
    from siamese_emotion_ros.training.loading import prepare

    refuse_unwritable(output / TABLE)
    config = read_named_config(name, overrides or [], data_root)
    console = plain_console()
    chosen = [start.strip() for start in starts.split(",") if start.strip()]
    growth = Growth(config, lambda wanted: prepare(faces, wanted), output, stop_below, chosen, progress)
    faces = load_faces(config.data.dataset, Path(str(config.data.root)), config.data.options)
    try:
        state = growth.run(console.print)
    except Interrupted:
        console.print("interrupted; run the same command again to continue")
        raise typer.Exit(130) from None
    _show(console, state, output)


def _show(console: Console, state: GrowthState, output: Path) -> None:
    from rich.table import Table

    from siamese_emotion_ros.training.growth import PLOT, TABLE

    table = Table(title=f"emotion growth (limit {state.stop_below:.0%})")
    for heading in ("start", "emotions", "top-1", "macro-F1", "one-vs-rest"):
        table.add_column(heading, justify="left" if heading in ("start", "emotions") else "right")
    for stage in state.stages:
        figures = [f"{value:.1%}" for value in (stage.top1, stage.macro_f1, stage.one_vs_rest)]
        table.add_row(stage.start, ", ".join(stage.classes), *figures)
    console.print(table)
    console.print(f"wrote {output / TABLE} and {output / PLOT}", soft_wrap=True)
