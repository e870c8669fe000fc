"""Exact repeats of a picture: found by content, kept out of training, counted once in evaluation."""
from __future__ import annotations

import dataclasses
import hashlib
from typing import Dict, List, Tuple

import numpy as np

from .face_set import Faces, FaceSet, Skipped


def first_occurrences(faces: Faces) -> np.ndarray:
    """int64 [N]: for each face the index of the first (maybe itself) with the same size and pixels."""
    seen: Dict[Tuple[Tuple[int, ...], bytes], int] = {}
    return np.array(
        [seen.setdefault((face.shape, hashlib.blake2b(face.tobytes(), digest_size=16).digest()), i)
         for i, face in enumerate(faces)],
        dtype=np.int64,
    )


def group_repeats(faceset: FaceSet) -> FaceSet:
    """The same faces, where those with identical pixels share a group, so that no split separates them."""
    first = first_occurrences(faceset.faces)
    return dataclasses.replace(faceset, groups=tuple(faceset.names[i] for i in first))


def leave_out_repeats(faceset: FaceSet) -> FaceSet:
    """The faces of an officially split set that may be trained on, or counted, without a leak.

    1. Inside "val", and inside "test", only the first of identical faces stays, whatever the labels say.
    2. A "train" face that is identical to any face of "val" or "test" is left out.
    3. A face that occurs in both "val" and "test" stays in both: neither is trained on, and "val" must be the
       same whether or not a copy of the data set comes with its "test" part.
    4. Repeats inside "train" stay, also when their labels contradict each other (they are what the authors
       published), and share a group.
    Everything left out is listed, with its reason, in `left_out`.
    """
    if faceset.official_split is None:
        raise ValueError("leave_out_repeats needs an official split: use group_repeats for a set without one")
    first = first_occurrences(faceset.faces)
    split = faceset.official_split
    held_out = {name: set(first[split == name].tolist()) for name in ("val", "test")}
    met: Dict[str, set] = {"val": set(), "test": set()}
    kept: List[int] = []
    left_out: List[Skipped] = []
    for i, (content, part) in enumerate(zip(first.tolist(), split.tolist())):
        reason = ""
        if part == "train":
            where = [name for name in ("val", "test") if content in held_out[name]]
            if where:
                reason = f"train face that occurs in {' and '.join(where)}"
        elif content in met[part]:
            reason = f"repeat inside {part}"
        else:
            met[part].add(content)
        if reason:
            left_out.append(Skipped(faceset.names[i], reason))
        else:
            kept.append(i)
    grouped = dataclasses.replace(faceset, groups=tuple(faceset.names[i] for i in first))
    return dataclasses.replace(grouped.select(np.array(kept, dtype=np.int64)),
                               left_out=faceset.left_out + tuple(left_out))
