"""An evaluation as tables for a terminal."""
from __future__ import annotations

from typing import Any, List, Mapping, Optional

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from siamese_emotion_ros.evaluation.metrics import largest_confusions
from siamese_emotion_ros.evaluation.page import methods, percent

#: Mistakes that are named below the tables.
SHOWN_CONFUSIONS = 3

#: A mean confidence so much above an emotion's precision is worth a line.
TOO_SURE = 0.05


def summary(report: Mapping[str, Any]) -> RenderableType:
    """Tables of the report's figures: every method and labelling, then every emotion, then what goes wrong most."""
    parts: List[RenderableType] = [_methods(report), Text(), _emotions(report), Text(), _remarks(report)]
    parts += [Text(f"! {notice}", style="yellow") for notice in report["notices"]]
    return Group(*parts)


def bag_summary(report: Mapping[str, Any]) -> RenderableType:
    """What was seen in a recording: the stream of images in lines, then a table of the faces."""
    bag = report["bag"]
    images, faces = bag["images"], bag["faces"]
    rate = "" if images["rate"] is None else f", {images['rate']:.1f} a second"
    lines = [
        f"{images['topic']}: {images['n']} images in {images['seconds']:.2f} s{rate}; {images['missing']} not there by "
        f"their stamps, {sum(images['unreadable'].values())} unreadable; {faces['images_with_face']} with a face"
    ]
    delay = images["recording_delay_ms"]
    if delay is not None:
        lines.append(f"from stamp to recording {delay['p50']:.1f} ms, 99 %: {delay['p99']:.1f} ms")
    for recorded in bag["recorded"]:
        if "latency_ms" in recorded:
            agreement = "" if recorded["agreement"] is None else f", {percent(recorded['agreement'])} as now"
            lines.append(
                f"{recorded['topic']}: {recorded['messages']} answers were recorded{agreement}; latency "
                f"{recorded['latency_ms']['p50']:.1f} ms, 99 %: {recorded['latency_ms']['p99']:.1f} ms"
            )
        else:
            lines.append(
                f"{recorded['topic']}: {recorded['images']} images were looked at, {recorded['not_looked_at']} were not"
            )
    table = _table(None, "face", "images", "from s", "to s", "mostly")
    for face_id, face in faces["faces"].items():
        label, count = max(face["labels"].items(), key=lambda item: item[1])
        table.add_row(
            face_id, str(face["images"]), f"{face['start']:.2f}", f"{face['end']:.2f}",
            f"{label} {percent(count / face['images'], 0)}",
        )
    parts: List[RenderableType] = [Text("\n".join(lines))]
    if faces["faces"]:
        parts.append(table)
    if "top1" not in report:  # else summary() has said so
        parts += [Text(f"! {notice}", style="yellow") for notice in report["notices"]]
    return Group(*parts)


def _methods(report: Mapping[str, Any]) -> Table:
    source = f" from {report['anchors_dataset']}" if report["anchors_dataset"] else ""
    options = f", {report['facts']['options']}" if "options" in report["facts"] else ""
    title = f"{report['dataset']}, {report['split']}{options}: {report['anchors']} anchors{source}"
    table = _table(title, "", "faces", "top-1", "95 %", "macro F1", "balanced", "one-vs-rest", "unknown")
    for name, figures in methods(report):
        low, high = figures["confidence_intervals"]["top1"]
        table.add_row(
            name, str(figures["n"]), Text(_bare(figures["top1"]), style="bold"),
            "–" if low is None or high is None else f"{_bare(low)}–{_bare(high)}",
            _bare(figures["macro_f1"]), _bare(figures["balanced_accuracy"]), _bare(figures["mean_one_vs_rest"]),
            _bare(figures["unknown_rate"]),
        )
    return table


def _emotions(report: Mapping[str, Any]) -> Table:
    table = _table(None, "emotion", "faces", "TP", "TN", "FP", "FN", "one-vs-rest", "precision", "recall", "F1")
    for label, row in report["per_class"].items():
        table.add_row(
            label, *(str(row[name]) for name in ("n", "TP", "TN", "FP", "FN")),
            *(_bare(row[name]) for name in ("one_vs_rest", "precision", "recall", "f1")),
        )
    table.add_section()
    table.add_row(
        "mean", "", "", "", "", "", _bare(report["mean_one_vs_rest"]), "", _bare(report["balanced_accuracy"]),
        _bare(report["macro_f1"]), style="bold",
    )
    return table


def _remarks(report: Mapping[str, Any]) -> Text:
    lines = []
    if report["threshold"] is not None:
        lines.append(
            f"unknown beyond {report['threshold']:.3g}: {percent(report['coverage'])} of the faces get a label, "
            f"{percent(report['accuracy_when_known'])} of those rightly; without it top-1 is "
            f"{percent(report['top1_without_threshold'])}"
        )
    pairs = report["verification"]
    if pairs is not None:
        lines.append(
            f"pairs, same emotion or not: equal error {percent(pairs['equal_error_rate'])}, "
            f"area under the ROC curve {pairs['auc']:.3f}"
        )
    lines.append(f"expected calibration error {percent(report['calibration']['expected_calibration_error'])}")
    promised = {
        label: row["confidence"] - row["precision"]
        for label, row in report["per_class"].items() if row["precision"] is not None
    }
    label = max(promised, key=promised.__getitem__, default="")
    if label and promised[label] > TOO_SURE:
        row = report["per_class"][label]
        lines.append(
            f"confidence promises too much for {label}: {percent(row['confidence'])} on average, "
            f"{percent(row['precision'])} right"
        )
    personal = report.get("personal")
    if personal:
        gain = personal["top1_gain"]
        lines.append(
            f"personal neutral, learnt from {personal['calibration_faces']} faces of {personal['people']} people: "
            f"top-1 {_signed(gain['mean'])} points (95 %: {_signed(gain['low'])} to {_signed(gain['high'])})"
        )
    confusions = largest_confusions(np.array(report["confusion"]["counts"]), report["classes"], SHOWN_CONFUSIONS)
    if confusions:
        lines.append("most frequent mistakes: " + ", ".join(f"{true} → {given} {n}" for true, given, n in confusions))
    return Text("\n".join(lines))


def _table(title: Optional[str], first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}"


def _bare(share: Optional[float]) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
