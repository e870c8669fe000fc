"""The LightningModule: one network that sees all faces of a batch (the siamese branches share every weight)."""
from __future__ import annotations

import math
import time
from typing import Any, Dict, List, Optional, Tuple

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.training.augmentation import Augmentation, generator_for, mix
from siamese_emotion_ros.training.averaging import AveragedNetwork
from siamese_emotion_ros.training.config import ConfigError, OptimizerConfig, TrainingConfig
from siamese_emotion_ros.training.data import Batch, Probe, resized, scale
from siamese_emotion_ros.training.distillation import Teachers
from siamese_emotion_ros.training.losses import make_loss
from siamese_emotion_ros.training.optimizers import make_optimizer
from siamese_emotion_ros.training.prototypes import Prototypes
from siamese_emotion_ros.training.scoring import neighbor_scores

#: Losses are checked this many steps at a time: checking each one would keep a GPU waiting for its next step.
CHECKED_TOGETHER = 25


class DivergedError(ValueError):
    """The loss of a run is no longer finite; the message says when, and what to change."""


class SiameseModule(pl.LightningModule):
    """Augments, embeds and compares the faces of a batch; judges itself by k-NN after an epoch.

    All randomness of a step comes from (seed, epoch, step, rank), never from the state of a generator: a resumed step
    is the same as an unbroken run's. Distances are taken among the faces of one process; a distributed run averages
    the gradients of its processes.
    """

    def __init__(self, config: TrainingConfig, rows_per_tuple: int, total_steps: int) -> None:
        super().__init__()
        self.config = config
        network = build_network(config.network.architecture, config.network.input_size, config.network.embedding_dim)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.distance_loss = make_loss(config.loss)
        self.head: Optional[nn.Module] = None
        if config.loss.cross_entropy > 0:
            self.head = _head(config)
        #: The models that are asked about each batch; None where the configuration names none.
        self.teachers: Optional[Teachers] = None
        asked = config.distillation
        if asked.teachers:
            paths = [path.strip() for path in asked.teachers.split(",")]
            self.teachers = Teachers(paths, config.classes, asked.mirror)
        self.averaged: Optional[AveragedNetwork] = None
        self.averaged_head: Optional[AveragedNetwork] = None
        self._augment = Augmentation(config.augmentation)
        self._rows_per_tuple = rows_per_tuple
        self._total_steps = total_steps
        self._probed: Dict[bool, List[Tuple[np.ndarray, np.ndarray]]] = {True: [], False: []}
        self._unchecked: List[Tuple[Tensor, int, int]] = []
        #: Scores of the last validation.
        self.scores: Dict[str, float] = {}
        #: Seconds spent on augmentation since the start.
        self.augmentation_seconds = 0.0

    def start_averaging(self) -> None:
        """Make the averaged copies, from the weights as they are now, when the configuration asks for them."""
        decay = self.config.trainer.ema_decay
        if decay is not None:
            self.averaged = AveragedNetwork(self.network, decay)
            if self.head is not None:
                self.averaged_head = AveragedNetwork(self.head, decay)

    def on_save_checkpoint(self, checkpoint: Dict[str, Any]) -> None:
        """Note which teachers the run learns from."""
        checkpoint["teachers"] = [] if self.teachers is None else self.teachers.fingerprints

    def on_load_checkpoint(self, checkpoint: Dict[str, Any]) -> None:
        """ConfigError when the file of a teacher was replaced since the run was started."""
        teachers = [] if self.teachers is None else self.teachers.fingerprints
        # Checkpoints did not always name them.
        if checkpoint.get("teachers", teachers) != teachers:
            raise ConfigError(
                f"the run was started with other teachers than distillation.teachers "
                f"{self.config.distillation.teachers} are now: put the same model files there again, or start a new run"
            )

    @property
    def exported_network(self) -> nn.Module:
        """The network that is validated and written: the averaged one where there is one."""
        return self.network if self.averaged is None else self.averaged.network

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        started = time.perf_counter()
        seed = self.config.trainer.seed
        targets = batch.labels if batch.soft_labels is None else batch.soft_labels
        with torch.autocast(batch.faces.device.type, enabled=False):  # half precision has too few greys
            faces, targets = self._changed(batch, targets)
            inputs = self._inputs(faces)
        self.augmentation_seconds += time.perf_counter() - started
        # Layers that draw random numbers themselves (dropout) have to resume exactly, too.
        torch.manual_seed(seed + 1_000_003 * batch.epoch + 97 * batch.step + self.global_rank)
        embeddings = self.network(inputs)
        loss = embeddings.new_zeros((), dtype=torch.float32)
        if self.config.loss.weight > 0:
            labels = targets if self.distance_loss.takes_soft_labels else batch.labels
            loss = self.config.loss.weight * self.distance_loss(embeddings, labels, self._rows(batch))
        if self.head is not None:
            if self.teachers is not None:
                targets = torch.lerp(
                    self._probabilities(targets), self.teachers(faces), self.config.distillation.weight
                )
            loss = loss + self.config.loss.cross_entropy * F.cross_entropy(self.head(embeddings).float(), targets)
        self._unchecked.append((loss.detach(), batch.epoch, batch.step))
        if len(self._unchecked) == CHECKED_TOGETHER:
            self.check_losses()
        self.log("train_loss", loss.detach(), prog_bar=True, batch_size=len(faces))
        return loss

    def _inputs(self, faces: Tensor) -> Tensor:
        """What the network sees of faces [N, 1, S, S] in 0..255."""
        network = self.config.network
        inputs = scale(resized(faces, network.input_size), network.scaling)
        return inputs.contiguous(memory_format=torch.channels_last)

    def check_losses(self) -> None:
        """Raise DivergedError when the loss of any step since the last check is not finite."""
        unchecked, self._unchecked = self._unchecked, []
        if not unchecked:
            return
        for loss, (_, epoch, step) in zip(torch.stack([loss for loss, _, _ in unchecked]).tolist(), unchecked):
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the loss is {loss} in epoch {epoch}, step {step}: start again with a lower optimizer.lr, "
                    "with optimizer.gradient_clip or with trainer.precision=32-true"
                )

    def _changed(self, batch: Batch, targets: Tensor) -> Tuple[Tensor, Tensor]:
        """The faces of a batch augmented, float32 in 0..255, and `targets` (int64 [N] or float32 [N, C]) to match."""
        config = self.config.augmentation
        numbers = (self.config.trainer.seed, batch.epoch, batch.step, self.global_rank)
        generator = generator_for(batch.faces.device, *numbers)
        faces = batch.faces
        # Drawn on the host and not by the generator: a number drawn on the device would have to be waited for.
        if config.finer and np.random.default_rng(numbers).random() < config.finer:
            faces = resized(faces, self.config.network.input_size)
        faces = self._augment(faces, generator)
        if config.mixup:
            faces, targets = mix(faces, self._probabilities(targets), config.mixup, generator)
        return faces, targets

    def _probabilities(self, targets: Tensor) -> Tensor:
        """Labels int64 [N] as one-hot float32 [N, C]; soft labels float32 [N, C] as they are."""
        return F.one_hot(targets, len(self.config.classes)).float() if targets.dim() == 1 else targets

    def _rows(self, batch: Batch) -> Optional[Tensor]:
        if self._rows_per_tuple == 1:
            return None
        return torch.arange(len(batch.labels), device=batch.labels.device).reshape(-1, self._rows_per_tuple)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, then move the averaged weights."""
        super().optimizer_step(*args, **kwargs)
        step = self.trainer.global_step + 1
        if self.averaged is not None:
            self.averaged.follow(self.network, step)
        if self.averaged_head is not None and self.head is not None:
            self.averaged_head.follow(self.head, step)

    def on_validation_epoch_start(self) -> None:
        """Check the losses before the network is judged, and forget the embeddings of the last validation."""
        self.check_losses()
        self._probed = {True: [], False: []}

    def validation_step(self, probe: Probe, batch_idx: int) -> None:
        """Embed a part of the anchors or queries."""
        embeddings = self.exported_network(self._inputs(probe.faces)).float().cpu().numpy()
        self._probed[probe.anchors].append((embeddings, probe.labels.cpu().numpy()))

    def on_validation_epoch_end(self) -> None:
        """Score the queries' k-NN among the anchors. All processes use the first one's scores, and so decide alike."""
        (anchors, anchor_labels), (queries, query_labels) = (
            [np.concatenate(column) for column in zip(*self._probed[kind])] for kind in (True, False)
        )
        n_classes = len(self.config.classes)
        scores = neighbor_scores(anchors, anchor_labels, queries, query_labels, self.config.validation.k, n_classes)
        self.scores = self.trainer.strategy.broadcast(scores)
        self._probed = {True: [], False: []}
        for name, value in self.scores.items():
            # The bar has room for one of them; the line after the epoch has them all.
            self.log(f"val_{name}", value, prog_bar=name == "top1", rank_zero_only=True)

    def configure_optimizers(self) -> Any:
        """The optimiser, and its learning rate over the steps of the whole run."""
        config = self.config.optimizer
        optimizer = make_optimizer(config, self.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(config, step, self._total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _head(config: TrainingConfig) -> nn.Module:
    if config.loss.head == "prototypes":
        return Prototypes(config.network.embedding_dim, len(config.classes), config.loss.temperature)
    return nn.Linear(config.network.embedding_dim, len(config.classes))


def lr_factor(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """The learning rate of `step` (from 0) as a share of config.lr: a linear rise, then constant or half a cosine."""
    rise = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "constant":
        return rise
    return rise * 0.5 * (1 + math.cos(math.pi * min(step / max(total_steps, 1), 1.0)))
