"""Fewer anchors that answer like many: k-means prototypes or a random draw for each class of a gallery."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery

METHODS = ("kmeans", "random")


def condense(
    gallery: Gallery, anchors: int, method: str = "random", seed: int = 0, balance: float = 0.0
) -> Gallery:
    """About `anchors` anchors, at least one of each class.

    A vote counts anchors, so how many a class has is how readily it is named. `balance` 0 keeps the proportions of the
    gallery, 1 gives every class equally many; between them, a class of share p gets a share like p^(1 - balance).

    `random` keeps a seeded draw of the anchors themselves; `kmeans` replaces a class by the means of its clusters
    (named `<class>/prototype<i>`, without images; needs scikit-learn). ValueError for an unknown method or fewer
    anchors than classes, or a balance outside 0..1.
    """
    if method not in METHODS:
        raise ValueError(f"unknown condensation method {method!r}: expected one of {', '.join(METHODS)}")
    if anchors < len(gallery.classes):
        raise ValueError(f"anchors is {anchors}: expected at least {len(gallery.classes)}, one for each class")
    if not 0 <= balance <= 1:
        raise ValueError(f"balance is {balance}: expected 0 (proportions as they are) to 1 (classes equally often)")
    weights = gallery.counts ** (1.0 - balance)
    shares = np.maximum(1, np.rint(anchors * weights / weights.sum()).astype(int))
    members = [np.flatnonzero(gallery.labels == label) for label in range(len(gallery.classes))]
    if method == "random":
        random = np.random.default_rng(seed)
        draws = [np.sort(random.permutation(rows)[:share]) for rows, share in zip(members, shares)]
        return gallery.select(np.concatenate(draws))
    prototypes = [_cluster_means(gallery.embeddings[rows], share, seed) for rows, share in zip(members, shares)]
    labels = np.repeat(np.arange(len(prototypes)), [len(means) for means in prototypes])
    names = tuple(
        f"{label}/prototype{i}" for label, means in zip(gallery.classes, prototypes) for i in range(len(means))
    )
    return replace(
        gallery,
        embeddings=np.concatenate(prototypes), labels=labels, names=names, images=None, k=min(gallery.k, len(labels)),
    )


def _cluster_means(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    if len(points) <= n_clusters:
        return points
    from sklearn.cluster import KMeans

    return KMeans(n_clusters, n_init=1, random_state=seed).fit(points).cluster_centers_.astype(np.float32)
