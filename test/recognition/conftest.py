"""A small random model, made-up faces and a gallery over them."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_model
from siamese_emotion_ros.recognition.gallery import build_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network

CLASSES = ("anger", "happiness", "neutral")


@pytest.fixture(scope="session")
def write_random_model():
    """A function that writes a paper network of random weights to a path, and returns the path."""

    def write(path, seed=0, embedding_dim=16):
        torch.manual_seed(seed)
        network = build_network("paper", 48, embedding_dim)
        write_model(path, network.state_dict(), ModelSpec("paper", 48, embedding_dim, "standardize"))
        return path

    return write


@pytest.fixture(scope="session")
def faces():
    """30 uint8 gray textures of different sizes."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (40 + i, 50 + i), dtype=np.uint8) for i in range(30)]


@pytest.fixture(scope="session")
def model_path(tmp_path_factory, write_random_model):
    """A model file of random weights."""
    return write_random_model(tmp_path_factory.mktemp("models") / "model.safetensors")


@pytest.fixture(scope="session")
def model(model_path):
    """The model of model_path, on the CPU."""
    return EmbeddingModel.load(model_path, device="cpu")


@pytest.fixture(scope="session")
def gallery(model, faces):
    """One anchor for each of `faces`, classes in turn, with the faces kept."""
    names = [f"face{i}" for i in range(len(faces))]
    return build_gallery(model, faces, np.arange(len(faces)) % 3, CLASSES, names, k=3, image_size=48)
