"""A progress bar for work that is counted in faces."""
from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Iterator


@contextmanager
def face_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar named `what` while inside; yields the function to call with (done, total) faces."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from siamese_emotion_ros.cli.output import plain_console

    console = plain_console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Where there is no terminal, a bar would leave nothing but empty lines.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
