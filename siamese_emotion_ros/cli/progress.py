"""Progress bars: for work that is counted in faces, and for reading a data set."""
from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

    from siamese_emotion_ros.recognition.embedding import Progress


@contextmanager
def face_progress(what: str) -> Iterator[Progress]:
    """Show a bar named `what` while inside; yields the function to call with (done, total) faces."""
    from rich.progress import MofNCompleteColumn

    from siamese_emotion_ros.cli.output import plain_console

    with _bar(what, MofNCompleteColumn(), plain_console(stderr=True)) as progress:
        yield progress


@contextmanager
def reading_progress(what: str, console: Console) -> Iterator[Progress]:
    """The same with the share that is done, whatever is counted: loaders count files, rows or bytes."""
    from rich.progress import TaskProgressColumn

    with _bar(what, TaskProgressColumn(), console) as progress:
        yield progress


@contextmanager
def _bar(what: str, done_so_far: ProgressColumn, console: Console) -> Iterator[Progress]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), done_so_far, TimeRemainingColumn())
    # Where there is no terminal, a bar would leave nothing but empty lines.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
