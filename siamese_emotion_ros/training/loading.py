"""From a labelled face set to the faces, labels and splits of a run."""
from __future__ import annotations

from typing import Dict, List

import numpy as np
import torch

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.datasets.ferplus import agreed_on
from siamese_emotion_ros.datasets.splits import split_classes, trained_digest
from siamese_emotion_ros.recognition.preprocessing import preprocess
from siamese_emotion_ros.training.config import ConfigError, TrainingConfig
from siamese_emotion_ros.training.data import TrainingData


def prepare(faceset: FaceSet, config: TrainingConfig) -> TrainingData:
    """The training and validation faces of `faceset`, restricted to `config.classes`, as a run takes them.

    Every face is resized once, to the side at which it is augmented. Faces of the test split are dropped unseen. Raises
    ConfigError when nothing is left to validate on or the votes that the configuration wants are missing, and
    DataSetError for a class or split that the set does not have.
    """
    digest = trained_digest(faceset, config.data.split, config.data.split_seed)
    faceset, parts = split_classes(faceset, config.classes, config.data.split, config.data.split_seed)
    train, val = parts["train"], parts["val"]
    if config.data.limit is not None:
        train = np.sort(np.random.default_rng([config.trainer.seed, 2]).permutation(train)[: config.data.limit])
    if len(val) == 0:
        raise ConfigError(
            f"data.split {config.data.split} gives no validation face: use another split or a complete copy of the data"
        )
    rows = np.concatenate([train, val])
    labels = faceset.labels[rows]
    return TrainingData(
        faces=torch.from_numpy(_sized([faceset.faces[row] for row in rows], config.face_side)),
        labels=torch.from_numpy(labels),
        classes=config.classes,
        train=np.arange(len(train)),
        val=np.arange(len(train), len(rows)),
        provenance={**_provenance(config, labels[: len(train)], len(val)), "split_digest": digest},
        soft_labels=_soft_labels(faceset, config, rows) if config.data.asks_voters else None,
    )


def _sized(faces: List[np.ndarray], side: int) -> np.ndarray:
    """Faces as uint8 [N, 1, side, side], resized exactly as the recogniser does."""
    sized = np.empty((len(faces), 1, side, side), np.uint8)
    for start in range(0, len(faces), 512):
        unit = preprocess(faces[start : start + 512], side, "unit")
        np.rint(unit * 255, casting="unsafe", out=sized[start : start + 512])
    return sized


def _soft_labels(faceset: FaceSet, config: TrainingConfig, rows: np.ndarray) -> torch.Tensor:
    """float32 [N, C]: the voters' distribution over the classes mixed with the single label, `data.votes` to the rest.

    Where as many as `data.agreement` agree on one of the classes, the distribution is not mixed. A face without a vote
    for any of the classes keeps its single label.
    """
    asked = config.data
    if faceset.soft_labels is None or (asked.agreement is not None and faceset.votes is None):
        raise ConfigError(
            f"data.votes or data.agreement asks for FER+ votes, but this copy of {asked.dataset} comes without votes: "
            "put FER+'s fer2013new.csv beside it or name it in data.options.ferplus"
        )
    share = np.full((len(rows), 1), asked.votes, np.float32)
    if asked.agreement is not None and faceset.votes is not None:
        share[agreed_on(faceset.votes[rows], faceset.classes, asked.agreement)] = 1
    soft = share * faceset.soft_labels[rows]
    soft[np.arange(len(rows)), faceset.labels[rows]] += 1 - soft.sum(axis=1)
    return torch.from_numpy(soft)


def _provenance(config: TrainingConfig, labels: np.ndarray, n_val: int) -> Dict[str, str]:
    counts = np.bincount(labels, minlength=len(config.classes))
    return {
        "dataset": config.data.dataset,
        "split": config.data.split,
        "split_seed": str(config.data.split_seed),
        "classes": ", ".join(config.classes),
        "training_faces": ", ".join(f"{name} {count}" for name, count in zip(config.classes, counts)),
        "validation_faces": str(n_val),
    }
