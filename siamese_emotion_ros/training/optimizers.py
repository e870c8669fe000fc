"""The optimisers, by their names in a configuration."""
from __future__ import annotations

from typing import Any, Dict, Iterable, List

import torch
from torch import Tensor, nn

from siamese_emotion_ros.training.config import ConfigError, OptimizerConfig

#: AdamW takes this share of Muon's learning rate, whose steps do not depend on how large the weights are.
ADAMW_SHARE = 0.1


def make_optimizer(config: OptimizerConfig, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
    """The optimiser that `config` names, over those of `weights` that are trained."""
    trained = [weight for weight in weights if weight.requires_grad]
    if config.name == "muon":
        return Muon(trained, config.lr, config.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
    return kind(trained, lr=config.lr, weight_decay=config.weight_decay)


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for the filters of convolutions, AdamW for all other weights, as one optimiser.

    torch.optim.Muon turns the gradient of a matrix into the nearest orthogonal one, and takes matrices only: filters
    [C, c, h, w] are shown to it as C rows. Weights that are not filters (normalisation, embedding, head) are few; they
    take `ADAMW_SHARE` of the learning rate and no decay.
    """

    def __init__(self, weights: List[Tensor], lr: float, weight_decay: float) -> None:
        """ConfigError for a torch without Muon, or when there are no filters among `weights`."""
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError(f"optimizer.name muon needs torch 2.9 or newer, this is {torch.__version__}: use adamw")
        self._filters = [weight for weight in weights if weight.dim() == 4]
        others = [weight for weight in weights if weight.dim() != 4]
        if not self._filters or not others:
            raise ConfigError("optimizer.name muon is for networks with convolutions and other weights: use adamw")
        groups = [{"params": self._filters, "lr": lr}, {"params": others, "lr": ADAMW_SHARE * lr}]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        # Views, so that a step of a matrix is one of its filters.
        self._matrices = [nn.Parameter(_rows(weight.detach()).view(len(weight), -1)) for weight in self._filters]
        self._parts: Dict[str, torch.optim.Optimizer] = {
            "muon": torch.optim.Muon(self._matrices, lr=lr, weight_decay=weight_decay),
            "adamw": torch.optim.AdamW(others, lr=ADAMW_SHARE * lr, weight_decay=0.0),
        }

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take a step; `closure`, if any, is evaluated before it and its value returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for matrix, weight in zip(self._matrices, self._filters):
            matrix.grad = None if weight.grad is None else _rows(weight.grad).flatten(1)
        for part, group in zip(self._parts.values(), self.param_groups):
            part.param_groups[0]["lr"] = group["lr"]
            part.step()
        return loss

    def state_dict(self) -> Dict[str, Any]:
        """The states of both parts, and the learning rates of the next step."""
        rates = [group["lr"] for group in self.param_groups]
        return {"lr": rates, **{name: part.state_dict() for name, part in self._parts.items()}}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])
        for group, rate in zip(self.param_groups, state_dict["lr"]):
            group["lr"] = rate


def _rows(filters: Tensor) -> Tensor:
    """Filters [C, c, h, w] as [C, h, w, c], which is how they lie in memory: channels last."""
    return filters.permute(0, 2, 3, 1)
