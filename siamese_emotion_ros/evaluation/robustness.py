"""How much of its accuracy a model keeps when faces are badly cut, badly lit, blurred or covered."""
from __future__ import annotations

import io
from typing import List, NamedTuple, Optional

import numpy as np

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.evaluation.anchors import warn_of_anchors
from siamese_emotion_ros.evaluation.answers import Answers, answers_of_neighbors
from siamese_emotion_ros.evaluation.corruptions import CORRUPTIONS, corrupted
from siamese_emotion_ros.evaluation.framing import texture
from siamese_emotion_ros.evaluation.metrics import confusion, headline
from siamese_emotion_ros.recognition.embedding import Progress, embed_faces
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Settings

CLEAN = "as they are"

#: Textures without a face, such as a false detection would pass on.
NO_FACE = "no face at all"


class Row(NamedTuple):
    """The figures of one corruption at one strength, as shares of its n faces.

    top1, macro_f1: every face answered (no threshold). drop: top-1 of the faces as they are minus `top1`. unknown: how
    many lie beyond the gallery's threshold. The row NO_FACE has nothing but `unknown`.
    """

    corruption: str
    strength: str
    n: int
    top1: Optional[float]
    macro_f1: Optional[float]
    drop: Optional[float]
    unknown: float


def robustness(
    model: EmbeddingModel, gallery: Gallery, settings: Settings, queries: FaceSet, seed: int = 0,
    progress: Optional[Progress] = None,
) -> List[Row]:
    """The queries as they are, under every corruption at its three strengths, and as many pictures of no face.

    `progress` counts faces. Warns LeakWarning where some of the queries are anchors of the gallery.
    """
    queries = queries.restrict(gallery.classes)
    warn_of_anchors(model, gallery, queries)
    total = len(queries) * (2 + sum(len(corruption.strengths) for corruption in CORRUPTIONS.values()))
    done = 0

    def answered(faces: List[np.ndarray]) -> Answers:
        nonlocal done
        answers = answers_of_neighbors(model, gallery, settings, embed_faces(model, faces), queries.labels)
        done += len(faces)
        if progress is not None:
            progress(done, total)
        return answers

    def measured(name: str, strength: str, faces: List[np.ndarray], clean: Optional[float]) -> Row:
        answers = answered(faces)
        figures = headline(confusion(answers.truth, answers.decided, len(answers.classes)))
        top1, macro_f1 = float(figures["top1"]), float(figures["macro_f1"])
        drop = None if clean is None else clean - top1
        return Row(name, strength, len(faces), top1, macro_f1, drop, float(np.mean(~answers.known)))

    rows = [measured(CLEAN, "", list(queries.faces), None)]
    for name, corruption in CORRUPTIONS.items():
        for strength in corruption.strengths:
            faces = [corrupted(face, name, strength, seed, row) for row, face in enumerate(queries.faces)]
            rows.append(measured(name, corruption.unit.format(strength), faces, rows[0].top1))
    nobody = [_nobody(seed, row) for row in range(len(queries))]
    rows.append(Row(NO_FACE, "", len(nobody), None, None, None, float(np.mean(~answered(nobody).known))))
    return rows


def _nobody(seed: int, row: int) -> np.ndarray:
    random = np.random.default_rng([seed, row, len(CORRUPTIONS)])
    return np.clip(texture(96, 96, random), 0, 255).astype(np.uint8)


def plot(rows: List[Row], title: str) -> bytes:
    """A PNG: top-1 of each corruption (line) at each strength (column); the redder, the more is lost."""
    import matplotlib
    from matplotlib.figure import Figure

    corruptions = list(CORRUPTIONS)
    grid = {name: [row for row in rows if row.corruption == name] for name in corruptions}
    drops = np.array([[row.drop or 0.0 for row in grid[name]] for name in corruptions])
    figure = Figure(figsize=(6.4, 0.42 * len(corruptions) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(drops, cmap=matplotlib.colormaps["YlOrRd"], vmin=0, vmax=0.3, aspect="auto")
    for line, name in enumerate(corruptions):
        for column, row in enumerate(grid[name]):
            color = "white" if (row.drop or 0.0) > 0.2 else "black"
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
