"""The demo's view in the terminal: a live table of the faces, and what is left when it is over. No ROS."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from siamese_emotion_ros.drawing.palette import hex_color
from siamese_emotion_ros.nodes.recorder import stretches

NOBODY, ACCENT = "#3b4149", "#f5c518"
TIMELINE_WIDTH, PROGRESS_WIDTH, BAR_WIDTH = 120, 28, 10


@dataclass(frozen=True)
class Row:
    """One face as the table shows it; nearest: (label, distance) of its nearest anchors."""

    face_id: int
    label: str
    confidence: float
    nearest: Sequence[Tuple[str, float]]
    latency_ms: float


@dataclass
class View:
    """All that the live table shows."""

    source: str
    total: Optional[int] = None
    note: str = ""
    rows: List[Row] = field(default_factory=list)
    labels: List[Optional[str]] = field(default_factory=list)
    fps: float = 0.0
    latency_ms: float = 0.0
    replaced: int = 0
    footer: str = ""


def render(view: View) -> RenderableType:
    """The view as it is now."""
    table = Table(box=box.SIMPLE_HEAD, expand=True, header_style="dim", pad_edge=False)
    table.add_column("face", justify="right", width=5)
    table.add_column("emotion", width=12)
    table.add_column("confidence", width=15)
    table.add_column("nearest anchors", ratio=1, no_wrap=True)
    table.add_column("latency", justify="right", width=9)
    for row in view.rows:
        table.add_row(
            Text(str(row.face_id), style="bold"),
            Text(row.label, style=f"bold {hex_color(row.label)}"),
            _bar(row.confidence, hex_color(row.label)),
            _nearest(row.nearest),
            Text(f"{row.latency_ms:.0f} ms"),
        )
    if not view.rows:
        table.add_row("", Text(view.note or "no face", style="dim"), "", "", "")
    return Panel(
        Group(table, Timeline(view.labels), Text(), _progress(view)),
        title=Text.assemble(("siamese emotion", "bold white"), "  ", (view.source, "cyan")),
        title_align="left",
        subtitle=Text(view.footer, style="#9ca3af") if view.footer else None,
        subtitle_align="right",
        border_style="#4b5563",
        padding=(0, 2),
    )


class Timeline:
    """The labels of all frames so far as one line of coloured blocks, each the commonest of its frames."""

    def __init__(self, labels: Sequence[Optional[str]]) -> None:
        self._labels = labels

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.line(min(options.max_width, TIMELINE_WIDTH))

    def line(self, width: int) -> Text:
        """The line, `width` cells wide once there are as many frames."""
        line, labels = Text(no_wrap=True), self._labels
        cells = min(width, len(labels))
        for cell in range(cells):
            part = labels[cell * len(labels) // cells : (cell + 1) * len(labels) // cells]
            commonest = max(sorted(set(part), key=str), key=part.count)
            line.append("█", style=NOBODY if commonest is None else hex_color(commonest))
        return line.append("·" * (width - cells), style=NOBODY)


def summary(summary: Dict[str, Any], folder: str) -> RenderableType:
    """What is shown when the demo is over."""
    frames, seen = summary["frames"], summary["frames_with_face"]
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", justify="right")
    facts.add_column()
    share = f" ({seen / frames:.0%})" if frames else ""
    facts.add_row("frames", f"{frames}, {seen} with a face{share}")
    facts.add_row("faces", ", ".join(str(face_id) for face_id in summary["face_ids"]) or "none")
    facts.add_row("emotions", _shares(summary["labels"]))
    facts.add_row("over time", Timeline(summary["labels"]))
    latency = summary["latency_ms"]
    if latency["p50"] is not None:
        text = f"{latency['p50']:.0f} ms median, {latency['p99']:.0f} ms at the 99th percentile"
        facts.add_row("latency", text)
    lost = summary["frames_unanswered"]
    facts.add_row("stamps", "the images' own" if summary.get("stamps_equal") else Text("differ", style="bold red"))
    facts.add_row("unanswered", Text(f"{lost} frames", style="yellow") if lost else "none")
    facts.add_row("left in", Text(f"{folder.rstrip('/')}/", style="bold", overflow="fold"))
    facts.add_row("", "  ".join(name for name in (summary["video"], summary["contact_sheet"], "summary.json") if name))
    title = Text("done", style="bold white")
    return Panel(facts, title=title, title_align="left", border_style="#4b5563", padding=(1, 2))


def plain_line(view: View) -> str:
    """The view in one line, for a terminal that is none."""
    faces = ", ".join(f"face {row.face_id} {row.label} {row.confidence:.0%}" for row in view.rows)
    faces = faces or view.note or "no face"
    of_total = f"/{view.total}" if view.total else ""
    return f"frame {len(view.labels)}{of_total}  {faces}  {view.fps:.1f} fps  latency {view.latency_ms:.0f} ms"


def _bar(share: float, style: str) -> Text:
    eighths = round(share * BAR_WIDTH * 8)
    full, rest = divmod(eighths, 8)
    blocks = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return Text.assemble((blocks.ljust(BAR_WIDTH), style), f" {share:4.0%}")


def _nearest(nearest: Sequence[Tuple[str, float]]) -> Text:
    """Each anchor's distance in the colour of its emotion, which is named where it changes."""
    line, before = Text(), None
    for label, distance in nearest:
        if label != before:
            line.append(f"{'  ' if before else ''}{label}", style=hex_color(label))
        line.append(f" {distance:.2f}", style=hex_color(label))
        before = label
    return line


def _progress(view: View) -> Text:
    line = Text()
    if view.total:
        done = min(1.0, len(view.labels) / view.total)
        filled = round(done * PROGRESS_WIDTH)
        line.append("━" * filled, style=ACCENT).append("━" * (PROGRESS_WIDTH - filled), style=NOBODY)
        line.append(f"  {len(view.labels)}/{view.total}")
    else:
        line.append(f"frame {len(view.labels)}")
    if view.fps:
        line.append(f"   {view.fps:.1f} fps   latency {view.latency_ms:.0f} ms")
    if view.replaced:
        line.append(f"   {view.replaced} replaced", style="yellow")
    return line


def _shares(labels: Sequence[Optional[str]]) -> Text:
    known = [label for label in labels if label is not None]
    counts = sorted(((known.count(label), label) for label in set(known)), reverse=True)
    line = Text()
    for count, label in counts:
        share = f"{count / len(known):.0%}" if count > 0.005 * len(known) else "<1%"
        line.append("■ ", style=hex_color(label)).append(f"{label} {share}   ")
    changes = len([run for run in stretches(labels) if run.label is not None])
    if not known:
        return Text("none")
    return line.append(f"in {changes} {'stretch' if changes == 1 else 'stretches'}", style="dim")
