"""The compact network: a small residual network whose embeddings lie on the unit sphere."""
from __future__ import annotations

import copy
from typing import List, Tuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from siamese_emotion_ros.recognition.embedding_network import EmbeddingNetwork


class CompactNetwork(EmbeddingNetwork):
    """57 million multiplications a face of 48 pixels, 13 convolutions deep.

    The face is folded 2x2 into four channels, which keeps every pixel at a quarter of the positions. Stages of residual
    blocks (He et al. 2016) follow; where a stage halves the side, the shortcut averages before it projects, so that no
    pixel is skipped (He et al. 2019, "ResNet-D"). The mean over positions is projected to an embedding of length 1.
    """

    unit_length = True
    #: Channels and residual blocks of each stage; every stage after the first halves the side.
    stages: Tuple[Tuple[int, int], ...] = ((32, 1), (64, 2), (128, 2), (256, 1))

    def __init__(self, input_size: int = 48, embedding_dim: int = 128) -> None:
        super().__init__()
        self.check_input_size(input_size)
        channels = self.stages[0][0]
        layers: List[nn.Module] = [nn.PixelUnshuffle(2), *_convolution(4, channels, 3), nn.ReLU(inplace=True)]
        for number, (width, blocks) in enumerate(self.stages):
            for block in range(blocks):
                layers.append(ResidualBlock(channels, width, halve=number > 0 and block == 0))
                channels = width
        self.features = nn.Sequential(*layers)
        self.embedding = nn.Linear(channels, embedding_dim)
        if self.embedding.weight.is_meta:
            return  # torch imports its compiler, which takes seconds, to draw a normal that has no memory
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        for layer in self.modules():
            if isinstance(layer, ResidualBlock):
                # A block starts as its shortcut: the first steps train a shallow network.
                nn.init.zeros_(layer.second.get_submodule("1").get_parameter("weight"))

    @classmethod
    def check_input_size(cls, input_size: int) -> None:
        """ValueError for a side that the stages cannot halve."""
        # Folded, then halved by every stage but the first: an odd side on the way would leave a block's convolution one
        # position more than its shortcut.
        multiple = 2 ** len(cls.stages)
        if input_size % multiple or input_size < 32:
            raise ValueError(
                f"input_size {input_size} does not suit the compact network: expected a multiple of {multiple} from 32"
            )

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, D] of length 1 of preprocessed faces [N, 1, S, S]."""
        return functional.normalize(self.embedding(self.features(faces).mean(dim=(2, 3))), dim=1)

    def for_cpu(self) -> nn.Module:
        """The same mapping for inference: every batch normalisation folded into the convolution before it."""
        return _folded(copy.deepcopy(self).eval())


class WideCompactNetwork(CompactNetwork):
    """The compact network with half as many channels again, 128 million multiplications: to teach it, off the robot."""

    stages = ((48, 1), (96, 2), (192, 2), (384, 1))


class LargeCompactNetwork(CompactNetwork):
    """The compact network with twice the channels, 0.9 billion multiplications at 96 pixels: to teach it, on a GPU."""

    stages = ((64, 1), (128, 2), (256, 2), (512, 1))


class ResidualBlock(nn.Module):
    """relu(shortcut(x) + conv(relu(conv(x)))), 3x3, each convolution batch-normalised."""

    def __init__(self, channels: int, width: int, halve: bool) -> None:
        super().__init__()
        self.first = _convolution(channels, width, 3, stride=2 if halve else 1)
        self.second = _convolution(width, width, 3)
        self.shortcut = nn.Sequential()
        if halve:
            self.shortcut.add_module("mean", nn.AvgPool2d(2))
        if channels != width:
            self.shortcut.add_module("projection", _convolution(channels, width, 1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> [N, width, H, W], or half the sides."""
        added = self.second(functional.relu(self.first(values)))
        return functional.relu(added + self.shortcut(values))


def _folded(module: nn.Module) -> nn.Module:
    """`module` with each pair of a convolution and its normalisation, wherever it stands, made one convolution."""
    if isinstance(module, nn.Sequential):
        layers: List[nn.Module] = []
        for layer in module:
            if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
                layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
            else:
                layers.append(_folded(layer))
        return nn.Sequential(*layers)
    for name, child in module.named_children():
        setattr(module, name, _folded(child))
    return module


def _convolution(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(width)
    )
