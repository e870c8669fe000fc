"""What commands print to, and files they write: what cannot be written, or is there already, is refused at once."""
from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def refuse_unwritable(*outputs: Optional[Path]) -> None:
    """ValueError for the first of `outputs` (None = not asked for) that cannot become a file; no trace is left."""
    named = [output.resolve() for output in outputs if output is not None]
    for output in outputs:
        if output is None:
            continue
        if named.count(output.resolve()) > 1:
            raise ValueError(f"{output} is named for two outputs: give each a file of its own")
        if output.is_dir():
            raise ValueError(f"{output} is a folder: name a file in it")
        if output.exists() and not output.is_file():
            raise ValueError(f"{output} is a device or pipe, which would be replaced: name a file")
        folder = next(parent for parent in output.absolute().parents if parent.exists())
        try:
            with tempfile.TemporaryFile(dir=str(folder)):  # permissions alone say nothing to root, nor of /proc
                pass
        except OSError as error:
            raise ValueError(
                f"{output} cannot be written, {folder} takes no file ({error.strerror}): name one in another folder"
            ) from error


def refuse_existing(output: Optional[Path], force: bool) -> None:
    """ValueError when `output` exists and nobody said --force, and as `refuse_unwritable`."""
    refuse_unwritable(output)
    if output is not None and output.exists() and not force:
        raise ValueError(f"{output} exists already: name another file, or add --force to replace it")


def plain_console(stderr: bool = False, quiet: bool = False) -> Console:
    """A console that prints names as they are: files and faces may have [brackets] and :colons: in theirs."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, stderr=stderr, quiet=quiet)


def plain_table(title: Optional[str] = None, show_header: bool = True) -> Table:
    """A table without lines, with a bold title and a dim header."""
    from rich.table import Table

    return Table(
        title=title, title_justify="left", title_style="bold", show_header=show_header, header_style="dim", box=None,
        pad_edge=False,
    )
