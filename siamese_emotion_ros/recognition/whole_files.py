"""Writing a whole file or nothing, whatever ends the process or the power in between."""
from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Tuple, Union

PathLike = Union[str, "os.PathLike[str]"]

#: How the file is named while it is written, beside the one that it becomes: `.<its name>.<8 characters>.unfinished`.
SUFFIX = ".unfinished"
UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}" + re.escape(SUFFIX))


def write_atomically(path: PathLike, content: bytes) -> None:
    """Write a whole file or nothing: a temporary file beside it, flushed to the disk, then renamed over it.

    When this returns the disk has the file and its name. What writers that were killed have left in the folder goes.
    OSError where that cannot be had, and for a target that is no regular file, such as /dev/null: it would be replaced.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "is there and no regular file", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(target.parent)
    handle, temporary = _locked_file(target)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    _flush_names(target.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files of writers that are no more: those that nobody holds the lock of.

    The kernel gives a lock back when its process ends, however that ends; a file that is still being written, by
    whichever process or container, is left alone, and so is everything of another name.
    """
    try:
        names = os.listdir(folder)
    except OSError:  # a folder that may be written to and not be looked into
        return
    for path in (folder / name for name in names if UNFINISHED.fullmatch(name)):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
            finally:
                os.close(handle)
        except OSError:  # somebody writes it, or it is gone or not ours: no reason not to write another file
            continue


def _locked_file(target: Path) -> Tuple[int, str]:
    """A new temporary file for `target`, open and locked by this process, and its path."""
    while True:
        handle, temporary = tempfile.mkstemp(dir=str(target.parent), prefix=f".{target.name}.", suffix=SUFFIX)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a file system without locks, where nobody else can lock and remove it either
            return handle, temporary
        if os.fstat(handle).st_nlink:
            return handle, temporary
        os.close(handle)  # taken for a dead writer's, and removed, before it was locked


def _flush_names(folder: Path) -> None:
    """Have the disk know the names in a folder: a rename is not safe from a power cut before that."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError:  # a file system that cannot; the file itself is whole
        pass
    finally:
        os.close(handle)
