"""An evaluation as one self-contained HTML page: figures, pictures and the worst mistakes, nothing loaded."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from siamese_emotion_ros.drawing.palette import hex_color
from siamese_emotion_ros.evaluation import charts
from siamese_emotion_ros.evaluation.measurement import Measurement
from siamese_emotion_ros.evaluation.mistakes import ALIKE, thumbnail, worst_mistakes
from siamese_emotion_ros.evaluation.page_template import STYLE, TEMPLATE, environment, markup
from siamese_emotion_ros.evaluation.projection import project


def render_page(measurement: Measurement, report: Mapping[str, Any], seed: int = 0, sections: str = "") -> str:
    """The page for a measurement; `report` is what `report.build_report` made of it, `sections` more HTML for its end.

    The faces behind the worst mistakes are in the page: a data set's licence holds for it too.
    """
    pages = environment()
    pages.filters.update(percent=percent, interval=_interval)
    mistakes = worst_mistakes(measurement.faces, measurement.answers)
    return pages.from_string(TEMPLATE).render(
        report=report,
        style=markup(STYLE),
        sections=markup(sections),
        methods=methods(report),
        headline=_headline(report),
        figures={name: markup(svg) for name, svg in _pictures(measurement, report, seed).items()},
        mistakes=[(mistake, thumbnail(measurement.faces.faces[mistake.row])) for mistake in mistakes],
        several=ALIKE if measurement.faces.subjects is not None else 0,
        wrong=int((measurement.answers.known & (measurement.answers.decided != measurement.answers.truth)).sum()),
        colors=[(label, hex_color(label)) for label in report["classes"]],
    )


def methods(report: Mapping[str, Any]) -> List[Tuple[str, Mapping[str, Any]]]:
    """Every way in which the faces were answered or labelled, as (description, figures), the headline first."""
    rows = [(f"k-NN, k {report['k']}", report)]
    if report["head"] is not None:
        rows.append(("head", report["head"]))
    rows += [(column["meaning"], column) for column in report["label_columns"].values()]
    if report.get("personal"):
        # Fewer faces than the headline's: those that neutral was learnt from are in neither.
        rows.append(("k-NN, faces left to ask about", report["personal"]["plain"]))
        rows.append(("the same, personal neutral", report["personal"]["personal"]))
    return rows


def percent(share: Optional[float], digits: int = 1) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _interval(bounds: List[Optional[float]]) -> str:
    low, high = bounds
    return "–" if low is None or high is None else f"{100 * low:.1f} – {100 * high:.1f} %"


def _headline(report: Mapping[str, Any]) -> List[Tuple[str, str, str, str]]:
    """(name, figure, interval, meaning) of the figures on top."""
    intervals = report["confidence_intervals"]
    rows = [
        (name, percent(report[key]), _interval(intervals[key]), meaning)
        for name, key, meaning in (
            ("Top-1", "top1", "faces given their own label; unknown counts as wrong"),
            ("Macro F1", "macro_f1", "precision and recall in one, every emotion counting alike"),
            ("Balanced", "balanced_accuracy", "balanced accuracy: the mean recall of the emotions"),
            ("One-vs-rest", "mean_one_vs_rest", "the paper's accuracy: mean of (TP + TN) / n; high even without skill"),
            ("Unknown", "unknown_rate", "faces too far from every anchor to be named"),
        )
    ]
    pairs = report["verification"]
    if pairs is not None:
        meaning = "pairs of faces, same emotion or not, told apart by distance"
        rows.append(("Equal error", percent(pairs["equal_error_rate"]), "", meaning))
    return rows


def _pictures(measurement: Measurement, report: Mapping[str, Any], seed: int) -> Dict[str, str]:
    answers, faces = measurement.answers, measurement.faces
    table = report["confusion"]
    # A column of zeros for an answer that was never given would only take room.
    given = table["given"] if report["unknown_rate"] else table["given"][:-1]
    pictures = {
        "confusion": charts.confusion_chart([row[: len(given)] for row in table["counts"]], table["true"], given),
        "reliability": charts.reliability_chart(report["calibration"]["bins"]),
    }
    pairs = report["verification"]
    if pairs is not None:
        rate = pairs["equal_error_rate"]
        pictures["roc"] = charts.curve_chart(
            list(zip(pairs["roc"]["false_accept"], pairs["roc"]["true_accept"])), "different pairs taken for same",
            "same pairs taken for same", "ROC", diagonal=True, mark=(rate, 1 - rate),
            mark_label=f"equal error {percent(rate)}",
        )
    if report["unknown_curve"] is not None:
        at = None if report["threshold"] is None or not report["coverage"] else (
            report["coverage"], report["accuracy_when_known"])
        pictures["unknown"] = charts.curve_chart(
            [(point["coverage"], point["accuracy"]) for point in report["unknown_curve"]], "faces that get a label",
            "share of those that is right", "Threshold", mark=at, mark_label="the threshold used",
        )
    rows, places = project(measurement.embeddings, seed)
    true = [answers.classes[answers.truth[row]] for row in rows]
    named = [answers.classes[answers.decided[row]] for row in rows]
    tooltips = [f"{faces.names[row]}: {t}, taken for {d}" for row, t, d in zip(rows, true, named)]
    pictures["map"] = charts.scatter_chart(places, true, tooltips, [t != d for t, d in zip(true, named)])
    return pictures
