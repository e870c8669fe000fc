"""From a labelled face set to the faces, labels and splits of a run."""
from __future__ import annotations

from typing import Dict, List

import numpy as np
import torch

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.datasets.splits import split
from siamese_emotion_ros.recognition.preprocessing import preprocess
from siamese_emotion_ros.training.config import ConfigError, TrainingConfig
from siamese_emotion_ros.training.data import TrainingData

def prepare(faceset: FaceSet, config: TrainingConfig) -> TrainingData:
    """The training and validation faces of `faceset` as a run takes them.

    Labels are renumbered to the order of `config.classes`; every face is brought to the network's input size once.
    """
    missing = [name for name in config.classes if name not in faceset.classes]
    if missing:
        raise ConfigError(
            f"data.classes asks for {', '.join(missing)}: {config.data.dataset} has {', '.join(faceset.classes)}"
        )
    faceset = faceset.restrict(config.classes)
    parts = split(faceset, config.data.split, config.trainer.seed)
    train, val = parts["train"], parts["val"]
    if config.data.limit is not None:
        train = np.sort(np.random.default_rng([config.trainer.seed, 2]).permutation(train)[: config.data.limit])
    if len(val) == 0:
        raise ConfigError(
            f"data.split {config.data.split} gives no validation face: use another split or a complete copy of the data"
        )
    # Faces that neither train nor validate (the test split) are not kept in memory, and never looked at.
    rows = np.concatenate([train, val])
    order = np.array([config.classes.index(name) for name in faceset.classes])
    labels = order[faceset.labels[rows]]
    return TrainingData(
        faces=torch.from_numpy(_sized([faceset.faces[row] for row in rows], config.network.input_size)),
        labels=torch.from_numpy(labels),
        classes=config.classes,
        train=np.arange(len(train)),
        val=np.arange(len(train), len(rows)),
        provenance=_provenance(config, labels[: len(train)], len(val)),
        soft_labels=_soft_labels(faceset, config, rows, order) if config.data.soft_labels else None,
    )


def _sized(faces: List[np.ndarray], side: int) -> np.ndarray:
    """Faces as uint8 [N, 1, side, side], resized exactly as the recogniser does."""
    sized = np.empty((len(faces), 1, side, side), np.uint8)
    for start in range(0, len(faces), 512):
        unit = preprocess(faces[start : start + 512], side, "unit")
        np.rint(unit * 255, casting="unsafe", out=sized[start : start + 512])
    return sized


def _soft_labels(
    faceset: FaceSet, config: TrainingConfig, rows: np.ndarray, order: np.ndarray
) -> torch.Tensor:
    """The voters' distribution over the classes; a face without a vote for any of them keeps its single label."""
    if faceset.soft_labels is None:
        raise ConfigError(f"data.soft_labels: {config.data.dataset} came without votes; give FER+'s file in data.options")
    soft = np.zeros((len(rows), len(order)), np.float32)
    soft[:, order] = faceset.soft_labels[rows]
    unvoted = np.flatnonzero(soft.sum(axis=1) == 0)
    soft[unvoted, order[faceset.labels[rows[unvoted]]]] = 1
    return torch.from_numpy(soft)


def _provenance(config: TrainingConfig, labels: np.ndarray, n_val: int) -> Dict[str, str]:
    counts = np.bincount(labels, minlength=len(config.classes))
    return {
        "dataset": config.data.dataset,
        "split": config.data.split,
        "classes": ", ".join(config.classes),
        "training_faces": ", ".join(f"{name} {count}" for name, count in zip(config.classes, counts)),
        "validation_faces": str(n_val),
    }
