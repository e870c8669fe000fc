"""Reading a data set with a progress bar, for the commands that need one."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from siamese_emotion_ros.datasets.face_set import FaceSet


def load_faces(dataset: str, root: Path, **options: Any) -> FaceSet:
    """The data set `dataset` at `root`, as datasets.load; says what was skipped and what was left out."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from siamese_emotion_ros.datasets.load import load

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"reading {dataset}", total=None)
        faces = load(
            dataset, root, progress=lambda done, total: bar.update(task, completed=done, total=total), **options
        )
    for what, rows in (("skipped", faces.skipped), ("left out", faces.left_out)):
        if rows:
            console.print(f"{what} {len(rows)} faces, such as {rows[0].name}: {rows[0].reason}", highlight=False)
    return faces
