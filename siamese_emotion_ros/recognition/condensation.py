"""Fewer anchors that answer like many: k-means prototypes or a random draw for each class of a gallery."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery

METHODS = ("kmeans", "random")


def condense(
    gallery: Gallery, anchors: int, method: str = "random", seed: int = 0, balance: float = 0.0
) -> Gallery:
    """About `anchors` anchors, at least one of each class; how many of each, `shares` says.

    `random` keeps a seeded draw of the anchors themselves; `kmeans` replaces a class by the means of its clusters
    (named `<class>/prototype<i>`, without images; needs scikit-learn). ValueError for an unknown method, or as shares.
    """
    if method not in METHODS:
        raise ValueError(f"unknown condensation method {method!r}: expected one of {', '.join(METHODS)}")
    if method == "random":
        return gallery.select(draw(gallery.labels, len(gallery.classes), anchors, seed, balance))
    wanted = shares(gallery.counts, anchors, balance)
    prototypes = [
        _cluster_means(gallery.embeddings[gallery.labels == label], share, seed) for label, share in enumerate(wanted)
    ]
    labels = np.repeat(np.arange(len(prototypes)), [len(means) for means in prototypes])
    names = tuple(
        f"{label}/prototype{i}" for label, means in zip(gallery.classes, prototypes) for i in range(len(means))
    )
    return replace(
        gallery,
        embeddings=np.concatenate(prototypes), labels=labels, names=names, images=None, k=min(gallery.k, len(labels)),
    )


def shares(counts: np.ndarray, anchors: int, balance: float = 0.0) -> np.ndarray:
    """How many of about `anchors` anchors each class gets, int64 like `counts`, at least one.

    A vote counts anchors, so how many a class has is how readily it is named. `balance` 0 keeps the proportions of
    `counts`, 1 gives every class equally many; between them, a class of share p gets a share like p^(1 - balance).
    ValueError for fewer anchors than classes or a balance outside 0..1.
    """
    if anchors < len(counts):
        raise ValueError(f"anchors is {anchors}: expected at least {len(counts)}, one for each class")
    if not 0 <= balance <= 1:
        raise ValueError(f"balance is {balance}: expected 0 (proportions as they are) to 1 (classes equally often)")
    weights = counts ** (1.0 - balance)
    return np.maximum(1, np.rint(anchors * weights / weights.sum()).astype(np.int64))


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


def _cluster_means(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    if len(points) <= n_clusters:
        return points
    from sklearn.cluster import KMeans

    return KMeans(n_clusters, n_init=1, random_state=seed).fit(points).cluster_centers_.astype(np.float32)
