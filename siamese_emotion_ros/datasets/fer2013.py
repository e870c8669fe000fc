"""FER-2013: 48x48 faces from the challenge's csv, plain or compressed, or from its folder layout.

I. Goodfellow et al., "Challenges in representation learning", ICONIP 2013.
"""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..recognition.emotions import SEVEN
from . import ferplus as ferplus_votes
from .compressed import read_lines
from .face_set import DataSetError, FaceSet, Progress, Skipped
from .folder import label_folders, load_split_folders
from .repeats import group_repeats, leave_out_repeats

SIDE = 48

#: FER-2013's numbers for the emotions, by position.
EMOTION_CODES: Tuple[str, ...] = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")

USAGES: Dict[str, str] = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}

_FILE_NAMES = tuple(stem + ending for stem in ("fer2013.csv", "icml_face_data.csv")
                    for ending in ("", ".xz", ".gz", ".zip")) + ("fer2013.zip",)
_COLUMNS = ("emotion", "pixels", "Usage")
_REPORT_EVERY = 256


def load_fer2013(
    root: Union[str, Path],
    labels: str = "fer",
    ferplus: Union[str, Path, None] = None,
    min_agreement: float = 0.0,
    keep_repeats: bool = False,
    exclude_file: Union[str, Path, None] = None,
    progress: Optional[Progress] = None,
) -> FaceSet:
    """FER-2013 from `root`: a csv (.csv, .csv.xz, .csv.gz, .zip), its folder, or folders <split>/<label>/.

    From a csv, faces are uint8 [N, 48, 48], named after their row (fer0000000 is the first, as in FER+).
    Training, PublicTest and PrivateTest become train, val and test; a copy may lack any. A row that is
    not an emotion 0..6, 2304 pixels 0..255 and a usage is skipped and reported. Repeats are treated as
    `repeats.leave_out_repeats` says.

    labels         "fer": FER-2013's own (seven classes); "ferplus": the majority of the FER+ votes (eight
                   classes; faces without a majority are left out).
    ferplus        FER+'s fer2013new.csv; by default the one beside the csv, if it is there. Gives `votes`,
                   and as `soft_labels` each class's share of them ("unknown" and "NF" do not count).
    min_agreement  keep only faces of which this share of the FER+ voters agree, such as 0.7.
    keep_repeats   leave the repeats in; they still share a group.
    exclude_file   names of faces to leave out, one a line, "#" starts a comment: for example the training
                   faces known to occur in a PrivateTest part that this copy lacks.
    progress       called with bytes of the csv, or with images.

    Raises DataSetError when nothing is readable, a header or file is wrong, or an option cannot be met.
    """
    root = Path(root)
    if labels not in ("fer", "ferplus"):
        raise DataSetError(f"labels {labels!r}: expected 'fer' or 'ferplus'")
    table = _find_table(root)
    if table is None:
        if ferplus is not None:
            raise DataSetError(f"{root}: FER+ votes belong to the rows of fer2013.csv, not to folders")
        faceset = load_split_folders(root, SEVEN, split_of_file=_split_of_file, progress=progress)
    else:
        beside = table.parent / ferplus_votes.FILE_NAME
        votes_path = Path(ferplus) if ferplus is not None else beside if beside.is_file() else None
        faceset = _read_table(table, votes_path, progress)
    if exclude_file is not None:
        faceset = _exclude(faceset, Path(exclude_file))
    faceset = group_repeats(faceset) if keep_repeats else leave_out_repeats(faceset)
    if labels == "ferplus":
        faceset = ferplus_votes.relabel_by_majority(faceset)
    if min_agreement:
        faceset = ferplus_votes.keep_agreed(faceset, min_agreement)
    return faceset


def _find_table(root: Path) -> Optional[Path]:
    """The csv at or in `root`; None when `root` is the folder layout."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataSetError(f"{root}: does not exist: give fer2013.csv or the folder that holds it")
    for name in _FILE_NAMES:
        if (root / name).is_file():
            return root / name
    if label_folders(root / "train"):
        return None
    raise DataSetError(f"{root}: expected fer2013.csv (or .csv.xz, .csv.gz, .zip), "
                       f"or folders train/<label> and test/<label>")


def _read_table(path: Path, votes_path: Optional[Path], progress: Optional[Progress]) -> FaceSet:
    lines = read_lines(path)
    order = _columns(next(lines, (b"", 0))[0], path)
    size = path.stat().st_size
    pixels = bytearray()
    labels: List[int] = []
    splits: List[str] = []
    rows: List[int] = []
    skipped: List[Skipped] = []
    usages: List[str] = []
    for row, (line, position) in enumerate(_without_blank_end(lines)):
        try:
            usage, label, face = _parse_row(line, order)
        except ValueError as error:
            usages.append("")
            skipped.append(Skipped(_name(row), str(error)))
        else:
            usages.append(usage)
            labels.append(label)
            splits.append(USAGES[usage])
            rows.append(row)
            pixels += face
        if progress is not None and row % _REPORT_EVERY == 0:
            progress(position, size)
    if not rows:
        what = f"none of {len(skipped)} rows is readable; the first: {skipped[0].reason}" if skipped \
            else "there is no row after the header"
        raise DataSetError(f"{path}: {what}. Download the file again")
    if progress is not None:
        progress(size, size)
    faceset = FaceSet(
        faces=np.frombuffer(pixels, dtype=np.uint8).reshape(-1, SIDE, SIDE),
        labels=np.array(labels, dtype=np.int64),
        classes=SEVEN,
        names=tuple(_name(row) for row in rows),
        official_split=np.array(splits),
        skipped=tuple(skipped),
    )
    if votes_path is None:
        return faceset
    votes = _paired_votes(votes_path, usages)[rows]
    return dataclasses.replace(faceset, votes=votes, soft_labels=ferplus_votes.soft_labels(votes, SEVEN))


def _without_blank_end(lines: Iterable[Tuple[bytes, int]]) -> Iterator[Tuple[bytes, int]]:
    """All but the blank lines at the end; one in between is a row that cannot be read, which FER+ has a row for."""
    blank: List[Tuple[bytes, int]] = []
    for line in lines:
        if not line[0].strip():
            blank.append(line)
            continue
        yield from blank
        blank.clear()
        yield line


def _name(row: int) -> str:
    return f"fer{row:07d}"


def _columns(header: bytes, path: Path) -> Tuple[int, ...]:
    """Where emotion, pixels and Usage are in a row."""
    names = [name.strip() for name in header.decode("utf-8-sig", errors="replace").split(",")]
    if sorted(names) != sorted(_COLUMNS):
        raise DataSetError(f"{path}: the first line is {header[:60].decode(errors='replace')!r}: "
                           f"expected the header 'emotion,pixels,Usage' of fer2013.csv")
    return tuple(names.index(name) for name in _COLUMNS)


def _parse_row(line: bytes, order: Tuple[int, ...]) -> Tuple[str, int, bytes]:
    """(usage, label in SEVEN, 2304 bytes); ValueError says what is wrong with the row."""
    fields = line.split(b",")
    if len(fields) != len(_COLUMNS):
        raise ValueError(f"has {len(fields)} fields, expected emotion,pixels,Usage")
    code, text, usage = (fields[column].strip(b' "') for column in order)
    if code not in _CODES:
        raise ValueError(f"emotion is {_shown(code)}, expected 0 to 6")
    if usage not in _USAGES:
        raise ValueError(f"usage is {_shown(usage)}, expected {', '.join(USAGES)}")
    strange = text.translate(None, b"0123456789 ")
    if strange or not text:
        raise ValueError(f"pixels hold {_shown(strange)}, expected numbers 0 to 255")
    values = np.fromstring(text, dtype=np.int64, sep=" ")
    if values.size != SIDE * SIDE:
        raise ValueError(f"has {values.size} pixels, expected {SIDE * SIDE}")
    if values.max() > 255:
        raise ValueError(f"has a pixel of {values.max()}, expected 0 to 255")
    return _USAGES[usage], _CODES[code], values.astype(np.uint8).tobytes()


_CODES = {str(code).encode(): SEVEN.index(name) for code, name in enumerate(EMOTION_CODES)}
_USAGES = {usage.encode(): usage for usage in USAGES}


def _shown(value: bytes) -> str:
    return repr(value[:20].decode(errors="replace"))


def _paired_votes(path: Path, usages: Sequence[str]) -> np.ndarray:
    """The votes of FER+'s rows, which pair with the csv's in order; unreadable csv rows have the usage ""."""
    votes, theirs = ferplus_votes.read_votes(path)
    if len(votes) < len(usages):
        raise DataSetError(f"{path}: has {len(votes)} rows, fer2013.csv {len(usages)}: they do not match")
    for row, (ours, other) in enumerate(zip(usages, theirs)):
        if ours and ours != other:
            raise DataSetError(f"{path}: row {row} is of {other}, in fer2013.csv of {ours}: the two files "
                               f"are not in the same order, so the votes cannot be paired")
    return votes


def _exclude(faceset: FaceSet, path: Path) -> FaceSet:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataSetError(f"{path}: cannot be read ({error}): expected one face name a line") from error
    names = {line.split("#")[0].strip() for line in lines} - {""}
    unknown = names - set(faceset.names) - {name for name, _ in faceset.skipped}
    if unknown:
        raise DataSetError(f"{path}: {len(unknown)} names are not in this data set, such as "
                           f"{min(unknown)!r}: expected names such as {faceset.names[0]!r}")
    kept = np.array([name not in names for name in faceset.names], dtype=bool)
    return faceset.keep(kept, f"named in {path.name}")


def _split_of_file(split: str, name: str) -> str:
    """The widespread folder copy has both tests in test/; PublicTest_….jpg says which one a face is from."""
    return USAGES.get(name.split("_")[0], split)
