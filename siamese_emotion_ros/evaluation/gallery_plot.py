"""A gallery as one picture: a map of its anchors, and what they are taken for by each other."""
from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from siamese_emotion_ros.drawing.palette import hex_color
from siamese_emotion_ros.evaluation.inspection import Judgement, confusion_counts
from siamese_emotion_ros.evaluation.projection import project
from siamese_emotion_ros.recognition.gallery import Gallery

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches, and dots per inch, of the picture.
SIZE, DOTS = (13.0, 6.4), 110

INK, MUTED, PAPER = "#1d2126", "#6a7078", "#ffffff"


def draw_gallery(gallery: Gallery, judgement: Judgement, title: str, seed: int = 0) -> bytes:
    """A PNG: at most projection.MOST_POINTS judged anchors by t-SNE, rings where the others misname one; confusions.

    Needs matplotlib and scikit-learn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DOTS, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    places, table = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    _draw_map(places, gallery, judgement, seed)
    _draw_confusions(table, gallery, judgement)
    figure.suptitle(
        f"{title}: {len(gallery)} anchors, k {gallery.k}, for model {gallery.model_fingerprint[:12]}", color=INK
    )
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def _draw_map(axes: Axes, gallery: Gallery, judgement: Judgement, seed: int) -> None:
    shown, places = project(gallery.embeddings[judgement.rows], seed)
    labels = gallery.labels[judgement.rows][shown]
    misnamed = judgement.decided[shown] != labels
    for label, name in enumerate(gallery.classes):
        color = hex_color(name)
        for ring in (False, True):
            points = places[(labels == label) & (misnamed == ring)]
            axes.scatter(
                points[:, 0], points[:, 1], s=18, linewidths=1.0, facecolors="none" if ring else color,
                edgecolors=color, alpha=0.9, label=None if ring else f"{name} ({gallery.counts[label]})",
            )
    axes.scatter([], [], s=18, linewidths=1.0, facecolors="none", edgecolors=MUTED, label="misnamed by its neighbours")
    axes.set_aspect("equal", "datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    sample = "" if len(shown) == len(gallery) else f"a sample of {len(shown)}; "
    axes.set_title(f"Map ({sample}t-SNE: near stays near, far means little)", fontsize=10, color=MUTED)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4, frameon=False, fontsize=9, labelcolor=INK)


def _draw_confusions(axes: Axes, gallery: Gallery, judgement: Judgement) -> None:
    counts = confusion_counts(gallery, judgement)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*shares.shape):
        if counts[row, column]:
            axes.text(
                column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", fontsize=10,
                color=PAPER if shares[row, column] > 0.6 else INK,
            )
    ticks = range(len(gallery.classes))
    axes.set_xticks(ticks, gallery.classes, rotation=40, ha="right", color=INK)
    axes.set_yticks(ticks, gallery.classes, color=INK)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(
        f"What {len(judgement.rows)} anchors (rows) are taken for by the others [% of the row]", fontsize=10,
        color=MUTED,
    )
