"""Data sets of labelled faces, read from their official layouts and split without leaks."""
from __future__ import annotations

from .face_set import SPLITS, DataSetError, FaceSet, Progress, Skipped
from .load import DATASETS, load
from .splits import SCHEMES, LeakWarning, kfold, split, split_classes

__all__ = [
    "DATASETS", "SCHEMES", "SPLITS", "DataSetError", "FaceSet", "LeakWarning", "Progress", "Skipped",
    "kfold", "load", "split", "split_classes",
]
