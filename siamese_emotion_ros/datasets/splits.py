"""Which faces train, choose and measure: seeded splits that keep recordings and people together."""
from __future__ import annotations

import hashlib
import warnings
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from .face_set import SPLITS, DataSetError, FaceSet

#: The paper's shares of training, validation and test.
FRACTIONS: Tuple[float, float, float] = (0.70, 0.15, 0.15)

SCHEMES: Dict[str, str] = {
    "official": "as the data set's authors published it (FER-2013, folders named train/val/test)",
    "stratified": "70/15/15 with every class in proportion; faces of one group stay together",
    "subject": "70/15/15 of the faces, as near to every class's proportion as whole subjects allow",
    "paper": "the paper's: 70/15/15 by image, stratified; leaks frames of one sequence into two splits",
}


class LeakWarning(UserWarning):
    """Faces are measured on that the model met in training, or that the gallery holds as anchors."""


def split(faceset: FaceSet, scheme: str, seed: int = 0) -> Dict[str, np.ndarray]:
    """{"train", "val", "test"}: ascending int64 indices into `faceset`; disjoint, and together all of it.

    `scheme` is one of SCHEMES. Under "paper", and under "stratified" where every face stands alone, each
    class is divided to within one face of 70/15/15. The same faces, scheme and seed give the same split
    on every machine. "official" may leave a part empty (a FER-2013 copy without PrivateTest has no
    "test"). Raises DataSetError when the set lacks what the scheme needs; warns LeakWarning when "paper"
    separates faces of one group or one subject.
    """
    if scheme not in SCHEMES:
        raise DataSetError(f"unknown split {scheme!r}: expected one of {', '.join(SCHEMES)}")
    if scheme == "official":
        if faceset.official_split is None:
            raise DataSetError("this data set has no official split: use 'stratified', 'subject' or 'paper'")
        return {name: np.flatnonzero(faceset.official_split == name) for name in SPLITS}
    parts = dict(zip(SPLITS, _divide(faceset, _units(faceset, scheme), scheme, seed)))
    if scheme == "paper":
        _warn_of_leaks(faceset, parts)
    return parts


def trained_digest(faceset: FaceSet, scheme: str, seed: int = 0) -> str:
    """SHA-256 (hex) of who, or which recordings or faces, the train part of a split consists of.

    One face more or less, as another face detector or option of a loader gives, moves others between the parts: a model
    trained on one of two such splits has met faces of the other's test part. DataSetError as `split`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)  # said by whoever uses the split
        train = split(faceset, scheme, seed)["train"]
    units = _units(faceset, scheme)
    return hashlib.sha256("\0".join(sorted({units[row] for row in train})).encode()).hexdigest()


def split_classes(
    faceset: FaceSet, classes: Sequence[str], scheme: str, seed: int = 0
) -> Tuple[FaceSet, Dict[str, np.ndarray]]:
    """The faces of `classes`, as FaceSet.restrict gives them, and the parts that `split` has them in among all faces.

    Splitting these faces alone would give another split, and a model trained on some emotions would be measured, among
    all of them, on faces that it learned from. Raises DataSetError as both do.
    """
    restricted = faceset.restrict(classes)
    kept = np.flatnonzero(np.isin(np.asarray(faceset.classes)[faceset.labels], restricted.classes))
    return restricted, {
        name: np.flatnonzero(np.isin(kept, rows)) for name, rows in split(faceset, scheme, seed).items()
    }


def _units(faceset: FaceSet, scheme: str) -> Tuple[str, ...]:
    """For each face what `scheme` keeps in one part: the person, the recording, or the face itself."""
    if scheme == "subject":
        if faceset.subjects is None:
            raise DataSetError("this data set does not say who is pictured: it cannot be split by subject")
        return faceset.subjects
    return faceset.groups if scheme == "stratified" and faceset.groups is not None else faceset.names


def _divide(faceset: FaceSet, units: Sequence[str], scheme: str, seed: int) -> List[np.ndarray]:
    """Indices of each part: faces of one unit stay together, every class comes near its share of every part.

    Greedy least squares: the units in random order, the largest first, each to the part where it most reduces
    the squared distance to the targets. Units of one face fill the targets exactly.
    """
    _, unit_of_face = np.unique(np.asarray(units), return_inverse=True)
    contents = np.zeros((int(unit_of_face.max(initial=-1)) + 1, len(faceset.classes)))
    np.add.at(contents, (unit_of_face, faceset.labels), 1)
    # numpy promises that RandomState's stream never changes; Generator's may, and with it every split.
    order = np.random.RandomState(seed).permutation(len(contents))
    order = order[np.argsort(-contents[order].sum(axis=1), kind="stable")]
    room = _targets(contents.sum(axis=0))
    part_of_unit = np.zeros(len(contents), dtype=np.int64)
    for unit in order:
        part = int(np.argmax(room @ contents[unit]))
        room[part] -= contents[unit]
        part_of_unit[unit] = part
    part_of_face = part_of_unit[unit_of_face]
    parts = [np.flatnonzero(part_of_face == part) for part in range(len(FRACTIONS))]
    if any(len(part) == 0 for part in parts):
        raise DataSetError(f"{len(faceset)} faces in {len(contents)} inseparable units are too few for "
                           f"the split {scheme!r}: a part would be empty")
    return parts


def _targets(class_sizes: np.ndarray) -> np.ndarray:
    """[parts, classes] whole numbers of faces, each within one of its share, each class complete.

    What a part is owed from the classes before decides who gets the odd faces of the next, so that many small
    classes do not all favour the same part.
    """
    shares = np.outer(FRACTIONS, class_sizes)
    targets = np.floor(shares + 1e-9)
    owed = np.zeros(len(FRACTIONS))
    for c, size in enumerate(class_sizes):
        odd = int(round(size - targets[:, c].sum()))
        most_owed = np.argsort(-(owed + shares[:, c] - targets[:, c]), kind="stable")[:odd]
        targets[most_owed, c] += 1
        owed += shares[:, c] - targets[:, c]
    return targets


def _warn_of_leaks(faceset: FaceSet, parts: Dict[str, np.ndarray]) -> None:
    kinds = (("groups (sequences or identical pictures)", faceset.groups), ("subjects", faceset.subjects))
    for what, units in kinds:
        crossing = _crossing(units, parts)
        if crossing:
            warnings.warn(
                f"the split 'paper' leaks: {crossing} {what} are in more than one of train, val and test, so "
                f"that accuracy on them is too good; 'stratified' and 'subject' keep them apart",
                LeakWarning, stacklevel=3)


def _crossing(units: Optional[Sequence[str]], parts: Dict[str, np.ndarray]) -> int:
    """How many units have faces in more than one part."""
    if units is None:
        return 0
    met: Dict[str, int] = {}
    for indices in parts.values():
        for unit in {units[i] for i in indices}:
            met[unit] = met.get(unit, 0) + 1
    return sum(count > 1 for count in met.values())
