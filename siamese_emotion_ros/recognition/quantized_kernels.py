"""QuantizedCompactNetwork by torch's quantised operators: products of 8 bits, for which CPUs have instructions."""
from __future__ import annotations

import platform
import warnings
from typing import List

import torch
from torch import nn

from siamese_emotion_ros.recognition.quantized import (
    SIGNED_ZERO,
    QuantizedBlock,
    QuantizedCompactNetwork,
    QuantizedConvolution,
    embed_features,
)

#: Engines that round as the network is defined, and where that was tried. QNNPACK, torch's default on ARM, does not:
#: embeddings differ by 6e-3.
ENGINES = ("x86", "onednn", "fbgemm")
MACHINES = ("x86_64", "AMD64")


def are_available() -> bool:
    """Whether torch's quantised operators are there, with an engine that rounds as the network is defined."""
    known = platform.machine() in MACHINES and torch.backends.quantized.engine in ENGINES
    return known and hasattr(torch, "quantize_per_channel")  # which a future torch will not have


class QuantizedKernels(nn.Module):
    """QuantizedCompactNetwork on a CPU: the same integers.

    torch keeps a unit with every tensor, so here a value has one, where the network itself knows whole numbers only.
    """

    def __init__(self, network: QuantizedCompactNetwork) -> None:
        super().__init__()
        self.input_scale = float(network.input_scale)
        self.stem = _Convolution(network.stem, 1.0, 1.0)
        self.blocks: List[_Block] = []
        unit = 1.0
        for block in network.blocks:
            assert isinstance(block, QuantizedBlock)
            self.blocks.append(_Block(block, unit))
            unit = self.blocks[-1].unit
        self.embedding = network.embedding

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, D] of length 1 of preprocessed faces [N, 1, S, S]."""
        # Rounded here: torch would add the zero point first, and lose the bits that decide near a half.
        whole = (faces * self.input_scale).round_()
        values = self.stem(torch.quantize_per_tensor(whole, 1.0, SIGNED_ZERO, torch.quint8))
        for block in self.blocks:
            values = block(values)
        return embed_features(values.int_repr().float(), self.embedding)


class _Convolution:
    """A QuantizedConvolution of values that stand for `unit` each, to values that stand for `new_unit`."""

    def __init__(self, layer: QuantizedConvolution, unit: float, new_unit: float) -> None:
        units = layer.scale.double() * new_unit / unit
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that torch's way of making such tensors has a successor
            weight = torch.quantize_per_channel(
                layer.weight * units.float()[:, None, None, None], units, torch.zeros(len(units), dtype=torch.long), 0,
                torch.qint8,
            )
        self._packed = torch.ops.quantized.conv2d_prepack(
            weight, layer.bias * (units * unit).float(), [layer.stride] * 2, [layer.padding] * 2, [1, 1], 1
        )
        self._unit = new_unit
        self._signed = layer.signed

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        if self._signed:
            return torch.ops.quantized.conv2d(values, self._packed, self._unit, SIGNED_ZERO)
        return torch.ops.quantized.conv2d_relu(values, self._packed, self._unit, 0)


class _Block:
    """A QuantizedBlock of values that stand for `unit` each, to values that stand for its own `unit`."""

    def __init__(self, block: QuantizedBlock, unit: float) -> None:
        added, kept = (float(scale) for scale in block.scales)
        self.unit = unit / kept if block.shortcut is None else 1.0
        self._first = _Convolution(block.first, unit, 1.0)
        self._second = _Convolution(block.second, 1.0, added * self.unit)
        self._shortcut = None if block.shortcut is None else _Convolution(block.shortcut, unit, kept * self.unit)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        added = self._second(self._first(values))
        kept = values if self._shortcut is None else self._shortcut(values)
        return torch.ops.quantized.add_relu(added, kept, self.unit, 0)
