"""KDEF: 70 people, seven emotions, five angles, two sessions, cropped here to what the robot's detector sees.

D. Lundqvist, A. Flykt, A. Öhman, "The Karolinska directed emotional faces", Karolinska Institutet 1998.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, Union

from ..recognition.emotions import SEVEN, canonical
from .face_crops import Cropper, crop_file, deployed_cropper
from .face_set import DataSetError, FaceSet, Progress, Skipped
from .images import image_files
from .records import FaceRecord, read_records

#: Straight, half left, half right, full left, full right.
ANGLES: Tuple[str, ...] = ("S", "HL", "HR", "FL", "FR")

_NAME = re.compile(
    r"(?P<session>[AB])(?P<subject>[FM]\d\d)(?P<emotion>AF|AN|DI|HA|NE|SA|SU)(?P<angle>FL|HL|S|HR|FR)"
)


def load_kdef(
    root: Union[str, Path],
    angles: Sequence[str] = ANGLES,
    cropper: Optional[Cropper] = None,
    progress: Optional[Progress] = None,
) -> FaceSet:
    """KDEF from the images <session><sex><id><emotion><angle>.JPG (AF01ANS.JPG) anywhere below `root`.

    Faces are uint8 [h, w], cropped as on the robot, or by `cropper`; a picture in which no face is found
    (most full profiles) is skipped and reported, as is a name that does not follow the pattern (the
    release has some). The subject is sex and id (F01: sessions A and B show the same person); the group
    is one expression in one session, seen from several angles (AF01AN). Classes are the seven emotions
    without contempt.

    angles    which of S, HL, HR, FL, FR to take.
    progress  called with images.

    Raises DataSetError for an unknown angle, a missing root, or when no face is readable.
    """
    root = Path(root)
    wanted = {angle.upper() for angle in angles}
    if not wanted or not wanted <= set(ANGLES):
        raise DataSetError(f"angles {list(angles)}: expected one or more of {', '.join(ANGLES)}")
    if not root.is_dir():
        raise DataSetError(f"{root}: is no folder: expected the one with KDEF's AF01/AF01AFS.JPG and so on")
    records: List[FaceRecord] = []
    skipped: List[Skipped] = []
    for path in image_files(root):
        name = path.relative_to(root).as_posix()
        parts = _NAME.fullmatch(path.stem.upper())
        if parts is None:
            skipped.append(Skipped(name, "is not named as KDEF names its images, such as AF01ANS.JPG"))
        elif parts["angle"] in wanted:
            shot = parts["session"] + parts["subject"] + parts["emotion"]
            records.append(FaceRecord(path, name, canonical(parts["emotion"]), parts["subject"], shot))
    read = crop_file(cropper if cropper is not None else deployed_cropper())
    return read_records(records, SEVEN, read, root, skipped, progress)
