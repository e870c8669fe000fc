"""Fewer anchors that answer like many: k-means prototypes or a random draw for each class of a gallery."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery

METHODS = ("kmeans", "random")


def condense(gallery: Gallery, anchors: int, method: str = "random", seed: int = 0) -> Gallery:
    """About `anchors` anchors, each class in its present proportion and with at least one.

    Proportions stay because a vote counts anchors: as many of each class would take the frequency of emotions out of
    it. `random` keeps a seeded draw of the anchors themselves; `kmeans` replaces a class by the means of its clusters
    (named `<class>/prototype<i>`, without images; needs scikit-learn). ValueError for an unknown method or fewer
    anchors than classes.
    """
    if method not in METHODS:
        raise ValueError(f"unknown condensation method {method!r}: expected one of {', '.join(METHODS)}")
    if anchors < len(gallery.classes):
        raise ValueError(f"anchors is {anchors}: expected at least {len(gallery.classes)}, one for each class")
    shares = np.maximum(1, np.rint(gallery.counts * (anchors / len(gallery))).astype(int))
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
