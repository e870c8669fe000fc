"""Averages of weights: along a training, and of finished models."""
from __future__ import annotations

import copy
from dataclasses import replace
from typing import Dict, Sequence, Tuple

import torch
from torch import nn

from siamese_emotion_ros.recognition.artifacts import ModelSpec, StoredModel
from siamese_emotion_ros.recognition.networks import is_quantized


class AveragedNetwork(nn.Module):
    """A copy of a network that follows it slowly: after step t, w' = d w' + (1 - d) w with
    d = min(decay, (1 + t) / (10 + t)).

    The smaller decay of the first steps lets the copy forget the random start. Its weights take no gradient.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    def train(self, mode: bool = True) -> AveragedNetwork:
        """Stay in evaluation mode: an averaged network is never trained."""
        return super().train(False)

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """After step `step` (the first is 1), move towards the weights of `network` and its normalisations' statistics.

        In a network that is being trained, these statistics are of the last few batches only; averaged as the weights
        are, they match them.
        """
        weight = 1.0 - min(self.decay, (1 + step) / (10 + step))
        pairs = list(zip(self.network.state_dict().values(), network.state_dict().values()))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        # One call for all of them: for a GPU, a hundred calls would take longer than the averages.
        torch._foreach_lerp_([mine for mine, _ in floats], [theirs for _, theirs in floats], weight)
        for mine, theirs in pairs:
            if not mine.is_floating_point():
                mine.copy_(theirs)


def mean_weights(models: Sequence[StoredModel]) -> Dict[str, torch.Tensor]:
    """The mean of the weights of models of one network, their heads included (Wortsman et al. 2022, "model soups").

    Counters of batch normalisation are those of the last. ValueError for fewer than two models, for ones of different
    networks or inputs, and for quantized ones, whose integers have no mean.
    """
    if len(models) < 2:
        raise ValueError(f"{len(models)} model: an average is of two or more")
    first = models[0]
    for model in models[1:]:
        if _form(model) != _form(first):
            raise ValueError(
                f"models {first.fingerprint[:12]} and {model.fingerprint[:12]}: one has another network, input or "
                "head; average models of one network"
            )
    if is_quantized(first.spec.architecture):
        raise ValueError(f"{first.spec.architecture} has integer weights: average the models that they were made of")
    means = {}
    for name, array in models[-1].weights.items():
        if array.dtype.kind == "f":
            means[name] = torch.stack([torch.from_numpy(model.weights[name]).float() for model in models]).mean(dim=0)
        else:
            means[name] = torch.from_numpy(array)
    return means


def _form(model: StoredModel) -> Tuple[ModelSpec, Dict[str, Tuple[int, ...]]]:
    """All that models of one network have in common."""
    return replace(model.spec, provenance={}), {name: array.shape for name, array in model.weights.items()}
