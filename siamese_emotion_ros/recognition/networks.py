"""The embedding networks, by registered name: a face in, a point in a Euclidean space out."""
from __future__ import annotations

from typing import Callable, Dict, Tuple, Type, TypeVar

import torch
from torch import nn
from torch.nn import functional

from siamese_emotion_ros.recognition.compact import CompactNetwork, LargeCompactNetwork, WideCompactNetwork
from siamese_emotion_ros.recognition.embedding_network import EmbeddingNetwork
from siamese_emotion_ros.recognition.quantized import QuantizedCompactNetwork
from siamese_emotion_ros.recognition.winograd import WinogradPooledConvolution

#: Deviation of the normal from which the paper draws the weights of its fully connected layer ("narrow").
NARROW = 0.01

#: Networks by name.
NETWORKS: Dict[str, Type[EmbeddingNetwork]] = {}

_Network = TypeVar("_Network", bound=Type[EmbeddingNetwork])


def register(name: str) -> Callable[[_Network], _Network]:
    """Make a network class buildable as `name`."""

    def add(network: _Network) -> _Network:
        NETWORKS[name] = network
        return network

    return add


def build_network(architecture: str, input_size: int, embedding_dim: int) -> EmbeddingNetwork:
    """A freshly initialised network: float32 [N, 1, input_size, input_size] -> float32 [N, embedding_dim].

    ValueError for an architecture that is not registered or an input it cannot take.
    """
    if architecture not in NETWORKS:
        raise ValueError(f"unknown architecture {architecture!r}: expected one of {', '.join(sorted(NETWORKS))}")
    return NETWORKS[architecture](input_size, embedding_dim)


def is_quantized(architecture: str) -> bool:
    """Whether the network of that registered name is of integers: not trained but made of another, in float32 only."""
    return NETWORKS[architecture].quantized


def weight_shapes(architecture: str, input_size: int, embedding_dim: int) -> Dict[str, Tuple[int, ...]]:
    """Name and shape of every weight of that network, without the memory for them; ValueError as build_network."""
    with torch.device("meta"):
        network = build_network(architecture, input_size, embedding_dim)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


register("compact")(CompactNetwork)
register("compact_wide")(WideCompactNetwork)
register("compact_large")(LargeCompactNetwork)
register("compact_int8")(QuantizedCompactNetwork)


@register("paper")
class PaperNetwork(EmbeddingNetwork):
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
        if self.embedding.weight.is_meta:
            return  # torch imports its compiler, which takes seconds, to draw a normal that has no memory
        for layer in self.features:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.embedding.weight, std=NARROW)
        nn.init.zeros_(self.embedding.bias)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, D] of preprocessed faces [N, 1, S, S]."""
        return self.embedding(self.features(faces[:, :, : self.receptive_size, : self.receptive_size]))

    def for_cpu(self) -> nn.Module:
        """The same mapping, rearranged for inference in float32 on a CPU (within rounding; see PaperNetworkOnCpu)."""
        return PaperNetworkOnCpu(self)


@register("paper_unit")
class UnitPaperNetwork(PaperNetwork):
    """The paper's network with its embedding scaled to length 1.

    The paper leaves lengths free. In one pair of runs on FER-2013, whose margins and rates differed too, the loss fell
    sooner on the unit sphere (docs/choices.md).
    """

    unit_length = True

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, D] of length 1 of preprocessed faces [N, 1, S, S]."""
        return functional.normalize(super().forward(faces), dim=1)

    def for_cpu(self) -> nn.Module:
        """The same mapping, rearranged for inference in float32 on a CPU."""
        return nn.Sequential(super().for_cpu(), UnitLength())


class UnitLength(nn.Module):
    """Scales each row to length 1."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[N, D] -> [N, D]."""
        return functional.normalize(rows, dim=1)


class PaperNetworkOnCpu(nn.Module):
    """PaperNetwork for one face at a time on a CPU: half the time of the straightforward computation.

    The 7x7 convolution, nine tenths of the work, runs by Winograd filtering. The 4x4 one, which has four output pixels
    at 48 pixels of input, is one matrix product: the libraries' convolutions are made for larger images.
    """

    third_weight: torch.Tensor  # [4 * 4 * in, out]
    third_bias: torch.Tensor  # [out]

    def __init__(self, network: PaperNetwork) -> None:
        super().__init__()
        first, second, third = (layer for layer in network.features if isinstance(layer, nn.Conv2d))
        self.receptive_size = network.receptive_size
        self.first = first
        self.second = WinogradPooledConvolution(second)
        self.kernel = third.kernel_size[0]
        self.register_buffer("third_weight", third.weight.detach().permute(2, 3, 1, 0).flatten(0, 2).contiguous())
        self.register_buffer("third_bias", third.state_dict()["bias"])
        self.embedding = network.embedding

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, D] of preprocessed faces [N, 1, S, S]."""
        values = self.first(faces[:, :, : self.receptive_size, : self.receptive_size])
        values = functional.relu_(functional.max_pool2d(values, 2))
        values = functional.relu_(self.second(values))
        patches = values.permute(0, 2, 3, 1).unfold(1, self.kernel, 1).unfold(2, self.kernel, 1)  # [N, h, w, in, 4, 4]
        batch, height, width = patches.shape[:3]
        rows = patches.permute(0, 1, 2, 4, 5, 3).reshape(batch * height * width, -1)
        values = torch.addmm(self.third_bias, rows, self.third_weight).view(batch, height, width, -1)
        values = functional.relu_(functional.max_pool2d(values.permute(0, 3, 1, 2), 2))
        return self.embedding(values.flatten(1))
