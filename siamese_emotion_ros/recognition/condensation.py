"""Fewer anchors that answer like many: drawn, herded, condensed nearest neighbours, or k-means prototypes."""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Callable, Dict, Optional, Tuple

import numpy as np

from siamese_emotion_ros.recognition.embedding import Progress
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.leave_one_out import decided_by_others

if TYPE_CHECKING:
    from siamese_emotion_ros.recognition.model import EmbeddingModel

#: Lengths that differ by less than this share are one: a network that scales its embeddings to length 1 made them.
SAME_LENGTH = 1e-3


def condense(
    gallery: Gallery, anchors: int, method: str = "random", seed: int = 0, balance: float = 0.0,
    clear: Optional[np.ndarray] = None,
) -> Gallery:
    """About `anchors` anchors, at least one of each class; how many of each, `shares` says.

    random   a seeded draw of the anchors themselves.
    herding  the anchors of each class whose mean stays nearest to the class's mean (Welling, 2009); needs no seed.
    hart     condensed nearest neighbours: anchors that those kept so far would misname (Hart, 1968), among the clear
             ones. It ends with fewer when no mistake is left.
    kmeans   the means of each class's clusters, named `<class>/prototype<i>`, without images; needs scikit-learn.
    edited   kmeans of the clear anchors only. What a large k averages out is gone then: a small one may do.

    Clear anchors are those that their own neighbours name rightly (Wilson, 1972), as `clear_anchors` finds them unless
    `clear`, bool [N], says so, such as what `clear_to_head` finds. The threshold stays as it is: calibrate it anew,
    since fewer anchors lie farther from a face. ValueError for an unknown method, or as shares.
    """
    check_method(method)
    if method in EDITING:
        gallery = _keep_clear(gallery, clear_anchors(gallery) if clear is None else clear)
    if method == "random":
        return gallery.select(draw(gallery.labels, len(gallery.classes), anchors, seed, balance))
    return _CONDENSED[method](gallery, shares(gallery.counts, anchors, balance), seed)


def clear_anchors(gallery: Gallery, progress: Optional[Progress] = None) -> np.ndarray:
    """Which anchors their k nearest others name rightly, bool [N] (Wilson, 1972); `progress` counts anchors."""
    return decided_by_others(gallery, np.arange(len(gallery)), progress=progress) == gallery.labels


def check_method(method: str) -> None:
    """ValueError unless `method` is one of METHODS."""
    if method not in METHODS:
        raise ValueError(f"unknown condensation method {method!r}: expected one of {', '.join(METHODS)}")


def check_judge(judge: str) -> None:
    """ValueError unless `judge` is one of JUDGES."""
    if judge not in JUDGES:
        raise ValueError(f"unknown judge {judge!r} of clear anchors: expected one of {', '.join(JUDGES)}")


def clear_by(judge: str, gallery: Gallery, model: EmbeddingModel, progress: Optional[Progress] = None) -> np.ndarray:
    """Which anchors are clear to one of JUDGES, bool [N]; `model` is the gallery's. ValueError as either."""
    check_judge(judge)
    return clear_to_head(gallery, model) if judge == "head" else clear_anchors(gallery, progress)


def clear_to_head(gallery: Gallery, model: EmbeddingModel) -> np.ndarray:
    """Which anchors the classification head of the gallery's model names rightly, bool [N].

    The head has learned from the votes of many what a single label may get wrong. ValueError when the model has none
    for these classes.
    """
    shares = model.head_probabilities(gallery.embeddings, gallery.classes)
    if shares is None:
        known = ", ".join(model.spec.head_classes) or "nothing: it has none"
        raise ValueError(
            f"the model's classification head knows {known}; expected {', '.join(gallery.classes)}: let the neighbours "
            "say which anchors are clear"
        )
    return shares.argmax(axis=1) == gallery.labels


def _keep_clear(gallery: Gallery, clear: np.ndarray) -> Gallery:
    """The clear anchors; a class of which nothing is clear keeps all, as every class needs an anchor."""
    has_some = np.bincount(gallery.labels[clear], minlength=len(gallery.classes)) > 0
    return gallery.select(np.flatnonzero(clear | ~has_some[gallery.labels]))


def shares(counts: np.ndarray, anchors: int, balance: float = 0.0) -> np.ndarray:
    """How many of `anchors` anchors each class gets, int64 like `counts`, rounded down.

    Every class gets at least one, also where its share is less: then they are more than `anchors` together.
    A vote counts anchors, so how many a class has is how readily it is named. `balance` 0 keeps the proportions of
    `counts`, 1 gives every class equally many; between them, a class of share p gets a share like p^(1 - balance).
    ValueError for fewer anchors than classes or a balance outside 0..1.
    """
    if anchors < len(counts):
        raise ValueError(f"anchors is {anchors}: expected at least {len(counts)}, one for each class")
    if not 0 <= balance <= 1:
        raise ValueError(f"balance is {balance}: expected 0 (proportions as they are) to 1 (classes equally often)")
    weights = counts ** (1.0 - balance)
    # Rounded down: not more than asked for, and as many for each of two classes of one size.
    return np.maximum(1, np.floor(anchors * weights / weights.sum() + 1e-9).astype(np.int64))


def draw(labels: np.ndarray, n_classes: int, anchors: int, seed: int = 0, balance: float = 0.0) -> np.ndarray:
    """Indices of about `anchors` of the labelled faces, drawn by the seed, class by class as `shares` says.

    A class that has fewer than its share gives all it has.
    """
    random = np.random.default_rng(seed)
    wanted = shares(np.bincount(labels, minlength=n_classes), anchors, balance)
    drawn = [
        np.sort(random.permutation(np.flatnonzero(labels == label))[:share]) for label, share in enumerate(wanted)
    ]
    return np.concatenate(drawn)


def _herded(gallery: Gallery, wanted: np.ndarray, seed: int) -> Gallery:
    members = [np.flatnonzero(gallery.labels == label) for label in range(len(wanted))]
    return gallery.select(np.concatenate([
        np.sort(rows[_herd(gallery.embeddings[rows], share)]) for rows, share in zip(members, wanted)
    ]))


def _herd(points: np.ndarray, share: int) -> np.ndarray:
    """The rows of `points` [N, D] chosen one by one so that the mean of the chosen is nearest to the mean of all."""
    if len(points) <= share:
        return np.arange(len(points))
    mean = points.mean(axis=0, dtype=np.float64)
    squares = np.einsum("nd,nd->n", points, points)
    wished = mean.copy()
    chosen = np.empty(share, np.int64)
    for place in range(share):
        # |(place + 1) mean - (sum of the chosen + x)|^2, without what is the same for every x.
        gaps = squares - 2 * (points @ wished.astype(np.float32))
        gaps[chosen[:place]] = np.inf
        chosen[place] = gaps.argmin()
        wished += mean - points[chosen[place]]
    return chosen


def _hart(gallery: Gallery, wanted: np.ndarray, seed: int) -> Gallery:
    pool = np.random.default_rng(seed).permutation(len(gallery))
    points, labels = gallery.embeddings[pool], gallery.labels[pool]
    squares = np.einsum("nd,nd->n", points, points)
    nearest: np.ndarray = np.full(len(pool), np.inf)
    decided: np.ndarray = np.full(len(pool), -1)
    room = wanted.copy()
    kept: np.ndarray = np.zeros(len(pool), bool)

    def keep(row: int) -> None:
        gaps = squares - 2 * (points @ points[row]) + squares[row]
        nearer = gaps < nearest
        nearest[nearer], decided[nearer] = gaps[nearer], labels[row]
        kept[row] = True
        room[labels[row]] -= 1

    for label in range(len(wanted)):
        keep(int(np.flatnonzero(labels == label)[0]))
    row = 0
    while True:
        # The next one, going round and round, that is misnamed and whose class has room.
        missed = np.flatnonzero((decided != labels) & ~kept & (room[labels] > 0))
        if not len(missed):
            break
        place = np.searchsorted(missed, row)
        row = int(missed[place % len(missed)])
        keep(row)
    return gallery.select(np.sort(pool[kept]))


def _cluster_means(gallery: Gallery, wanted: np.ndarray, seed: int) -> Gallery:
    prototypes = [
        _means(gallery.embeddings[gallery.labels == label], share, seed) for label, share in enumerate(wanted)
    ]
    labels = np.repeat(np.arange(len(prototypes)), [len(means) for means in prototypes])
    names = tuple(
        f"{label}/prototype{i}" for label, means in zip(gallery.classes, prototypes) for i in range(len(means))
    )
    return replace(
        gallery,
        embeddings=np.concatenate(prototypes), labels=labels, names=names, images=None, k=min(gallery.k, len(labels)),
    )


def _means(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    if len(points) <= n_clusters:
        return points
    from sklearn.cluster import KMeans

    means = KMeans(n_clusters, n_init=1, random_state=seed).fit(points).cluster_centers_.astype(np.float32)
    lengths = np.linalg.norm(points, axis=1)
    if np.ptp(lengths) > SAME_LENGTH * lengths.mean():
        return means
    # A mean of points on a sphere lies inside it, the deeper the wider its cluster, and so nearer to everything.
    return means * (lengths.mean() / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12))


_CONDENSED: Dict[str, Callable[[Gallery, np.ndarray, int], Gallery]] = {
    "herding": _herded,
    "hart": _hart,
    "kmeans": _cluster_means,
    "edited": _cluster_means,
}

METHODS: Tuple[str, ...] = ("random", *_CONDENSED)

#: Who may say which anchors are clear: `clear_anchors` or `clear_to_head`.
JUDGES = ("neighbors", "head")

#: The methods that look at clear anchors only.
EDITING = ("hart", "edited")
