"""CK+, the extended Cohn-Kanade sequences from neutral to the peak of an emotion: full release or 48x48 copy.

P. Lucey et al., "The extended Cohn-Kanade dataset (CK+)", CVPR Workshops 2010.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import List, Optional, Tuple, Union

from ..recognition.emotions import EIGHT
from .face_crops import Cropper, crop_file, deployed_cropper
from .face_set import DataSetError, FaceSet, Progress, Skipped
from .folder import label_folders, label_of_folder
from .images import image_files, read_face
from .records import FaceRecord, read_records

#: The emotion files' numbers, by position.
EMOTION_CODES: Tuple[str, ...] = (
    "neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise",
)

#: The last frames of a sequence, the peak of its emotion, that carry its label.
PEAK_FRAMES = 3

_EMOTIONS = tuple(label for label in EIGHT if label != "neutral")
_IMAGE_FOLDERS = ("cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
_EMOTION_FOLDERS = ("Emotion", "Emotion_labels/Emotion")
_FRAME = re.compile(r"(S\d+)_(\d+)_\d+")


def load_ckplus(
    root: Union[str, Path],
    neutral: bool = False,
    cropper: Optional[Cropper] = None,
    progress: Optional[Progress] = None,
) -> FaceSet:
    """CK+ from `root`, either layout; a face knows its subject (S010) and its sequence, the group (S010_004).

    Full release: cohn-kanade-images/S###/###/*.png and Emotion/S###/###/*_emotion.txt. Of each sequence
    with an emotion file the last three frames carry its label (327 sequences, 981 faces); sequences
    without one are no part of the labelled data. Faces are found and cropped as on the robot, or by
    `cropper`. Reduced copy: <label>/S010_004_00000017.png, taken as it is. Faces are uint8 [h, w]; the
    classes are the seven emotions with contempt, and with `neutral` all eight.

    neutral   add each sequence's first frame as neutral; DataSetError for the reduced copy, which lacks them.
    progress  called with images.

    Raises DataSetError for a root with neither layout, a folder that names no emotion, or nothing readable.
    """
    root = Path(root)
    classes = EIGHT if neutral else _EMOTIONS
    images, emotions = _first_folder(root, _IMAGE_FOLDERS), _first_folder(root, _EMOTION_FOLDERS)
    if images is not None and emotions is not None:
        records, skipped = _full_release(images, emotions, neutral)
        read = crop_file(cropper if cropper is not None else deployed_cropper())
        return read_records(records, classes, read, root, skipped, progress)
    if images is not None or not label_folders(root):
        raise DataSetError(f"{root}: expected CK+'s folders cohn-kanade-images and Emotion side by side, "
                           f"or one folder of 48x48 images for each emotion")
    if neutral:
        raise DataSetError(f"{root}: the reduced copy of CK+ has no first frames: neutral needs the full one")
    records, skipped = _reduced_copy(root)
    return read_records(records, classes, read_face, root, skipped, progress)


def _full_release(images: Path, emotions: Path, neutral: bool) -> Tuple[List[FaceRecord], List[Skipped]]:
    records: List[FaceRecord] = []
    skipped: List[Skipped] = []
    for path in sorted(emotions.glob("*/*/*_emotion.txt")):
        if path.name.startswith("."):
            continue
        subject, sequence = path.parts[-3:-1]
        group = f"{subject}_{sequence}"
        frames = image_files(images / subject / sequence)
        try:
            label = _read_emotion(path)
        except ValueError as error:
            skipped.append(Skipped(path.name, str(error)))
            continue
        if not frames:
            skipped.append(Skipped(path.name, f"has no images in {subject}/{sequence}"))
        if neutral and len(frames) > PEAK_FRAMES:
            records.append(FaceRecord(frames[0], frames[0].stem, "neutral", subject, group))
        records += [FaceRecord(frame, frame.stem, label, subject, group) for frame in frames[-PEAK_FRAMES:]]
    return records, skipped


def _read_emotion(path: Path) -> str:
    """The label in an emotion file, such as "   3.0000000e+00"; ValueError says what is wrong with it."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read ({error})") from error
    try:
        code = float(text)
    except ValueError:
        code = -1.0
    # A label of 0 would make the peak of a sequence neutral; the release has none.
    if code not in range(1, len(EMOTION_CODES)):
        raise ValueError(f"holds {text.strip()[:20]!r}, expected an emotion code from 1 to 7")
    return EMOTION_CODES[int(code)]


def _reduced_copy(root: Path) -> Tuple[List[FaceRecord], List[Skipped]]:
    records: List[FaceRecord] = []
    skipped: List[Skipped] = []
    for folder in label_folders(root):
        label = label_of_folder(folder, _EMOTIONS)
        for path in image_files(folder):
            frame = _FRAME.fullmatch(path.stem)
            name = path.relative_to(root).as_posix()
            if frame is None:
                skipped.append(Skipped(name, "names no sequence, as S010_004_00000017.png does"))
            else:
                subject, sequence = frame.groups()
                records.append(FaceRecord(path, name, label, subject, f"{subject}_{sequence}"))
    return records, skipped


def _first_folder(root: Path, candidates: Tuple[str, ...]) -> Optional[Path]:
    return next((root / name for name in candidates if (root / name).is_dir()), None)
