"""What condensing a gallery costs: every method at every size beside the full gallery, on faces that are no anchors."""
from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.recognition.condensation import EDITING, METHODS, check_method, clear_anchors, condense
from siamese_emotion_ros.recognition.embedding import Progress
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.neighbors import NearestAnchors, majority_vote

#: The name of the gallery as it is, among the methods that condense it.
FULL = "full"

#: Methods whose outcome does not depend on the seed.
SEEDLESS = ("herding",)


class Condensed(NamedTuple):
    """How a gallery, condensed or not, names the faces it was asked about.

    method: FULL or one of condensation.METHODS. anchors: how many there are (of the first seed). k: neighbours that
    voted. seeds: galleries behind the figures. top1, macro_recall: shares, mean over the seeds, without a threshold.
    worst_top1: of the worst seed. lost: top-1 of the full gallery under the k that suits it best, less top1.
    """

    method: str
    anchors: int
    k: int
    seeds: int
    top1: float
    worst_top1: float
    macro_recall: float
    lost: float


def compare_condensations(
    gallery: Gallery,
    embeddings: np.ndarray,
    truth: np.ndarray,
    sizes: Sequence[int],
    methods: Sequence[str] = METHODS,
    ks: Sequence[int] = (),
    seeds: int = 1,
    balance: float = 0.0,
    clear: Optional[np.ndarray] = None,
    progress: Optional[Progress] = None,
) -> List[Condensed]:
    """The full gallery and every method at every size, for each k (default: the gallery's own), in that order.

    `embeddings` float32 [M, D] and `truth` int64 [M] (indices into the gallery's classes) are of faces that are not
    among the anchors. Methods are drawn with the seeds 0 … seeds-1; `clear` is as for `condense`. `progress` counts
    galleries. ValueError for a size, a k or a method that cannot be.
    """
    ks = tuple(ks) or (gallery.k,)
    _check(gallery, sizes, methods, ks, seeds)
    plan = [(method, size) for size in sorted(set(sizes)) for method in methods]
    total = 1 + sum(1 if method in SEEDLESS else seeds for method, _ in plan)
    done = 0

    def asked(condensed: Gallery) -> Tuple[int, List[Tuple[float, float]]]:
        nonlocal done
        figures = _ask(condensed, embeddings, truth, ks)
        done += 1
        if progress is not None:
            progress(done, total)
        return len(condensed), figures

    anchors, figures = asked(gallery)
    best = max(top1 for top1, _ in figures)
    rows = [Condensed(FULL, anchors, k, 1, top1, top1, recall, best - top1) for k, (top1, recall) in zip(ks, figures)]
    if clear is None and set(methods) & set(EDITING):
        clear = clear_anchors(gallery)
    for method, size in plan:
        runs = [
            asked(condense(gallery, size, method, seed, balance, clear))
            for seed in range(1 if method in SEEDLESS else seeds)
        ]
        for column, k in enumerate(ks):
            top1s = [figures[column][0] for _, figures in runs]
            recall = float(np.mean([figures[column][1] for _, figures in runs]))
            top1 = float(np.mean(top1s))
            rows.append(Condensed(method, runs[0][0], k, len(runs), top1, min(top1s), recall, best - top1))
    return rows


def _ask(gallery: Gallery, embeddings: np.ndarray, truth: np.ndarray, ks: Sequence[int]) -> List[Tuple[float, float]]:
    """Top-1 and mean recall of the classes that were asked about, for each k (at most the number of anchors)."""
    nearest = NearestAnchors(gallery.embeddings, gallery.labels, len(gallery.classes))
    distances, anchors, _ = nearest.query(embeddings, min(max(ks), len(gallery)))
    labels = gallery.labels[anchors]
    figures = []
    for k in ks:
        decided = np.array([
            majority_vote(found[:k], gaps[:k], len(gallery.classes))[0] for found, gaps in zip(labels, distances)
        ])
        right = decided == truth
        recalls = [right[truth == label].mean() for label in np.unique(truth)]
        figures.append((float(right.mean()), float(np.mean(recalls))))
    return figures


def _check(gallery: Gallery, sizes: Sequence[int], methods: Sequence[str], ks: Sequence[int], seeds: int) -> None:
    for method in methods:
        check_method(method)
    for size in sizes:
        if not len(gallery.classes) <= size <= len(gallery):
            raise ValueError(
                f"{size} anchors: expected {len(gallery.classes)}, one for each class, to {len(gallery)}, all there are"
            )
    for k in ks:
        if not 1 <= k <= len(gallery):
            raise ValueError(f"k is {k}: expected 1 to {len(gallery)}, the number of anchors")
    if seeds < 1:
        raise ValueError(f"{seeds} seeds: expected at least 1")
