"""Weights of a finished model as the start of another run."""
from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Sequence

import torch
from torch import nn

from siamese_emotion_ros.recognition.artifacts import HEAD_BIAS, HEAD_WEIGHT, read_model
from siamese_emotion_ros.recognition.model import load_network
from siamese_emotion_ros.recognition.networks import is_quantized
from siamese_emotion_ros.recognition.quantized import QuantizedCompactNetwork
from siamese_emotion_ros.training.config import ConfigError, NetworkConfig
from siamese_emotion_ros.training.data import resized, scale
from siamese_emotion_ros.training.prototypes import Prototypes
from siamese_emotion_ros.training.quantization import dequantize


def unmeasured(provenance: Mapping[str, str]) -> Dict[str, str]:
    """A model's provenance without its measured figures: for models that are made of it without training."""
    of_a_checkpoint = ("val_", "head_val_", "epoch", "steps")
    return {key: text for key, text in provenance.items() if not key.startswith(of_a_checkpoint)}


def carry_over(path: Path, network: nn.Module, config: NetworkConfig, faces: torch.Tensor) -> List[str]:
    """Copy into `network` every weight of the model file at `path` whose shape agrees; returns the names rebuilt.

    Convolutions do not depend on the input size, the layer after them does: from 48 to 100 pixels the paper keeps the
    filters and learns the fully connected layer anew. Architectures of one family begin alike: a shorter network keeps
    the stages that it has. A quantized model gives the weights that its integers stand for, and normalisations of
    `faces`, uint8 [N, 1, S, S]. Raises ConfigError for a model that has nothing in common with this one.
    """
    stored = read_model(path)
    given = stored.weights
    if is_quantized(stored.spec.architecture):
        source = load_network(stored)
        assert isinstance(source, QuantizedCompactNetwork)
        trainable = dequantize(source, scale(resized(faces, config.input_size), stored.spec.scaling))
        given = {name: tensor.numpy() for name, tensor in trainable.state_dict().items()}
    state = network.state_dict()
    rebuilt = []
    for name, tensor in state.items():
        weights = given.get(name)
        if weights is None or weights.shape != tuple(tensor.shape):
            rebuilt.append(name)
        else:
            tensor.copy_(torch.from_numpy(weights))
    # Any two networks may have a bias or a counter of one shape in common.
    if not any(tensor.dim() > 1 for name, tensor in state.items() if name not in rebuilt):
        raise ConfigError(
            f"network.init_from {path} is a {stored.spec.architecture} network, this run trains {config.architecture}, "
            "and they share no filter: check network.architecture and the file"
        )
    return rebuilt


def carry_over_head(path: Path, head: nn.Module, classes: Sequence[str]) -> List[str]:
    """Copy into `head`, over `classes`, what the model file at `path` has learned of each; returns those it has not.

    A head that starts at random first turns the embeddings of a finished network to where it happens to point. A model
    without a head, or with embeddings of another length, leaves `head` as it is.
    """
    stored = read_model(path)
    weights = stored.weights.get(HEAD_WEIGHT)
    mine = head.state_dict()
    if weights is None or weights.shape[1] != mine["weight"].shape[1]:
        return list(classes)
    known = [name for name in classes if name in stored.spec.head_classes]
    here = [classes.index(name) for name in known]
    there = [stored.spec.head_classes.index(name) for name in known]
    carried = torch.from_numpy(weights[there]).float()
    if isinstance(head, Prototypes):
        carried = nn.functional.normalize(carried)
    else:
        mine["bias"][here] = torch.from_numpy(stored.weights[HEAD_BIAS][there]).float()
    mine["weight"][here] = carried
    return [name for name in classes if name not in known]
