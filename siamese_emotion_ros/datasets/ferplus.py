"""FER+: ten votes for every face of FER-2013, as soft labels, as a majority, and as a measure of agreement.

E. Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label
distribution", ICMI 2016; the file is fer2013new.csv.
"""
from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np

from ..recognition.emotions import EIGHT
from .face_set import DataSetError, FaceSet, normalize_votes

FILE_NAME = "fer2013new.csv"

#: Columns of the votes, in the file's order; the last two are no emotions ("NF": not a face).
VOTE_COLUMNS: Tuple[str, ...] = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)


def read_votes(path: Path) -> Tuple[np.ndarray, List[str]]:
    """The votes uint8 [N, 10] in the order of VOTE_COLUMNS, and the N words of the column Usage.

    A file of which any line is wrong is refused as a whole (DataSetError): its rows belong to FER-2013's by
    position, and one lost line would give every later face somebody else's votes.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataSetError(f"{path}: cannot be read ({error})") from error
    reader = csv.reader(io.StringIO(text))
    try:
        rows = list(reader)
    except csv.Error as error:  # a stray quote makes one field of all that follows
        raise DataSetError(f"{path}: line {reader.line_num} ends no CSV ({error}). Download the file again") from error
    while rows and not any(rows[-1]):
        rows.pop()
    header = [name.strip() for name in rows[0]] if rows else []
    missing = [name for name in ("Usage",) + VOTE_COLUMNS if name not in header]
    if missing:
        raise DataSetError(f"{path}: the header lacks {', '.join(missing)}: expected FER+'s fer2013new.csv")
    usage_column = header.index("Usage")
    columns = [header.index(name) for name in VOTE_COLUMNS]
    votes, usages = bytearray(), []
    for number, row in enumerate(rows[1:], start=2):
        try:
            votes += bytes(int(row[column]) for column in columns)
            usages.append(row[usage_column].strip())
        except (IndexError, ValueError) as error:
            raise DataSetError(f"{path}: line {number} is {','.join(row)[:60]!r}: expected a usage, a name, "
                               f"ten counts of 0 to 255. Download the file again") from error
    return np.frombuffer(votes, dtype=np.uint8).reshape(-1, len(VOTE_COLUMNS)), usages


def soft_labels(votes: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """float32 [N, C]: each face's share of the votes for `classes`.

    Votes for other emotions, "unknown" and "NF" do not count; a row without any other vote is all zero.
    """
    return normalize_votes(votes[:, [VOTE_COLUMNS.index(name) for name in classes]])


def agreement(votes: np.ndarray) -> np.ndarray:
    """float32 [N]: the most chosen emotion's share of all votes, "unknown" and "NF" among them."""
    most = votes[:, :len(EIGHT)].max(axis=1).astype(np.float32)
    total = votes.sum(axis=1, dtype=np.float32)
    shares: np.ndarray = np.divide(most, total, out=np.zeros_like(most), where=total > 0)
    return shares


def majority(votes: np.ndarray) -> np.ndarray:
    """int64 [N]: the index into emotions.EIGHT of what most voters chose.

    -1 where that is "unknown" or "NF", where two columns share the first place, and where nobody voted.
    """
    winner = votes.argmax(axis=1)
    alone = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) == 1
    index = np.array([EIGHT.index(name) if name in EIGHT else -1 for name in VOTE_COLUMNS], dtype=np.int64)
    return np.where(alone, index[winner], np.int64(-1))


def relabel_by_majority(faceset: FaceSet) -> FaceSet:
    """The faces with FER+'s majority as label, over all eight emotions; those without one are left out."""
    votes = _votes(faceset)
    labels = majority(votes)
    relabelled = dataclasses.replace(faceset, classes=EIGHT, labels=np.maximum(labels, 0),
                                     soft_labels=soft_labels(votes, EIGHT))
    return relabelled.keep(labels >= 0, "no emotion has the majority of the FER+ votes")


def relabel_agreed(faceset: FaceSet, minimum: float) -> FaceSet:
    """The faces, each under the emotion that at least the share `minimum` (0..1) of all FER+ voters agree on.

    Where they do not agree so far, a face keeps its label; where they agree on what is none of the classes, it is left
    out.
    """
    agreed, chosen = _agreed(faceset, minimum), majority(_votes(faceset))
    here = np.array([faceset.classes.index(label) if label in faceset.classes else -1 for label in EIGHT])
    labels = np.where(agreed & (chosen >= 0), here[chosen], faceset.labels)
    relabelled = dataclasses.replace(faceset, labels=np.maximum(labels, 0))
    return relabelled.keep(labels >= 0, "the FER+ voters agree on another emotion than these")


def keep_agreed(faceset: FaceSet, minimum: float) -> FaceSet:
    """Only faces of which at least the share `minimum` (0..1) of all FER+ voters chose the same emotion.

    0.7 keeps the faces "where at least seven of ten voters agree". The labels stay as they are.
    """
    return faceset.keep(_agreed(faceset, minimum), f"less than {minimum:g} of the FER+ voters agree")


def keep_confirmed(faceset: FaceSet) -> FaceSet:
    """Only faces whose own label is what most FER+ voters chose; on FER-2013's own labels, about two in three."""
    chosen = majority(_votes(faceset))
    own = np.array([EIGHT.index(label) for label in faceset.classes], dtype=np.int64)[faceset.labels]
    return faceset.keep(chosen == own, "label that the FER+ majority does not confirm")


def keep_supported(faceset: FaceSet, minimum: float) -> FaceSet:
    """Only faces whose own label at least the share `minimum` (0..1) of all FER+ voters chose.

    Between all faces (0) and those that keep_confirmed leaves; what only a label's author saw is left out.
    """
    if not 0 <= minimum <= 1:
        raise DataSetError(f"support {minimum}: expected a share from 0 to 1, such as 0.25")
    votes = _votes(faceset)
    columns = np.array([VOTE_COLUMNS.index(label) for label in faceset.classes])[faceset.labels]
    chosen = votes[np.arange(len(votes)), columns].astype(np.float32)
    total = votes.sum(axis=1, dtype=np.float32)
    supported = chosen >= (minimum - 5e-7) * np.maximum(total, 1)
    return faceset.keep(supported, f"less than {minimum:g} of the FER+ voters chose the face's own label")


def agreed_on(votes: np.ndarray, classes: Sequence[str], minimum: float) -> np.ndarray:
    """bool [N]: for which faces at least the share `minimum` (0..1) of all voters chose the same one of `classes`."""
    chosen = majority(votes)
    return _share_agrees(votes, minimum) & np.isin(chosen, [EIGHT.index(name) for name in classes])


def _agreed(faceset: FaceSet, minimum: float) -> np.ndarray:
    """bool [N]: for which faces at least the share `minimum` (0..1) of all voters chose the same emotion."""
    if not 0 <= minimum <= 1:
        raise DataSetError(f"agreement {minimum}: expected a share from 0 to 1, such as 0.7 for seven of ten")
    return _share_agrees(_votes(faceset), minimum)


def _share_agrees(votes: np.ndarray, minimum: float) -> np.ndarray:
    # Shares such as 7/10 are not exact in float32; half a millionth is far below one vote in ten.
    agrees: np.ndarray = agreement(votes) >= minimum - 5e-7
    return agrees


def _votes(faceset: FaceSet) -> np.ndarray:
    if faceset.votes is None:
        raise DataSetError(f"this data set has no FER+ votes: put {FILE_NAME} beside fer2013.csv, "
                           f"or name it with the option 'ferplus'")
    return faceset.votes
