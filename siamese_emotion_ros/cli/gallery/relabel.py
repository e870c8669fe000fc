"""`siamese-emotion gallery relabel`: other names for classes, other labels for single anchors."""
from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import FORCE


@reported()
def relabel(
    file: Path = typer.Argument(..., metavar="GALLERY", help="The gallery to change."),
    output: Path = typer.Option(..., help="Gallery file to write; may be GALLERY itself, with --force."),
    rename: Optional[List[str]] = typer.Option(
        None, metavar="OLD=NEW", help="Give all anchors of a class a new label, or that of another class; repeatable."
    ),
    anchor: Optional[List[str]] = typer.Option(
        None, metavar="NAME=LABEL", help="Relabel one anchor (`gallery inspect` lists doubtful ones); repeatable."
    ),
    table: Optional[Path] = typer.Option(None, help="CSV file with the columns name and label, for many anchors."),
    force: bool = FORCE,
) -> None:
    """Rename or join classes, and correct the labels of single anchors."""
    from siamese_emotion_ros.cli.gallery.output import write_and_tell
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.recognition.artifacts import read_gallery
    from siamese_emotion_ros.recognition.curation import relabel as relabelled

    refuse_existing(output, force)
    classes = _pairs(rename or [], "--rename", "such as smile=happiness")
    anchors = {
        **(_labels_of(table) if table is not None else {}),
        **_pairs(anchor or [], "--anchor", "a name and a label"),
    }
    if not classes and not anchors:
        raise ValueError("nothing to change: give --rename, --anchor or --table")
    before = read_gallery(file)
    after = relabelled(before, classes, anchors)
    changed = sum(
        before.classes[old] != after.classes[new] for old, new in zip(before.labels, after.labels)
    )
    console = plain_console()
    write_and_tell(console, output, after)
    console.print(f"{changed} anchors have another label")


def _pairs(texts: List[str], flag: str, example: str) -> Dict[str, str]:
    pairs: Dict[str, str] = {}
    for text in texts:
        name, equals, label = text.rpartition("=")
        if not (name.strip() and equals and label.strip()):
            raise ValueError(f"{flag} is {text!r}: expected {example}, with = between them")
        if name.strip() in pairs:
            raise ValueError(f"{flag} names {name.strip()!r} twice: give it once")
        pairs[name.strip()] = label.strip()
    return pairs


def _labels_of(table: Path) -> Dict[str, str]:
    """{name: label} of a CSV file with such columns; ValueError says what is wrong with it."""
    import csv

    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ValueError(f"{table}: cannot be read ({error.strerror}): check the path of --table") from error
    except csv.Error as error:
        raise ValueError(f"{table}: not a CSV file ({error}): look for a stray quotation mark") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{table}: not UTF-8 text: save it as CSV in UTF-8") from error
    if not rows or not {"name", "label"} <= set(rows[0]):
        raise ValueError(f"{table}: expected a CSV file whose first line has the columns name and label")
    labels: Dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        name, label = (row["name"] or "").strip(), (row["label"] or "").strip()
        if not name or not label:
            raise ValueError(f"{table}: line {line} has no name or no label: fill in both")
        if labels.setdefault(name, label) != label:
            raise ValueError(f"{table}: line {line} gives {name!r} a second label: keep one of them")
    return labels
