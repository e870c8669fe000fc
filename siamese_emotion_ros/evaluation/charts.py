"""The pictures of a report as plain SVG, drawn by hand: no plotting library, no script, readable in light and dark."""
from __future__ import annotations

import math
from html import escape
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from siamese_emotion_ros.drawing.palette import hex_color

Number = Union[int, float]
Point = Tuple[float, float]
#: From, to [s], label and tooltip of a stretch of time.
Span = Tuple[float, float, str, str]

#: Side of the square in which a curve is drawn, and the room for the labels beside and below it.
SIDE, LEFT, BOTTOM, TOP, RIGHT = 260, 54, 40, 10, 18


def confusion_chart(counts: Sequence[Sequence[int]], true: Sequence[str], given: Sequence[str]) -> str:
    """A confusion matrix [true][given]: the shade and the large number are the row's share, the small one the faces."""
    cell, left, top = 66, 84, 34
    width, height = left + cell * len(given), top + cell * len(true)
    parts = [
        _text(left + cell * (c + 0.5), top - 12, label, "middle", "small") for c, label in enumerate(given)
    ]
    for r, (label, row) in enumerate(zip(true, counts)):
        total = max(sum(row), 1)
        parts.append(_text(left - 10, top + cell * (r + 0.5) + 4, label, "end", "small"))
        for c, count in enumerate(row):
            share = count / total
            x, y = left + cell * c, top + cell * r
            tooltip = f"{label} taken for {given[c]}: {count} of {sum(row)} ({share:.1%})"
            box = _tag("rect", x=x + 1, y=y + 1, width=cell - 2, height=cell - 2, rx=4,
                       fill="var(--right)" if given[c] == label else "var(--wrong)", fill_opacity=f"{share ** 0.7:.3f}")
            # Rounded shares under half a percent would all read 0 %.
            strong = " strong" if share > 0.7 else ""
            figure = _text(x + cell / 2, y + cell / 2 + 2, f"{share:.0%}" if share >= 0.005 else "·", "middle",
                           "cell" + strong)
            faces = _text(x + cell / 2, y + cell / 2 + 18, str(count), "middle", "count" + strong) if count else ""
            parts.append(_tag("g", _tag("title", escape(tooltip)) + box + figure + faces))
    return _svg(width, height, parts, "Confusion matrix")


def curve_chart(
    points: Sequence[Point], x_label: str, y_label: str, name: str, diagonal: bool = False,
    mark: Optional[Point] = None, mark_label: str = "",
) -> str:
    """A curve through points with both coordinates in 0..1, over the rising diagonal for comparison if wanted."""
    parts = _axes(x_label, y_label)
    if diagonal:
        parts.append(_line([(0.0, 0.0), (1.0, 1.0)], "reference"))
    parts.append(_line(points, "curve"))
    if mark is not None:
        x, y = _place(mark)
        side = -1 if mark[0] > 0.5 else 1
        parts.append(_tag("circle", cx=x, cy=y, r=4.5, class_="mark"))
        # Below the part of the curve that the label stretches over, which a letter of this size takes 7 pixels of.
        near = [place[1] for place in map(_place, points) if 0 <= side * (place[0] - x) <= 7 * len(mark_label)]
        below = max([y, *near]) if side < 0 else y
        parts.append(_text(x + side * 9, below + 16, mark_label, "end" if side < 0 else "start", "small"))
    return _chart(parts, name)


def reliability_chart(bins: Sequence[Dict[str, Any]]) -> str:
    """Accuracy (height) of the faces in each bin of confidence (place); a bar's strength is its share of the faces."""
    parts = _axes("confidence", "share that is right")
    most = max((entry["n"] for entry in bins), default=1)
    for entry in bins:
        x, y = _place((entry["low"], entry["accuracy"]))
        width = (entry["high"] - entry["low"]) * SIDE
        tooltip = f"{entry['n']} faces: confidence {entry['confidence']:.2f}, right {entry['accuracy']:.2f}"
        bar = _tag("rect", x=x + 0.75, y=y, width=width - 1.5, height=TOP + SIDE - y, rx=1.5, class_="bar",
                   fill_opacity=f"{0.25 + 0.75 * entry['n'] / most:.2f}")
        parts.append(_tag("g", _tag("title", escape(tooltip)) + bar))
    parts.append(_line([(0.0, 0.0), (1.0, 1.0)], "reference"))
    return _chart(parts, "Reliability")


def scatter_chart(
    places: np.ndarray, labels: Sequence[str], tooltips: Sequence[str], hollow: Sequence[bool]
) -> str:
    """Points [M, 2] within 0..1, M at least 1, in the colours of their labels; hollow ones are rings."""
    side, margin = 620, 12
    parts = []
    # The map fills the width at most; what it leaves of the height is cut off.
    top = 1 - float(places[:, 1].max())
    height = 2 * margin + (side - 2 * margin) * float(np.ptp(places[:, 1]))
    # Rings are the minority: drawn last, none is buried.
    for i in sorted(range(len(places)), key=lambda i: bool(hollow[i])):
        color = hex_color(labels[i])
        ring = {"fill": "none", "stroke": color, "stroke_width": 1.4}
        look = ring if hollow[i] else {"fill": color, "fill_opacity": 0.85}
        parts.append(_tag(
            "circle", _tag("title", escape(tooltips[i])), cx=margin + float(places[i, 0]) * (side - 2 * margin),
            cy=margin + (1 - float(places[i, 1]) - top) * (side - 2 * margin), r=3.2, **look,
        ))
    return _svg(side, height, parts, "Map of the embeddings")


def timeline_chart(rows: Sequence[Tuple[str, Sequence[Span]]], begin: float, end: float) -> str:
    """Rows of labelled spans over a time axis from `begin` to `end` [s], each span in the colour of its label."""
    left, width, row, gap = 44, 980, 20, 5
    bottom = len(rows) * (row + gap)
    seconds = end - begin or 1.0
    scale = (width - left) / seconds
    parts = []
    step = _round_step(seconds / 8)
    first = math.ceil(begin / step - 1e-9)
    for number in range(first, math.floor((begin + seconds) / step + 1e-9) + 1):
        x = left + (number * step - begin) * scale
        parts.append(_tag("line", x1=x, y1=0, x2=x, y2=bottom, class_="grid"))
        parts.append(_text(x, bottom + 13, f"{number * step:g} s", "start" if number == first else "middle", "tiny"))
    for number, (name, spans) in enumerate(rows):
        top = number * (row + gap)
        parts.append(_text(left - 8, top + 14, name, "end", "small"))
        for start, stop, label, tooltip in spans:
            parts.append(_tag(
                "rect", _tag("title", escape(tooltip)), x=f"{left + (start - begin) * scale:.2f}", y=top, height=row,
                width=f"{max((stop - start) * scale, 0.8):.2f}", fill=hex_color(label),
            ))
    return _svg(width + 24, bottom + 20, parts, "Timeline")


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, … (and their tenths, hundredths) that is at least `least`."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9)))


def _axes(x_label: str, y_label: str) -> List[str]:
    parts = [_tag("rect", x=LEFT, y=TOP, width=SIDE, height=SIDE, class_="frame")]
    for step in range(5):
        at = step / 4
        x, y = _place((at, at))
        parts.append(_line([(at, 0.0), (at, 1.0)], "grid"))
        parts.append(_line([(0.0, at), (1.0, at)], "grid"))
        parts.append(_text(x, TOP + SIDE + 15, _percent(at), "middle", "tiny"))
        parts.append(_text(LEFT - 6, y + 4, _percent(at), "end", "tiny"))
    parts.append(_text(LEFT + SIDE / 2, TOP + SIDE + 34, x_label, "middle", "small"))
    middle = TOP + SIDE / 2
    parts.append(_tag("text", escape(y_label), x=10, y=middle, text_anchor="middle", class_="small",
                      transform=f"rotate(-90 10 {middle:g})"))
    return parts


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _place(point: Point) -> Point:
    return LEFT + point[0] * SIDE, TOP + (1 - point[1]) * SIDE


def _line(points: Sequence[Point], class_: str) -> str:
    return _tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in map(_place, points)), class_=class_)


def _text(x: Number, y: Number, text: str, anchor: str, class_: str) -> str:
    return _tag("text", escape(text), x=x, y=y, text_anchor=anchor, class_=class_)


def _chart(parts: Sequence[str], name: str) -> str:
    return _svg(LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM, parts, name)


def _svg(width: Number, height: Number, parts: Sequence[str], name: str) -> str:
    return _tag("svg", "".join(parts), viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=name,
                style=f"max-width:{width:g}px")


def _tag(name: str, content: str = "", **attributes: Any) -> str:
    """An SVG element; `content` is markup already, attribute values are escaped, and `class_` becomes class."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(f"{value:g}" if isinstance(value, float) else str(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>"
