"""The report about a recording: that of `evaluate` where the truth is known, and always the faces, times and drops."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from siamese_emotion_ros.drawing.palette import hex_color
from siamese_emotion_ros.evaluation import charts
from siamese_emotion_ros.evaluation.page_template import BAG_SECTIONS, BARE_PAGE, STYLE, environment, markup

FORMAT = "siamese_emotion_ros/bag/1"

#: Timelines that a page shows at most, of the faces that were seen longest.
MOST_TIMELINES = 24


def bag_report(
    figures: Mapping[str, Any], evaluation: Optional[Mapping[str, Any]], notices: Sequence[str],
    facts: Mapping[str, Any],
) -> Dict[str, Any]:
    """A JSON-ready report: that of `report.build_report` (`evaluation`) or nothing, with the figures under `bag`."""
    if evaluation is not None:
        return {**evaluation, "bag": {"format": FORMAT, **figures}}
    return {"format": FORMAT, "notices": list(notices), "facts": dict(facts), "bag": {"format": FORMAT, **figures}}


def notices_of(figures: Mapping[str, Any], ignored: Mapping[str, int], without_truth: int) -> List[str]:
    """What a reader of the figures has to know, in sentences."""
    notices = list(figures["damage"])
    for reason, count in figures["images"]["unreadable"].items():
        notices.append(f"{count} image(s) could not be read: {reason}")
    if ignored:
        words = ", ".join(f"{word!r} ({count})" for word, count in sorted(ignored.items()))
        notices.append(f"The truth names emotions that are none of ours, and faces under them are left out: {words}.")
    if without_truth:
        notices.append(f"{without_truth} face(s) were seen at times without a true label, and are left out.")
    return notices


def render_bag_sections(bag: Mapping[str, Any]) -> str:
    """The part of the page about the recording itself."""
    faces = sorted(bag["faces"]["faces"].items(), key=lambda item: (-item[1]["images"], int(item[0])))
    shown = sorted(faces[:MOST_TIMELINES], key=lambda item: int(item[0]))
    stretches = [stretch for _, face in shown for stretch in face["timeline"] + face["truth"]]
    # Before 0, the first image's stamp, where the recording's stamps jumped back behind it.
    begin = min([0.0, *(stretch["start"] for stretch in stretches)])
    end = max([begin + bag["images"]["seconds"], *(stretch["end"] for stretch in stretches)])
    return environment().from_string(BAG_SECTIONS).render(
        bag=bag,
        timelines=[(face_id, face, markup(_timeline(face, begin, end))) for face_id, face in shown],
        left_out=len(faces) - len(shown),
        colors=[(label, hex_color(label)) for label in _labels(bag)],
    )


def render_bare_page(report: Mapping[str, Any], title: str) -> str:
    """A whole page about a recording whose truth is not known."""
    return environment().from_string(BARE_PAGE).render(
        report=report, title=title, style=markup(STYLE), sections=markup(render_bag_sections(report["bag"])),
    )


def _timeline(face: Mapping[str, Any], begin: float, end: float) -> str:
    rows: List[Tuple[str, List[charts.Span]]] = [("seen", _spans(face["timeline"]))]
    if face["truth"]:
        rows.append(("true", _spans(face["truth"])))
    return charts.timeline_chart(rows, begin, end)


def _spans(stretches: Sequence[Mapping[str, Any]]) -> List[charts.Span]:
    spans = []
    for stretch in stretches:
        sure = "" if stretch["confidence"] is None else f", {stretch['confidence']:.0%} sure"
        tooltip = f"{stretch['label']}, {stretch['start']:.2f}–{stretch['end']:.2f} s{sure}"
        spans.append((stretch["start"], stretch["end"], stretch["label"], tooltip))
    return spans


def _labels(bag: Mapping[str, Any]) -> List[str]:
    stretches = [
        stretch["label"] for face in bag["faces"]["faces"].values() for stretch in face["timeline"] + face["truth"]
    ]
    return sorted(set(stretches))
