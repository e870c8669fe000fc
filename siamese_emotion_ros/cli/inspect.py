"""`siamese-emotion inspect`: what is in this model or gallery file?"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import typer

from siamese_emotion_ros.cli.errors import reported

if TYPE_CHECKING:
    from rich.console import RenderableType

    from siamese_emotion_ros.evaluation.inspection import Judgement
    from siamese_emotion_ros.recognition.gallery import Gallery


@reported()
def inspect(
    file: Path = typer.Argument(..., metavar="FILE", help="A model or gallery (*.safetensors)."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """Describe a model or gallery file: network, provenance, fingerprint; anchors, spread, confusions."""
    import json

    from siamese_emotion_ros.cli.output import plain_console

    facts = _gallery(file) if _holds_gallery(file) else _model(file)
    if as_json:
        print(json.dumps(facts, indent=1, allow_nan=False))
    else:
        plain_console().print(facts_tables(file, facts))


def _holds_gallery(file: Path) -> bool:
    """Whether the file says that it is a gallery; everything else is left to the model's reader to judge."""
    from safetensors import SafetensorError, safe_open

    from siamese_emotion_ros.recognition.artifacts import GALLERY_FORMAT

    try:
        with safe_open(str(file), "numpy") as opened:
            return (opened.metadata() or {}).get("format") == GALLERY_FORMAT
    except (SafetensorError, OSError):
        return False


def _model(file: Path) -> Dict[str, Any]:
    from siamese_emotion_ros.recognition.artifacts import read_model
    from siamese_emotion_ros.recognition.model import EmbeddingModel

    stored = read_model(file)
    EmbeddingModel(stored, "cpu")  # weights that do not fit the network are worth knowing about
    spec = stored.spec
    return {
        "kind": "model",
        "fingerprint": stored.fingerprint,
        "architecture": spec.architecture,
        "input_size": spec.input_size,
        "embedding_dim": spec.embedding_dim,
        "scaling": spec.scaling,
        "head_classes": list(spec.head_classes),
        "parameters": int(sum(array.size for array in stored.weights.values())),
        "dtypes": sorted({str(array.dtype) for array in stored.weights.values()}),
        "bytes": file.stat().st_size,
        "provenance": dict(spec.provenance),
    }


def _gallery(file: Path) -> Dict[str, Any]:
    from siamese_emotion_ros.evaluation.inspection import judge_gallery
    from siamese_emotion_ros.recognition.artifacts import read_gallery

    gallery = read_gallery(file)
    return gallery_facts(file, gallery, judge_gallery(gallery))


def gallery_facts(file: Path, gallery: Gallery, judgement: Judgement) -> Dict[str, Any]:
    """What is in a gallery that was read from `file`, for `facts_tables` or as JSON."""
    from siamese_emotion_ros.evaluation.inspection import describe_gallery

    return {
        "kind": "gallery",
        "fingerprint": gallery.fingerprint,
        "model": gallery.model_fingerprint,
        "anchors": len(gallery),
        "embedding_dim": gallery.embeddings.shape[1],
        "k": gallery.k,
        "threshold": gallery.threshold,
        "sharpness": gallery.sharpness,
        "doubt": gallery.doubt,
        "images": None if gallery.images is None else list(gallery.images.shape[1:]),
        "bytes": file.stat().st_size,
        "classes": {entry.label: entry._asdict() for entry in describe_gallery(gallery, judgement)},
    }


def facts_tables(file: Path, facts: Dict[str, Any]) -> RenderableType:
    """The facts about a model or gallery file as a terminal shows them."""
    from rich.console import Group
    from rich.text import Text

    parts: List[RenderableType] = [Text(str(file), style="bold"), _name_table(_facts(facts))]
    if facts["kind"] == "model":
        # A table of its own: its long names would leave the fingerprint less than a line of 80 columns.
        parts.append(_name_table({f"· {key}": value for key, value in facts["provenance"].items()}))
    else:
        parts += [Text(), _class_table(facts), Text(
            "spread: RMS distance from the class's mean; nearest: median distance to the nearest anchor of the class; "
            "recall: share of anchors that the vote of their k nearest others names correctly.", style="dim",
        )]
    return Group(*parts)


def _name_table(values: Dict[str, str]) -> RenderableType:
    from rich.text import Text

    from siamese_emotion_ros.cli.output import plain_table

    table = plain_table(show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in values.items():
        table.add_row(name, Text(text))
    return table


def _facts(facts: Dict[str, Any]) -> Dict[str, str]:
    from siamese_emotion_ros.cli.gallery.calibration import confidence_text

    size = f"{facts['bytes'] / 1e6:.2f} MB"
    if facts["kind"] == "model":
        head = ", ".join(facts["head_classes"]) or "none"
        dtypes = ", ".join(facts["dtypes"])
        return {
            "a model": f"{facts['architecture']}, {facts['parameters']:,} parameters, {dtypes}, {size}",
            "input": f"{facts['input_size']} x {facts['input_size']} gray, {facts['scaling']}",
            "output": f"embedding of {facts['embedding_dim']}",
            "head": head,
            "fingerprint": facts["fingerprint"],
        }
    images = "none, embeddings only" if facts["images"] is None else " x ".join(map(str, facts["images"]))
    return {
        "a gallery": f"{facts['anchors']} anchors of {facts['embedding_dim']}, {size}",
        "k": str(facts["k"]),
        "threshold": "none: never unknown" if facts["threshold"] is None else f"{facts['threshold']:.4g}",
        "confidence": confidence_text(facts["sharpness"], facts["doubt"]),
        "images": images,
        "fingerprint": facts["fingerprint"],
        "for model": facts["model"],
    }


def _class_table(facts: Dict[str, Any]) -> RenderableType:
    from siamese_emotion_ros.cli.output import plain_table

    table = plain_table()
    table.add_column("emotion")
    for name in ("anchors", "spread", "nearest", "recall"):
        table.add_column(name, justify="right")
    table.add_column("mostly taken for")
    for label, entry in facts["classes"].items():
        nearest = "–" if entry["nearest_own"] is None else f"{entry['nearest_own']:.3g}"
        confused = "" if entry["confused_with"] is None else f"{entry['confused_with']} ({entry['confused_share']:.0%})"
        spread, recall = f"{entry['spread']:.3g}", f"{entry['recall']:.0%}"
        table.add_row(label, str(entry["anchors"]), spread, nearest, recall, confused)
    return table
