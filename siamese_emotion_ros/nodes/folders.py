"""Where a path leads, and whether that is in a folder that may be read: links and `..` are followed first."""
from __future__ import annotations

from pathlib import Path
from typing import Iterable, Union


def place_of(name: Union[str, Path]) -> Path:
    """The absolute path that a name means; ValueError for what can be none (a loop of links, a null byte, ~nobody)."""
    try:
        return Path(name).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{str(name)[:200]!r} is not a usable path ({why_unusable(error)})") from error


def why_unusable(error: Exception) -> str:
    """Why a path cannot be used, without the path, which may be of any length and is quoted beside it."""
    return getattr(error, "strerror", None) or str(error)[:200]


def lies_in(place: Path, folders: Iterable[str]) -> bool:
    """Whether a place that `place_of` gave is one of the folders or somewhere below one."""
    roots = {place_of(folder) for folder in folders if folder}
    return not roots.isdisjoint((place, *place.parents))
