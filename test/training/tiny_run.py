"""A run that takes a second, on made-up faces: called by the tests, or started as a program to be killed or spread.

python tiny_run.py FOLDER [--resume] [section.key=value ...]
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np
import torch
from torch import nn

from siamese_emotion_ros.recognition.embedding_network import EmbeddingNetwork
from siamese_emotion_ros.recognition.networks import NETWORKS, register
from siamese_emotion_ros.training.config import TrainingConfig
from siamese_emotion_ros.training.config_file import apply_override, from_dict
from siamese_emotion_ros.training.data import TrainingData
from siamese_emotion_ros.training.train import train

CLASSES = ("anger", "happiness", "neutral")
SIDE = 16

if "tiny" not in NETWORKS:

    @register("tiny")
    class TinyNetwork(EmbeddingNetwork, nn.Sequential):
        """One convolution and a linear layer; dropout draws numbers of its own, as an exact resume must allow for."""

        def __init__(self, input_size: int, embedding_dim: int) -> None:
            side = input_size // 2 - 2
            super().__init__(
                nn.AvgPool2d(2), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(),
                nn.Linear(4 * side * side, embedding_dim),
            )

    @register("tiny_unit")
    class TinyUnitNetwork(TinyNetwork):
        """Its embeddings lie on the unit sphere, as prototypes need them."""

        unit_length = True

        def forward(self, faces: torch.Tensor) -> torch.Tensor:
            return nn.functional.normalize(super().forward(faces))


def make_data(count: int = 60, seed: int = 0) -> TrainingData:
    """Noise with a bright bar whose row tells the class: easy, but not solved at the start."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    faces = rng.integers(0, 100, (count, 1, SIDE, SIDE))
    for face, label in zip(faces, labels):
        face[0, 5 * label : 5 * label + 3] += 120
    train_count = 3 * count // 4
    return TrainingData(
        faces=torch.from_numpy(faces.astype(np.uint8)),
        labels=torch.from_numpy(labels),
        classes=CLASSES,
        train=np.arange(train_count),
        val=np.arange(train_count, count),
        provenance={"dataset": "made up"},
    )


def make_config(*overrides: str) -> TrainingConfig:
    """Three epochs of five batches, with everything on that could disturb a resumed run."""
    values: Dict[str, Any] = {
        "data": {"classes": ",".join(CLASSES)},
        "network": {"architecture": "tiny", "input_size": SIDE, "embedding_dim": 8},
        "sampling": {"batch_size": 9, "power": 0.5},
        "augmentation": {"flip": 0.5, "rotation": 10, "noise": 0.05, "cutout": 0.2},
        "optimizer": {"lr": 1e-3, "schedule": "cosine", "warmup_steps": 4},
        "validation": {"k": 3, "anchors": 30},
        "trainer": {"epochs": 3, "accelerator": "cpu", "checkpoint_steps": 2, "ema_decay": 0.9},
    }
    for override in overrides:
        apply_override(values, override)
    return from_dict(values)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    config = make_config(*[text for text in sys.argv[2:] if "=" in text])
    train(config, make_data(), folder, resume="--resume" in sys.argv, progress_bar=False)
