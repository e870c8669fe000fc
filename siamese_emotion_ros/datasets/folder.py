"""A folder of images per emotion, for anybody's own data: <label>/*.png, or <split>/<label>/*.png."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..recognition.emotions import EIGHT, canonical
from .face_crops import Cropper, crop_file, deployed_cropper
from .face_set import DataSetError, FaceSet, Progress
from .images import image_files, read_face
from .records import FaceRecord, read_records
from .repeats import group_repeats, leave_out_repeats

_SPLIT_FOLDERS: Dict[str, str] = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def load_folder(
    root: Union[str, Path],
    crop: bool = False,
    cropper: Optional[Cropper] = None,
    progress: Optional[Progress] = None,
) -> FaceSet:
    """Images in `root`/<label>/, or `root`/{train,val,test}/<label>/ for a set with an official split.

    Folders map to the canonical emotions (happy, Happiness, HA are one); `classes` are those that have a
    folder. Subfolders of a label are searched too. Names are paths below `root`. Faces are uint8 [h, w],
    the longer side at most 128. Identical pictures share a group; with an official split they are
    treated as `repeats.leave_out_repeats` says.

    crop     the images are whole scenes: find the largest face in each, as the robot does. Otherwise they are
             taken to be face crops already.
    cropper  used with `crop` instead of the robot's own detector and margin.
    progress called with images.

    Raises DataSetError for a folder that names no emotion, or when no image is readable.
    """
    root = Path(root)
    _refuse_missing(root)
    read = crop_file(cropper if cropper is not None else deployed_cropper()) if crop else read_face
    names = [folder.name.lower() for folder in label_folders(root)]
    if not names:
        raise DataSetError(f"{root}: no folders in it: expected one of images for each emotion, such as anger, fear")
    if all(name in _SPLIT_FOLDERS for name in names):
        present = _labels_in(label_folders(root), EIGHT)
        return leave_out_repeats(load_split_folders(root, present, read=read, progress=progress))
    records = _records(root, root, EIGHT)
    present = tuple(label for label in EIGHT if any(record.label == label for record in records))
    return group_repeats(read_records(records, present or EIGHT, read, root, progress=progress))


def load_split_folders(
    root: Path,
    classes: Tuple[str, ...],
    read: Callable[[Path], np.ndarray] = read_face,
    split_of_file: Callable[[str, str], str] = lambda split, name: split,
    progress: Optional[Progress] = None,
) -> FaceSet:
    """Images in `root`/{train,val,test}/<label>/; `split_of_file(split, name)` may overrule the folder."""
    _refuse_missing(root)
    records: List[FaceRecord] = []
    for folder in label_folders(root):
        if folder.name.lower() not in _SPLIT_FOLDERS:
            raise DataSetError(f"{folder}: expected only the folders train, val and test beside each other")
        split = _SPLIT_FOLDERS[folder.name.lower()]
        records += [record._replace(split=split_of_file(split, record.path.name))
                    for record in _records(folder, root, classes)]
    return read_records(records, classes, read, root, progress=progress)


def label_folders(root: Path) -> List[Path]:
    """The folders in `root`, sorted; hidden ones are left aside, and a missing `root` has none."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def label_of_folder(folder: Path, classes: Sequence[str]) -> str:
    """The emotion that `folder` is named after; DataSetError when it is none of `classes`."""
    try:
        label = canonical(folder.name)
    except ValueError as error:
        raise DataSetError(f"{folder}: {error}. Rename the folder, or move it away") from error
    if label not in classes:
        raise DataSetError(f"{folder}: this data set has no {label}: expected {', '.join(classes)}")
    return label


def _records(parent: Path, root: Path, classes: Sequence[str]) -> List[FaceRecord]:
    return [FaceRecord(path, path.relative_to(root).as_posix(), label)
            for folder in label_folders(parent)
            for label in [label_of_folder(folder, classes)]
            for path in image_files(folder)]


def _labels_in(split_folders: Sequence[Path], classes: Sequence[str]) -> Tuple[str, ...]:
    found = {label_of_folder(folder, classes) for parent in split_folders for folder in label_folders(parent)}
    return tuple(label for label in classes if label in found)


def _refuse_missing(root: Path) -> None:
    if not root.is_dir():
        raise DataSetError(f"{root}: is no folder: expected one folder of images for each emotion")
