"""From labelled image files to a FaceSet: the reading loop that the image data sets share."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..recognition.plain_text import spelled_out
from .face_set import DataSetError, FaceSet, Progress, Skipped
from .images import EXTENSIONS, ImageError


class FaceRecord(NamedTuple):
    """One image file and what its place in the data set says about it."""

    path: Path
    name: str
    label: str
    subject: Optional[str] = None
    group: Optional[str] = None
    split: Optional[str] = None


def read_records(
    records: Sequence[FaceRecord],
    classes: Tuple[str, ...],
    read: Callable[[Path], np.ndarray],
    root: Path,
    skipped: Sequence[Skipped] = (),
    progress: Optional[Progress] = None,
) -> FaceSet:
    """The faces of `records`, in their order; a file for which `read` raises ImageError is skipped.

    `skipped` is what the caller could not use already. Names are plain text, whatever bytes a file's name holds.
    Subjects, groups and the official split are taken over when every record has one. Raises DataSetError when nothing
    at all can be read.
    """
    faces: List[np.ndarray] = []
    kept: List[FaceRecord] = []
    lost = [Skipped(spelled_out(name), reason) for name, reason in skipped]
    for done, record in enumerate(records, start=1):
        try:
            faces.append(read(record.path))
            kept.append(record)
        except ImageError as error:
            lost.append(Skipped(spelled_out(record.name), str(error)))
        if progress is not None:
            progress(done, len(records))
    if not kept:
        found = f"no image was found ({', '.join(sorted(EXTENSIONS))})"
        if lost:
            found = f"none of {len(lost)} files can be used; the first: {lost[0].name}: {lost[0].reason}"
        raise DataSetError(f"{root}: {found}. Check that this is the folder that was unpacked")
    return FaceSet(
        faces=tuple(faces),
        labels=np.array([classes.index(record.label) for record in kept], dtype=np.int64),
        classes=classes,
        names=tuple(spelled_out(record.name) for record in kept),
        subjects=_column([record.subject for record in kept]),
        groups=_column([record.group for record in kept]),
        official_split=None if any(r.split is None for r in kept) else np.array([r.split for r in kept]),
        skipped=tuple(lost),
    )


def _column(values: Sequence[Optional[str]]) -> Optional[Tuple[str, ...]]:
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else None
