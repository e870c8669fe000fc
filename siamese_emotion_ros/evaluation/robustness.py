"""How much of its accuracy a model keeps when faces are badly cut, badly lit, blurred or covered."""
from __future__ import annotations

import csv
import io
from typing import Callable, List, NamedTuple, Optional

import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.evaluation.answers import answers_of_neighbors
from siamese_emotion_ros.evaluation.corruptions import CORRUPTIONS, corrupted
from siamese_emotion_ros.evaluation.metrics import confusion, headline
from siamese_emotion_ros.recognition.embedding import embed_faces
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Settings

CLEAN = "as they are"


class Row(NamedTuple):
    """The figures of one corruption at one strength: every face answered (no threshold), shares 0..1.

    drop: top-1 of the faces as they are minus `top1`.
    """

    corruption: str
    strength: str
    n: int
    top1: float
    macro_f1: float
    drop: float


def robustness(
    model: EmbeddingModel, gallery: Gallery, settings: Settings, queries: FaceSet, seed: int = 0,
    progress: Optional[Callable[[int, int], None]] = None,
) -> List[Row]:
    """The queries as they are, then under every corruption at its three strengths; `progress` counts faces."""
    queries = queries.restrict(gallery.classes)
    total = len(queries) * (1 + sum(len(corruption.strengths) for corruption in CORRUPTIONS.values()))
    done = 0

    def measured(name: str, strength: str, faces: List[np.ndarray], clean: Optional[float]) -> Row:
        nonlocal done
        answers = answers_of_neighbors(model, gallery, settings, embed_faces(model, faces), queries.labels)
        done += len(faces)
        if progress is not None:
            progress(done, total)
        figures = headline(confusion(answers.truth, answers.decided, len(answers.classes)))
        top1 = float(figures["top1"])
        drop = 0.0 if clean is None else clean - top1
        return Row(name, strength, len(faces), top1, float(figures["macro_f1"]), drop)

    rows = [measured(CLEAN, "", list(queries.faces), None)]
    for name, corruption in CORRUPTIONS.items():
        for strength in corruption.strengths:
            faces = [corrupted(face, name, strength, seed, row) for row, face in enumerate(queries.faces)]
            rows.append(measured(name, corruption.unit.format(strength), faces, rows[0].top1))
    return rows


def as_csv(rows: List[Row]) -> bytes:
    """The rows as a table with a header; shares to four places."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(Row._fields)
    for row in rows:
        writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in row])
    return text.getvalue().encode()


def plot(rows: List[Row], title: str) -> bytes:
    """A PNG: top-1 of each corruption (line) at each strength (column); the redder, the more is lost."""
    import matplotlib
    from matplotlib.figure import Figure

    corruptions = list(CORRUPTIONS)
    grid = {name: [row for row in rows if row.corruption == name] for name in corruptions}
    drops = np.array([[row.drop for row in grid[name]] for name in corruptions])
    figure = Figure(figsize=(6.4, 0.42 * len(corruptions) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(drops, cmap=matplotlib.colormaps["YlOrRd"], vmin=0, vmax=0.3, aspect="auto")
    for line, name in enumerate(corruptions):
        for column, row in enumerate(grid[name]):
            color = "white" if row.drop > 0.2 else "black"
            axes.text(column, line, f"{row.top1:.1%}", ha="center", va="bottom", color=color, fontsize=10)
            axes.text(column, line + 0.05, row.strength, ha="center", va="top", color=color, fontsize=7)
    axes.set_yticks(range(len(corruptions)), corruptions)
    axes.set_xticks([])
    axes.set_title(f"{title}\n{rows[0].top1:.1%} of {rows[0].n} faces right as they are", fontsize=10)
    for side in axes.spines.values():
        side.set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, dpi=150)
    return file.getvalue()
