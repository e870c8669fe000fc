"""Turns a trained compact network into one of integers, by what passes through it when it sees faces; and back."""
from __future__ import annotations

import math
from typing import Callable, NamedTuple, Optional, Tuple

import torch
from torch import nn
from torch.nn import functional

from siamese_emotion_ros.recognition.compact import CompactNetwork, ResidualBlock
from siamese_emotion_ros.recognition.quantized import (
    LARGEST_BIAS,
    LARGEST_WEIGHT,
    SIGNED,
    SMALLEST_EXPONENT,
    UNSIGNED,
    QuantizedBlock,
    QuantizedCompactNetwork,
    QuantizedConvolution,
)

#: Units that are tried for a tensor: the one that clips nothing, half of it, a quarter...
TRIED_UNITS = 4

#: At most about this many values of a tensor decide which unit is best.
JUDGED_VALUES = 1_000_000

#: What whole numbers between layers stand for in a network to train on from: anything would do, near 1 trains well.
VALUE_UNIT = 1 / 32

#: Called with (done, total) blocks.
Progress = Callable[[int, int], None]


class Signal(NamedTuple):
    """The same values twice: as the trained network has them, and as whole numbers, each of which stands for `unit`."""

    exact: torch.Tensor
    whole: torch.Tensor
    unit: float


@torch.no_grad()
def quantize(
    network: CompactNetwork, faces: torch.Tensor, progress: Optional[Progress] = None
) -> QuantizedCompactNetwork:
    """The network of integers that is nearest to a trained one on preprocessed faces, float32 [N, 1, S, S].

    Layer by layer: units are the powers of two with the least squared error, and each bias takes up the mean error of
    its channel, that of the layers before it included (Nagel et al. 2019, arXiv:1906.04721). 256 faces are enough.
    ValueError for faces that are all blank, or weights that no such integers stand for.
    """
    if not float(faces.abs().max()) > 0:
        raise ValueError("the faces are blank: give ones with something to see")
    folded = network.for_cpu()
    features, embedding = folded.get_submodule("features"), folded.get_submodule("embedding")
    assert isinstance(features, nn.Sequential) and isinstance(embedding, nn.Linear)
    made = QuantizedCompactNetwork(faces.shape[-1], embedding.out_features).eval().requires_grad_(False)

    unit = best_unit(faces, SIGNED)
    made.input_scale.fill_(1 / unit)
    signal = Signal(faces, (faces / unit).round_().clamp_(*SIGNED), unit)
    stem = _convolution(features[1])
    signal = _fill(made.stem, functional.pixel_shuffle(stem.weight, 2), stem.bias, signal)
    sources = [layer for layer in features if isinstance(layer, ResidualBlock)]
    for done, (block, source) in enumerate(zip(made.blocks, sources), start=1):
        assert isinstance(block, QuantizedBlock)
        signal = _fill_block(block, source, signal)
        if progress is not None:
            progress(done, len(sources))
    made.embedding.weight.copy_(embedding.weight * signal.unit)
    error = signal.exact.mean(dim=(0, 2, 3)) - signal.whole.mean(dim=(0, 2, 3)) * signal.unit
    made.embedding.bias.copy_(embedding.bias + embedding.weight @ error)
    made.check_weights()
    return made


@torch.no_grad()
def dequantize(network: QuantizedCompactNetwork, faces: torch.Tensor) -> CompactNetwork:
    """A network to continue training: what the integers stand for, with the statistics of preprocessed `faces`."""
    made = CompactNetwork(network.input_size, network.embedding.out_features).eval()
    unit = VALUE_UNIT
    _restore(made.features[1:3], network.stem, 1 / float(network.input_scale), unit)
    targets = [layer for layer in made.features if isinstance(layer, ResidualBlock)]
    for block, target in zip(network.blocks, targets):
        assert isinstance(block, QuantizedBlock)
        added, kept = (float(scale) for scale in block.scales)
        new_unit = unit / kept if block.shortcut is None else VALUE_UNIT
        _restore(target.first, block.first, unit, VALUE_UNIT)
        _restore(target.second, block.second, VALUE_UNIT, added * new_unit)
        if block.shortcut is not None:
            _restore(target.shortcut.get_submodule("projection"), block.shortcut, unit, kept * new_unit)
        unit = new_unit
    made.embedding.weight.copy_(network.embedding.weight / unit)
    made.embedding.bias.copy_(network.embedding.bias)
    _normalise_as(made, faces)
    return made


def _normalise_as(network: CompactNetwork, faces: torch.Tensor) -> None:
    """Give normalisations that change nothing the statistics of `faces`; the network stays the same mapping.

    In training a normalisation uses its batch's statistics: had it been stored with others, the first step would
    scramble everything.
    """

    def adopt(normalisation: nn.Module, inputs: Tuple[torch.Tensor, ...]) -> None:
        state = normalisation.state_dict()
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), unbiased=False)
        state["running_mean"].copy_(mean)
        state["running_var"].copy_(variance)
        state["weight"].copy_((variance + normalisation.eps).sqrt())  # type: ignore[arg-type, operator]
        state["bias"].add_(mean)

    hooks = [
        layer.register_forward_pre_hook(adopt) for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)
    ]
    network(faces)
    for hook in hooks:
        hook.remove()


def _fill_block(block: QuantizedBlock, source: ResidualBlock, signal: Signal) -> Signal:
    """Fill a block; what it makes of `signal`."""
    first, second = _convolution(source.first), _convolution(source.second)
    added = _fill(block.second, second.weight, second.bias, _fill(block.first, first.weight, first.bias, signal))
    kept = signal
    if block.shortcut is not None:
        projection = _convolution(source.shortcut[-1])
        size = block.shortcut.weight.shape[-1]
        kept = _fill(block.shortcut, projection.weight.expand(-1, -1, size, size) / size**2, projection.bias, signal)
    exact = functional.relu(added.exact + kept.exact)
    unit = best_unit(exact, UNSIGNED)
    block.scales.copy_(torch.tensor([added.unit / unit, kept.unit / unit]))
    sums = added.whole * block.scales[0] + kept.whole * block.scales[1]
    return Signal(exact, sums.round_().clamp_(*UNSIGNED), unit)


def _fill(
    layer: QuantizedConvolution, weight: torch.Tensor, bias: Optional[torch.Tensor], signal: Signal
) -> Signal:
    """Fill a convolution of integers with trained weights [out, in, k, k]; what it makes of `signal`."""
    exact = functional.conv2d(signal.exact, weight, bias, layer.stride, layer.padding)
    units = torch.tensor([best_unit(taps, (-LARGEST_WEIGHT, LARGEST_WEIGHT)) for taps in weight])
    # A channel of hardly any weight keeps a bias that fits.
    coarse = exact.mean(dim=(0, 2, 3)).abs() / (signal.unit * LARGEST_BIAS / 2)
    units = torch.maximum(units, coarse.log2().ceil().exp2())
    layer.weight.copy_((weight / units[:, None, None, None]).round_().clamp_(-LARGEST_WEIGHT, LARGEST_WEIGHT))
    sums = functional.conv2d(signal.whole, layer.weight, None, layer.stride, layer.padding)
    units *= signal.unit
    layer.bias.copy_(((exact.mean(dim=(0, 2, 3)) - sums.mean(dim=(0, 2, 3)) * units) / units).round_())
    if not layer.signed:
        functional.relu_(exact)
    unit = best_unit(exact, SIGNED if layer.signed else UNSIGNED)
    layer.scale.copy_((units / unit).clamp_min_(2.0**SMALLEST_EXPONENT))
    return Signal(exact, layer(signal.whole), unit)


def best_unit(values: torch.Tensor, limits: Tuple[int, int]) -> float:
    """The power of two for which `values`, rounded to multiples of it and held to `limits`, change least."""
    values = values.flatten()[:: 1 + values.numel() // JUDGED_VALUES]
    low, high = limits
    reach = max(float(values.max()) / high, float(values.min()) / low if low else 0.0, 2.0**-30)
    coarsest = 2.0 ** math.ceil(math.log2(reach))

    def error(unit: float) -> float:
        return float(((values / unit).round_().clamp_(low, high) * unit - values).square_().mean())

    return min((coarsest / 2**halvings for halvings in range(TRIED_UNITS)), key=error)


def _restore(pair: nn.Module, layer: QuantizedConvolution, unit: float, new_unit: float) -> None:
    """Fill a convolution and its normalisation with what `layer` does to values of `unit`, making `new_unit`."""
    assert isinstance(pair, nn.Sequential)
    convolution, normalisation = pair
    assert isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
    weight = layer.weight * (layer.scale * (new_unit / unit))[:, None, None, None]
    kernel = convolution.weight.shape[-1]
    if weight.shape[1] < convolution.weight.shape[1]:
        weight = functional.pixel_unshuffle(weight, 2)
    elif weight.shape[-1] > kernel:  # the mean of 2x2 positions was taken into the projection
        weight = weight.sum(dim=(2, 3), keepdim=True)
    convolution.weight.copy_(weight)
    state = normalisation.state_dict()
    state["running_var"].fill_(1 - normalisation.eps)
    state["weight"].fill_(1.0)  # a block's last one starts at 0
    state["bias"].copy_(layer.bias * layer.scale * new_unit)


def _convolution(folded: nn.Module) -> nn.Conv2d:
    """The one convolution that a convolution and its normalisation were made."""
    layer = folded[0] if isinstance(folded, nn.Sequential) else folded
    assert isinstance(layer, nn.Conv2d)
    return layer
