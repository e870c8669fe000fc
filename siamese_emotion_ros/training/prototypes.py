"""A classification head in the geometry of k-NN: one prototype a class, on the unit sphere."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Prototypes(nn.Module):
    """Logits -D^2 / 2t + 1/t of the distance D to each class's prototype, all on the unit sphere (= cosine / t).

    What a linear head learns in a direction and a length of its own, this one can only say by distances, so that
    cross-entropy draws the faces of a class together as k-NN wants them (Wang et al. 2017, "NormFace").
    """

    def __init__(self, embedding_dim: int, n_classes: int, temperature: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(functional.normalize(torch.randn(n_classes, embedding_dim), dim=1))
        self.temperature: Tensor
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, embeddings: Tensor) -> Tensor:
        """float32 [N, D] of length 1 -> logits float32 [N, C]."""
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = functional.linear(functional.normalize(embeddings.float()), functional.normalize(self.weight))
            return cosines / self.temperature


def as_linear(weight: Tensor, temperature: Tensor) -> Tensor:
    """The weight [C, D] of a linear head without bias that gives the same logits for embeddings of length 1."""
    return functional.normalize(weight) / temperature
