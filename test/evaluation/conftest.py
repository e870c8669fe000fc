"""A random network and made-up faces that it tells apart without training."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_model, write_model
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network

CLASSES = ("anger", "happiness", "sadness")


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """A paper network with random weights and an embedding of 32, as read from its file; it has no head."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    write_model(path, build_network("paper", 48, 32).state_dict(), ModelSpec("paper", 48, 32, "unit"))
    return read_model(path)


@pytest.fixture(scope="session")
def model(stored):
    return EmbeddingModel(stored, "cpu")


@pytest.fixture(scope="session")
def make_faces():
    """make_faces(per_class, seed): a FaceSet of stripes, as wide as their emotion says, with a little noise."""

    def make(per_class: int, seed: int = 0, classes=CLASSES, prefix="face", **columns) -> FaceSet:
        random = np.random.default_rng(seed)
        labels = np.arange(len(classes)).repeat(per_class)
        faces = np.stack([
            np.clip((np.arange(48) // (2 + 4 * label) % 2 * 120 + 60) + random.normal(0, 6, (48, 48)), 0, 255)
            for label in labels
        ]).astype(np.uint8)
        names = tuple(f"{prefix}{seed}-{i:04d}" for i in range(len(labels)))
        return FaceSet(faces, labels.astype(np.int64), tuple(classes), names, **columns)

    return make
