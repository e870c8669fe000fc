"""Which faces of a data set are evaluated: parts named in a word, such as `PublicTest`, `subject:test` or `all`."""
from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Tuple

import numpy as np

from siamese_emotion_ros.datasets.face_set import SPLITS, DataSetError, FaceSet
from siamese_emotion_ros.datasets.splits import SCHEMES, split, trained_digest

#: Every spelling of a part that is understood; PublicTest and PrivateTest are FER-2013's own names.
PARTS: Dict[str, str] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "publictest": "val", "public": "val",
    "test": "test", "testing": "test", "privatetest": "test", "private": "test",
    "all": "all",
}


def choose_part(faceset: FaceSet, text: Optional[str] = None, seed: int = 0) -> Tuple[np.ndarray, str]:
    """The int64 indices of the faces that `text` names, and the full name of what was chosen, such as "official:val".

    `text` is [SCHEME:]PART. PART is train, val, test, all or an alias of them; SCHEME one of splits.SCHEMES, by default
    the official one where the data set has it, else by subject, else stratified; a scheme alone means its test part.
    None means the official test part (val, where a copy lacks its test), or everything in a set without official split.
    DataSetError for other words and for an empty part.
    """
    if text is None:
        text = _default(faceset)
    scheme, _, part = text.strip().lower().rpartition(":")
    if not scheme and part in SCHEMES:
        scheme, part = part, "test"
    if part not in PARTS or (scheme and scheme not in SCHEMES):
        raise DataSetError(
            f"unknown split {text!r}: expected train, val, test or all, after one of {', '.join(SCHEMES)} and a colon "
            f"if you like, such as subject:test"
        )
    part = PARTS[part]
    if part == "all":
        return np.arange(len(faceset)), "all"
    scheme = scheme or _natural_scheme(faceset)
    rows = split(faceset, scheme, seed)[part]
    if len(rows) == 0:
        sizes = {name: len(indices) for name, indices in split(faceset, scheme, seed).items()}
        full = ", ".join(name for name in SPLITS if sizes[name])
        raise DataSetError(f"the {part!r} part of split {scheme!r} is empty in this copy: choose {full or 'another'}")
    return rows, f"{scheme}:{part}"


def trained_on(provenance: Mapping[str, str], dataset: str, faces: FaceSet, part: str, seed: int) -> List[str]:
    """A sentence when a model has learned from faces of `part` (as from choose_part, of `faces`), or may have.

    `provenance` is the model's. Empty when the part is none of its training, when it was trained on something else, and
    of folders and recordings, which are no more the same data than two files are.
    """
    scheme, _, chosen = part.partition(":")
    trained, trained_seed = provenance.get("split"), provenance.get("split_seed", "0")
    if provenance.get("dataset") != dataset or dataset in ("folder", "bag") or trained is None:
        return []
    if scheme != trained or (scheme != "official" and str(seed) != trained_seed):
        return [
            f"The model was trained on {dataset} by the split {trained} (seed {trained_seed}), so some of these faces "
            f"may be among those it learned from: --split {trained}:test --seed {trained_seed} names those that are "
            "not."
        ]
    if chosen == "train":
        return [
            f"The model was trained on this part of {dataset}: it has learned these very faces, and the figures are "
            f"too good. Evaluate --split {trained}:test or {trained}:val."
        ]
    # Models did not always note what they were trained on.
    if scheme != "official" and provenance.get("split_digest") not in (None, trained_digest(faces, scheme, seed)):
        return [
            f"The model was trained on {dataset} by this split, but of other faces, which it divides otherwise: some "
            "of these may be among those it learned from. Evaluate with the --option and the face detector of the "
            "training."
        ]
    return []


def _default(faceset: FaceSet) -> str:
    if faceset.official_split is None:
        return "all"
    return "test" if (faceset.official_split == "test").any() else "val"


def _natural_scheme(faceset: FaceSet) -> str:
    if faceset.official_split is not None:
        return "official"
    return "subject" if faceset.subjects is not None else "stratified"
