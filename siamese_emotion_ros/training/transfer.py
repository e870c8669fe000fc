"""Weights of a finished model as the start of another run."""
from __future__ import annotations

from pathlib import Path
from typing import List

import torch
from torch import nn

from siamese_emotion_ros.recognition.artifacts import read_model
from siamese_emotion_ros.training.config import ConfigError, NetworkConfig


def carry_over(path: Path, network: nn.Module, config: NetworkConfig) -> List[str]:
    """Copy into `network` every weight of the model file at `path` whose shape agrees; returns the names rebuilt.

    Convolutions do not depend on the input size, the layer after them does: from 48 to 100 pixels the paper keeps the
    filters and learns the fully connected layer anew. Raises ConfigError for a model of another architecture.
    """
    stored = read_model(path)
    if stored.spec.architecture != config.architecture:
        raise ConfigError(
            f"network.init_from {path} is a {stored.spec.architecture} network, this run trains {config.architecture}: "
            "set network.architecture to the same"
        )
    state = network.state_dict()
    rebuilt = []
    for name, tensor in state.items():
        weights = stored.weights.get(name)
        if weights is None or weights.shape != tuple(tensor.shape):
            rebuilt.append(name)
        else:
            tensor.copy_(torch.from_numpy(weights))
    if len(rebuilt) == len(state):
        raise ConfigError(f"network.init_from {path} shares no weight with this network: check the file")
    return rebuilt
