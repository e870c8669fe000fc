"""Exponential moving average of a network's weights."""
from __future__ import annotations

import copy

import torch
from torch import nn


class AveragedNetwork(nn.Module):
    """A copy of a network that follows it slowly: after step t, w' = d w' + (1 - d) w with
    d = min(decay, (1 + t) / (10 + t)).

    The smaller decay of the first steps lets the copy forget the random start. Its weights take no gradient.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.steps: torch.Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> AveragedNetwork:
        """Stay in evaluation mode: an averaged network is only ever asked."""
        return super().train(False)

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Take one step towards the weights of `network`, and the means and variances of its normalisations.

        Those are of the last few batches in a network that is trained; averaged as the weights are, they fit them.
        """
        steps = int(self.steps) + 1
        self.steps.fill_(steps)
        weight = 1.0 - min(self.decay, (1 + steps) / (10 + steps))
        for mine, theirs in zip(self.network.state_dict().values(), network.state_dict().values()):
            if mine.is_floating_point():
                mine.lerp_(theirs, weight)
            else:
                mine.copy_(theirs)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, D] of preprocessed faces [N, 1, S, S] by the averaged weights."""
        return self.network(faces)
