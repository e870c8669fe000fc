"""Embeddings in two dimensions: a seeded map in which near neighbours stay near."""
from __future__ import annotations

from typing import Tuple

import numpy as np

#: More points than this would cover each other, and take minutes.
MOST_POINTS = 1000

#: Dimensions that are kept before the map is made; beyond them embeddings of faces hold little but noise.
KEPT_DIMENSIONS = 50


def project(embeddings: np.ndarray, seed: int = 0) -> Tuple[np.ndarray, np.ndarray]:
    """A t-SNE map (van der Maaten and Hinton, 2008) of at most MOST_POINTS embeddings, float32 [N, D].

    Returns the rows that are shown, int64 [M] ascending, and their places, float32 [M, 2] within 0..1. Fewer than ten
    faces are mapped by their principal components.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    rows: np.ndarray = np.arange(len(embeddings))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_POINTS])
    shown = embeddings[rows].astype(np.float64)
    shown -= shown.mean(axis=0)
    if not shown.any() or len(rows) < 3:
        return rows, np.full((len(rows), 2), 0.5, np.float32)
    kept = min(KEPT_DIMENSIONS, *shown.shape)
    places = PCA(kept, svd_solver="randomized", random_state=seed).fit_transform(shown)
    if len(rows) >= 10:
        places = TSNE(
            2, perplexity=min(30.0, len(rows) / 4), init="pca" if kept >= 2 else "random", random_state=seed
        ).fit_transform(places / places.std())
    if places.shape[1] == 1:
        places = np.concatenate([places, np.zeros_like(places)], axis=1)
    return rows, _within_unit_square(places[:, :2])


def _within_unit_square(places: np.ndarray) -> np.ndarray:
    """Shifted and scaled, both axes alike, so that the larger extent fills 0..1 and the other is centred."""
    low, high = places.min(axis=0), places.max(axis=0)
    extent = float((high - low).max()) or 1.0
    return (0.5 + (places - (low + high) / 2) / extent).astype(np.float32)
