"""The compact network in integers of 8 bits: a third of the time on a CPU, and the same integers from every library.

Values between convolutions are integers of 8 bits, weights of 7 (so that no CPU's 16-bit sums of two products
overflow), sums of 32. What makes a sum the next value is a power of two, which is exact in every order of operations:
torch in float32 on any device, torch's integer kernels and ONNX Runtime's round the same numbers to the same integers.
With free factors one value in some 100,000 falls on the other side of a half, and no two libraries agree.
"""
from __future__ import annotations

from typing import Dict, Optional

import torch
from torch import nn
from torch.nn import functional

from siamese_emotion_ros.recognition.compact import CompactNetwork
from siamese_emotion_ros.recognition.embedding_network import EmbeddingNetwork

#: Largest weight: the products of two of them with values of 255 add up within 16 bits, as AVX2 adds them.
LARGEST_WEIGHT = 64

#: Largest bias: added to sums of products, it stays a whole number in float32.
LARGEST_BIAS = 1 << 23

#: Scales are from 2**-30 to 2**20: beyond, libraries' own sums overflow, each in its way.
SMALLEST_EXPONENT, LARGEST_EXPONENT = -30, 20

#: What 8 bits hold: values after a ReLU, and values with a sign.
UNSIGNED, SIGNED = (0, 255), (-128, 127)

#: What stands for 0 where a library keeps values with a sign without one.
SIGNED_ZERO = 128


class QuantizedConvolution(nn.Module):
    """round((weight * values + bias) * scale), half to even, held to 8 bits; to UNSIGNED ones, it is a ReLU as well.

    Beyond the edges values are 0.

    Buffers are float32; `weight` and `bias` hold whole numbers, `scale` a power of two for each channel of the output.
    """

    weight: torch.Tensor  # [out, in, k, k]
    bias: torch.Tensor  # [out]
    scale: torch.Tensor  # [out]

    def __init__(self, channels: int, width: int, kernel: int, stride: int, padding: int, signed: bool) -> None:
        super().__init__()
        self.stride, self.padding, self.signed = stride, padding, signed
        self.register_buffer("weight", torch.zeros(width, channels, kernel, kernel))
        self.register_buffer("bias", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Whole numbers float32 [N, in, H, W] -> [N, out, H / stride, W / stride]."""
        sums = functional.conv2d(values, self.weight, self.bias, self.stride, self.padding)
        # Winograd's algorithm or an FFT may miss the whole number by a little.
        return (sums.round_() * self.scale[:, None, None]).round_().clamp_(*(SIGNED if self.signed else UNSIGNED))


class QuantizedBlock(nn.Module):
    """A ResidualBlock: two convolutions, and a shortcut that is the input itself or a convolution of it."""

    scales: torch.Tensor  # [2], powers of two: of the second convolution and of the shortcut in their sum

    def __init__(self, channels: int, width: int, halve: bool) -> None:
        super().__init__()
        self.first = QuantizedConvolution(channels, width, 3, 2 if halve else 1, 1, signed=False)
        self.second = QuantizedConvolution(width, width, 3, 1, 1, signed=True)
        self.shortcut: Optional[QuantizedConvolution] = None
        if halve:  # the mean of 2x2 positions and the projection in one
            self.shortcut = QuantizedConvolution(channels, width, 2, 2, 0, signed=True)
        elif channels != width:
            self.shortcut = QuantizedConvolution(channels, width, 1, 1, 0, signed=True)
        self.register_buffer("scales", torch.ones(2))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Whole numbers float32 [N, C, H, W] -> [N, width, H, W], or half the sides."""
        added = self.second(self.first(values)) * self.scales[0]
        kept = values if self.shortcut is None else self.shortcut(values)
        return (added + kept * self.scales[1]).round_().clamp_(*UNSIGNED)


class QuantizedCompactNetwork(EmbeddingNetwork):
    """CompactNetwork in integers; training.quantization makes one of a trained network.

    forward() is the definition, in float32 on any device. for_cpu() and onnx_model() are the same mapping by the
    integer instructions of a CPU.
    """

    unit_length = True
    #: Computes in float32 whatever precision is asked for: sums of products are too large for float16.
    quantized = True
    stages = CompactNetwork.stages
    input_scale: torch.Tensor  # [], a power of two: preprocessed faces times this are rounded to whole numbers

    def __init__(self, input_size: int = 48, embedding_dim: int = 128) -> None:
        super().__init__()
        CompactNetwork.check_input_size(input_size)
        self.input_size = input_size
        self.register_buffer("input_scale", torch.ones(()))
        channels = self.stages[0][0]
        # A convolution 3x3 of the face folded 2x2 is one 6x6 of the face.
        self.stem = QuantizedConvolution(1, channels, 6, 2, 2, signed=False)
        self.blocks = nn.ModuleList()
        for number, (width, count) in enumerate(self.stages):
            for block in range(count):
                self.blocks.append(QuantizedBlock(channels, width, halve=number > 0 and block == 0))
                channels = width
        self.embedding = nn.Linear(channels, embedding_dim)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, D] of length 1 of preprocessed faces [N, 1, S, S]."""
        with torch.autocast(faces.device.type, enabled=False):
            values = self.stem((faces.float() * self.input_scale).round_().clamp_(*SIGNED))
            for block in self.blocks:
                values = block(values)
            return embed_features(values, self.embedding)

    def integer_state(self) -> Dict[str, torch.Tensor]:
        """The state dict as files keep it: weights int8, biases int32."""
        state = self.state_dict()
        for name, layer in self.named_modules():
            if isinstance(layer, QuantizedConvolution):
                state[f"{name}.weight"] = layer.weight.to(torch.int8)
                state[f"{name}.bias"] = layer.bias.to(torch.int32)
        return state

    def check_weights(self) -> None:
        """ValueError for weights from a file that are not what this network computes with."""
        for name, layer in self.named_modules():
            if not isinstance(layer, QuantizedConvolution):
                continue
            for kind, values, largest in (("weight", layer.weight, LARGEST_WEIGHT), ("bias", layer.bias, LARGEST_BIAS)):
                if bool((values != values.round()).any()) or float(values.abs().max()) > largest:
                    raise ValueError(f"{name}.{kind} holds other than whole numbers from {-largest} to {largest}")
        for name, values in self.named_buffers():
            if name.rpartition(".")[2] in ("scale", "scales", "input_scale"):
                mantissa, exponent = torch.frexp(values)  # a half times two to the exponent
                smallest, largest = int(exponent.min()) - 1, int(exponent.max()) - 1
                if bool((mantissa != 0.5).any()) or smallest < SMALLEST_EXPONENT or largest > LARGEST_EXPONENT:
                    raise ValueError(
                        f"{name} holds other than powers of two from 2**{SMALLEST_EXPONENT} to 2**{LARGEST_EXPONENT}"
                    )

    def for_cpu(self) -> nn.Module:
        """The same by torch's integer kernels, where this torch has ones that round alike; else this network."""
        from siamese_emotion_ros.recognition import quantized_kernels

        return quantized_kernels.QuantizedKernels(self) if quantized_kernels.are_available() else self

    def onnx_model(self, opset: int, faces: str, embeddings: str) -> bytes:
        """The same as an ONNX model, from input `faces` float32 [N, 1, S, S] to output `embeddings` float32 [N, D]."""
        from siamese_emotion_ros.recognition.quantized_onnx import onnx_model

        return onnx_model(self, opset, faces, embeddings)


def embed_features(values: torch.Tensor, embedding: nn.Linear) -> torch.Tensor:
    """Embeddings [N, D] of length 1 of what the last block gives, float32 [N, C, h, w]."""
    return functional.normalize(embedding(values.mean(dim=(2, 3))), dim=1)
