"""FaceSet: labelled face images in memory, with everything a split or a loss needs to know about them."""
from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ..recognition.emotions import canonical

#: What a split is called, everywhere.
SPLITS: Tuple[str, ...] = ("train", "val", "test")

#: Called with (done, total) while a data set is read; the unit is the loader's (images, or bytes of a csv).
Progress = Callable[[int, int], None]

#: Gray uint8 faces: one [N, H, W] array when all have one size, else a tuple of [h, w] arrays.
Faces = Union[np.ndarray, Tuple[np.ndarray, ...]]


class DataSetError(ValueError):
    """A data set that cannot be used as asked: what was found, what was expected, what to do."""


class Skipped(NamedTuple):
    """One face that is not in the set: its name, and why."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class FaceSet:
    """Labelled faces; checked when made, never changed afterwards.

    faces          uint8 [N, H, W], or a tuple of N uint8 [h, w] images of any size.
    labels         int64 [N], indices into `classes`.
    classes        canonical emotions; the meaning of `labels` and of the columns of `soft_labels`.
    names          N distinct names that stay the same from load to load.
    subjects       who is pictured, for splits by person; None when the data set does not tell.
    groups         faces with the same group belong to one recording (or are the same picture) and are kept
                   in one split; None when every face stands alone.
    official_split N of "train", "val", "test", as the authors of the data set published it.
    soft_labels    float32 [N, C], each row a distribution over `classes`, or all zero where nobody chose any.
    votes          uint8 [N, 10], FER+ counts in the order of `ferplus.VOTE_COLUMNS`.
    skipped        what could not be read.
    left_out       what was read and left out on purpose (repeats of another split, faces without a majority).
    """

    faces: Faces
    labels: np.ndarray
    classes: Tuple[str, ...]
    names: Tuple[str, ...]
    subjects: Optional[Tuple[str, ...]] = None
    groups: Optional[Tuple[str, ...]] = None
    official_split: Optional[np.ndarray] = None
    soft_labels: Optional[np.ndarray] = None
    votes: Optional[np.ndarray] = None
    skipped: Tuple[Skipped, ...] = ()
    left_out: Tuple[Skipped, ...] = ()

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise DataSetError(f"classes {self.classes}: expected distinct emotions, at least one")
        if any(canonical(name) != name for name in self.classes):
            raise DataSetError(f"classes {self.classes}: use the canonical names, such as 'anger'")
        _check_faces(self.faces)
        count = len(self.faces)
        if self.labels.shape != (count,) or self.labels.dtype != np.int64:
            raise DataSetError(f"labels are {self.labels.dtype} {self.labels.shape}, not int64 [{count}]")
        if count and (self.labels.min() < 0 or self.labels.max() >= len(self.classes)):
            raise DataSetError(f"labels span {self.labels.min()}..{self.labels.max()} "
                               f"for {len(self.classes)} classes")
        for field in ("names", "subjects", "groups", "official_split", "soft_labels", "votes"):
            column = getattr(self, field)
            if column is not None and len(column) != count:
                raise DataSetError(f"{len(column)} {field} for {count} faces: expected one a face")
        if len(set(self.names)) != count:
            twice = Counter(self.names).most_common(1)[0][0]
            raise DataSetError(f"the name {twice!r} is used twice: every face needs its own")
        if self.official_split is not None and not np.isin(self.official_split, SPLITS).all():
            raise DataSetError(f"official_split holds {sorted(set(self.official_split) - set(SPLITS))}: "
                               f"expected {', '.join(SPLITS)}")
        if self.soft_labels is not None:
            _check_soft_labels(self.soft_labels, (count, len(self.classes)))

    def __len__(self) -> int:
        return len(self.faces)

    def select(self, indices: Union[np.ndarray, Sequence[int]]) -> FaceSet:
        """The faces at `indices`: integers in any order, or a mask [N]; IndexError when out of range."""
        rows = np.asarray(indices)
        rows = np.arange(len(self))[rows if rows.size else rows.astype(np.int64)]
        return dataclasses.replace(
            self,
            faces=self.faces[rows] if isinstance(self.faces, np.ndarray) else _pick(self.faces, rows),
            labels=self.labels[rows],
            names=_pick(self.names, rows),
            subjects=None if self.subjects is None else _pick(self.subjects, rows),
            groups=None if self.groups is None else _pick(self.groups, rows),
            official_split=None if self.official_split is None else self.official_split[rows],
            soft_labels=None if self.soft_labels is None else self.soft_labels[rows],
            votes=None if self.votes is None else self.votes[rows],
        )

    def restrict(self, classes: Sequence[str]) -> FaceSet:
        """Only the faces labelled one of `classes`, which become the new classes, in this order.

        Soft labels keep these classes' columns, normalised again; a face for which nobody voted
        for any of them keeps its label and an all-zero row. Raises DataSetError for a class that the
        set does not have.
        """
        wanted = tuple(canonical(name) for name in classes)
        missing = [name for name in wanted if name not in self.classes]
        if missing:
            raise DataSetError(f"this data set has no {' and no '.join(missing)}, only {', '.join(self.classes)}: "
                               "choose classes among these")
        if len(set(wanted)) != len(wanted) or not wanted:
            raise DataSetError(f"cannot restrict to {list(classes)}: name each class once, "
                               f"out of {', '.join(self.classes)}")
        columns = [self.classes.index(name) for name in wanted]
        new_label = np.full(len(self.classes), -1, dtype=np.int64)
        new_label[columns] = np.arange(len(wanted))
        kept = self.select(np.flatnonzero(new_label[self.labels] >= 0))
        soft = kept.soft_labels
        return dataclasses.replace(
            kept, classes=wanted, labels=new_label[kept.labels],
            soft_labels=None if soft is None else normalize_votes(soft[:, columns]),
        )

    def labels_among(self, classes: Sequence[str]) -> np.ndarray:
        """int64 [N]: the labels as indices into `classes`, which hold all of the set's; ValueError otherwise."""
        return np.array([classes.index(name) for name in self.classes], np.int64)[self.labels]

    def keep(self, mask: np.ndarray, reason: str) -> FaceSet:
        """The faces where the boolean `mask` [N] is true; `left_out` lists the others with `reason`."""
        gone = tuple(Skipped(self.names[i], reason) for i in np.flatnonzero(~mask))
        return dataclasses.replace(self.select(mask), left_out=self.left_out + gone)

    def counts(self) -> Dict[str, int]:
        """How many faces each class has, in the order of `classes`."""
        tally = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, tally)}

    def left_out_counts(self) -> Dict[str, int]:
        """How many faces were left out for each reason."""
        return dict(Counter(reason for _, reason in self.left_out))


def normalize_votes(votes: np.ndarray) -> np.ndarray:
    """Rows of `votes` [N, C] divided by their sums, float32; a row without votes stays zero."""
    votes = votes.astype(np.float32)
    total = votes.sum(axis=1, keepdims=True)
    normalized: np.ndarray = np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)
    return normalized


def _pick(column: Sequence, rows: np.ndarray) -> Tuple:
    return tuple(column[i] for i in rows)


def _check_faces(faces: Faces) -> None:
    if isinstance(faces, np.ndarray):
        if faces.ndim != 3 or faces.dtype != np.uint8 or 0 in faces.shape[1:]:
            raise DataSetError(f"faces are {faces.dtype} {faces.shape}: expected gray uint8 [N, H, W]")
        return
    for i, face in enumerate(faces):
        if face.ndim != 2 or face.dtype != np.uint8 or face.size == 0:
            raise DataSetError(f"face {i} is {face.dtype} {face.shape}: expected gray uint8 [H, W]")


def _check_soft_labels(soft: np.ndarray, shape: Tuple[int, int]) -> None:
    if soft.shape != shape or soft.dtype != np.float32:
        raise DataSetError(f"soft labels are {soft.dtype} {soft.shape}: expected float32 {shape}")
    total = soft.sum(axis=1)
    distribution = np.isclose(total, 1, atol=1e-4) | (total == 0)
    if not (np.isfinite(soft).all() and (soft >= 0).all() and distribution.all()):
        raise DataSetError("soft labels: every row must be zero, or not negative with the sum 1")
