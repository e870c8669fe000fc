"""The paper's retrieval: the faces of a folder that look like an anchor, nearest first, up to a distance."""
from __future__ import annotations

import csv
import functools
import io
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from siamese_emotion_ros.datasets.face_crops import Cropper, deployed_cropper, face_in
from siamese_emotion_ros.datasets.face_set import Skipped
from siamese_emotion_ros.datasets.images import MAX_CROP_SIDE, ImageError, image_files, read_bgr, read_face
from siamese_emotion_ros.recognition.embedding import Progress, embed_faces
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.plain_text import spelled_out

#: How pictures become faces: `always` and `never` search for one; `auto` only in pictures too large to be a crop.
CROPS = ("auto", "always", "never")


class Match(NamedTuple):
    """A face of the folder: its file below the folder, its distance from the anchor, and the face, gray uint8."""

    name: str
    distance: float
    face: np.ndarray


def similar_faces(
    model: EmbeddingModel,
    anchor: Path,
    folder: Path,
    crop: str = "auto",
    cropper: Optional[Cropper] = None,
    progress: Optional[Progress] = None,
) -> Tuple[np.ndarray, List[Match], List[Skipped]]:
    """The anchor's face, every face below `folder` from the nearest to the farthest, and the pictures without one.

    `crop` is one of CROPS; `cropper` finds the face (by default as the robot does). The anchor file itself, met again
    in the folder, is left out. ValueError for an anchor without a face, and for a folder without any.
    """
    if crop not in CROPS:
        raise ValueError(f"crop is {crop!r}: expected one of {', '.join(CROPS)}")
    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder: expected one with images")
    read = _reader(crop, cropper)
    try:
        anchor_face = read(anchor)
    except ImageError as error:
        raise ValueError(f"{anchor}: {error}") from error
    files = [file for file in image_files(folder) if not _same_file(file, anchor)]
    names: List[str] = []
    faces: List[np.ndarray] = []
    skipped: List[Skipped] = []
    for file in files:
        name = spelled_out(file.relative_to(folder).as_posix())
        try:
            faces.append(read(file))
            names.append(name)
        except ImageError as error:
            skipped.append(Skipped(name, str(error)))
    if not faces:
        reason = f"; the first, {skipped[0].name}, {skipped[0].reason}" if skipped else ""
        raise ValueError(f"{folder}: none of {len(files)} images has a face to compare{reason}")
    embeddings = embed_faces(model, faces, progress)
    distances = np.linalg.norm(embeddings - model.embed([anchor_face]), axis=1)
    order = np.argsort(distances, kind="stable")
    return anchor_face, [Match(names[i], float(distances[i]), faces[i]) for i in order], skipped


def within(matches: Sequence[Match], threshold: Optional[float], top: Optional[int]) -> List[Match]:
    """The first `top` of the matches, and of those the ones at most `threshold` away; None is no limit."""
    near = [match for match in matches if threshold is None or match.distance <= threshold]
    return near[:top]


def matches_csv(matches: Sequence[Match]) -> str:
    """rank,file,distance: a line for each match."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("rank", "file", "distance"))
    writer.writerows((rank, match.name, f"{match.distance:.6g}") for rank, match in enumerate(matches, start=1))
    return text.getvalue()


def _reader(crop: str, cropper: Optional[Cropper]) -> Callable[[Path], np.ndarray]:
    if crop == "never":
        return read_face

    @functools.lru_cache(maxsize=None)
    def chosen_cropper() -> Cropper:
        # Made when the first picture needs it: a folder of crops does without a detector.
        return deployed_cropper() if cropper is None else cropper

    def read(path: Path) -> np.ndarray:
        picture = read_bgr(path)
        if crop == "auto" and max(picture.shape[:2]) <= MAX_CROP_SIDE:
            return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        return face_in(picture, chosen_cropper())

    return read


def _same_file(file: Path, other: Path) -> bool:
    try:
        return file.samefile(other)
    except OSError:
        return False
