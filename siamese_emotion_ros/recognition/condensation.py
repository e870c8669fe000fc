"""Fewer anchors that answer like many: k-means prototypes or a random draw for each class of a gallery."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery

METHODS = ("kmeans", "random")


def condense(gallery: Gallery, per_class: int, method: str = "kmeans", seed: int = 0) -> Gallery:
    """At most `per_class` anchors for each class.

    `kmeans` replaces a class by the means of its clusters (named `<class>/prototype<i>`, without images; needs
    scikit-learn); `random` keeps a seeded draw of the anchors themselves. ValueError for an unknown method or a
    per_class below 1.
    """
    if method not in METHODS:
        raise ValueError(f"unknown condensation method {method!r}: expected one of {', '.join(METHODS)}")
    if per_class < 1:
        raise ValueError(f"per_class is {per_class}: expected at least 1 anchor per class")
    members = [np.flatnonzero(gallery.labels == label) for label in range(len(gallery.classes))]
    if method == "random":
        random = np.random.default_rng(seed)
        return gallery.select(np.concatenate([np.sort(random.permutation(rows)[:per_class]) for rows in members]))
    prototypes = [_cluster_means(gallery.embeddings[rows], per_class, seed) for rows in members]
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
