"""The embedding networks, by registered name: a face in, a point in a Euclidean space out."""
from __future__ import annotations

from typing import Callable, Dict, Type

import torch
from torch import nn

#: Deviation of the normal from which the paper draws the weights of its fully connected layer ("narrow").
NARROW = 0.01

NETWORKS: Dict[str, Type[nn.Module]] = {}


def register(name: str) -> Callable[[Type[nn.Module]], Type[nn.Module]]:
    """Make a network class buildable as `name`; it is constructed with (input_size, embedding_dim)."""

    def add(network: Type[nn.Module]) -> Type[nn.Module]:
        NETWORKS[name] = network
        return network

    return add


def build_network(architecture: str, input_size: int, embedding_dim: int) -> nn.Module:
    """A freshly initialised network: float32 [N, 1, input_size, input_size] -> float32 [N, embedding_dim].

    ValueError for an architecture that is not registered or an input it cannot take.
    """
    if architecture not in NETWORKS:
        raise ValueError(f"unknown architecture {architecture!r}: expected one of {', '.join(sorted(NETWORKS))}")
    return NETWORKS[architecture](input_size, embedding_dim)


@register("paper")
class PaperNetwork(nn.Module):
    """The siamese branch of the paper: three valid convolutions and a fully connected embedding.

    10x10x128, 7x7x256 and 4x4x256, each followed by ReLU and 2x2 max-pooling of stride 2, then a fully connected layer
    whose weights start from a narrow normal. Input 48 gives 256 features before that layer, input 100 gives 16,384.

    Two rearrangements change the cost and not the result. Max-pooling commutes with ReLU, so ReLU runs on a quarter of
    the values. And a 2x2 pool drops an odd last row and column, so at 48 pixels nothing beyond row and column 41 ever
    reaches the embedding: the input is cut to that `receptive_size` first, which saves 40 % of the work.
    """

    def __init__(self, input_size: int = 48, embedding_dim: int = 2048) -> None:
        super().__init__()
        kernels = (10, 7, 4)
        side = input_size
        for kernel in kernels:
            side = (side - kernel + 1) // 2
        if side < 1:
            raise ValueError(f"input_size {input_size} is too small for the paper network: expected at least 41")
        self.receptive_size = side
        for kernel in reversed(kernels):
            self.receptive_size = 2 * self.receptive_size + kernel - 1
        self.features = nn.Sequential(
            nn.Conv2d(1, 128, 10), nn.MaxPool2d(2), nn.ReLU(inplace=True),
            nn.Conv2d(128, 256, 7), nn.MaxPool2d(2), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 4), nn.MaxPool2d(2), nn.ReLU(inplace=True),
            nn.Flatten(),
        )
        self.embedding = nn.Linear(256 * side * side, embedding_dim)
        for layer in self.features:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.embedding.weight, std=NARROW)
        nn.init.zeros_(self.embedding.bias)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, D] of preprocessed faces [N, 1, S, S]."""
        return self.embedding(self.features(faces[:, :, : self.receptive_size, : self.receptive_size]))
