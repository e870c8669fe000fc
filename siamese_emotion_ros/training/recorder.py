"""Keeps a run on disk: checkpoints that a killed run resumes from, the best epoch, and the table of epochs."""
from __future__ import annotations

import csv
import io
import os
import shutil
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import lightning.pytorch as pl
import torch

from siamese_emotion_ros.recognition.whole_files import write_atomically
from siamese_emotion_ros.training.config import TrainingConfig
from siamese_emotion_ros.training.data import BatchLoader
from siamese_emotion_ros.training.module import SiameseModule

LAST, BEST, EPOCHS = "last.ckpt", "best.ckpt", "epochs.csv"


class RunRecorder(pl.Callback):
    """Writes `last.ckpt` every few steps and after every epoch, `best.ckpt` after a better one, and `epochs.csv`.

    A checkpoint is written at moments from which Lightning resumes exactly: after a step that is not the last of its
    epoch, and after an epoch with its validation. Files are replaced whole, so a kill at any moment leaves the one
    before. `request_stop` ends the run at the next such moment.
    """

    def __init__(self, config: TrainingConfig, folder: Path, loader: BatchLoader) -> None:
        self._config = config
        self._folder = folder
        self._loader = loader
        self._stop_requested = False
        #: Whether the run ended because somebody asked, or because its score stopped growing.
        self.interrupted = False
        self.stopped_early = False
        #: One row of figures per epoch, since the beginning of the run.
        self.history: List[Dict[str, Any]] = []
        self.best_score: Optional[float] = None
        self.best_epoch: Optional[int] = None
        self._epoch_loss: Union[float, torch.Tensor] = 0.0  # on the device, so that no step waits for it
        self._epoch_steps = 0
        self._epoch_seconds = 0.0
        self._step_started = 0.0
        self._loading_before = 0.0

    def request_stop(self) -> None:
        """Write a checkpoint at the next moment that allows one, and end the run there."""
        self._stop_requested = True

    def state_dict(self) -> Dict[str, Any]:
        """What a resumed run has to know about its past."""
        return {
            "history": self.history,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "epoch_loss": float(self._epoch_loss),
            "epoch_steps": self._epoch_steps,
            "epoch_seconds": self._epoch_seconds,
        }

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.history = list(state_dict["history"])
        self.best_score = state_dict["best_score"]
        self.best_epoch = state_dict["best_epoch"]
        self._epoch_loss = state_dict["epoch_loss"]
        self._epoch_steps = state_dict["epoch_steps"]
        self._epoch_seconds = state_dict["epoch_seconds"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Tell the loader which process this is; the trainer knows only now."""
        self._loader.rank = trainer.global_rank

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the first step; a resumed run that had stopped early has none."""
        self.stopped_early = trainer.should_stop = self._is_exhausted()
        self._start_clock(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add up the epoch's figures; write a checkpoint when one is due."""
        self._epoch_loss = self._epoch_loss + outputs["loss"].detach()
        self._epoch_steps += 1
        self._epoch_seconds += time.perf_counter() - self._step_started
        self._step_started = time.perf_counter()
        last_of_epoch = batch.step + 1 == len(self._loader)
        if last_of_epoch:
            return
        stop = self._stop_agreed(trainer)
        if stop or (batch.step + 1) % self._config.trainer.checkpoint_steps == 0:
            self._save(trainer, LAST)
        if stop:
            self.interrupted = True
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the validation: a row of epochs.csv, the checkpoints, and whether it goes on."""
        if self.interrupted:
            return
        assert isinstance(pl_module, SiameseModule)
        scores = dict(pl_module.scores)
        pl_module.scores = {}
        self.history.append(self._row(trainer, pl_module, scores))
        self._epoch_loss, self._epoch_steps, self._epoch_seconds = 0.0, 0, 0.0
        score = scores.get(self._config.validation.monitor)
        better = score is not None and (self.best_score is None or score > self.best_score)
        if better:
            self.best_score, self.best_epoch = score, trainer.current_epoch
        # The best first: a kill in between repeats this epoch and writes the same one again.
        self._save(trainer, LAST, also=BEST if better else None)
        if trainer.is_global_zero:
            write_atomically(self._folder / EPOCHS, _csv(self.history))
        if self._is_exhausted():
            self.stopped_early = True
            trainer.should_stop = True
        if self._stop_agreed(trainer):
            self.interrupted = trainer.current_epoch + 1 < self._config.trainer.epochs and not self.stopped_early
            trainer.should_stop = True
        self._start_clock(pl_module)

    def _row(self, trainer: pl.Trainer, module: SiameseModule, scores: Dict[str, float]) -> Dict[str, Any]:
        seconds = max(self._epoch_seconds, 1e-9)
        loading = self._loader.seconds + module.augmentation_seconds - self._loading_before
        return {
            "epoch": trainer.current_epoch,
            "train_loss": float(self._epoch_loss) / max(self._epoch_steps, 1),
            **{f"val_{name}": value for name, value in scores.items()},
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "images_per_second": round(
                self._epoch_steps * self._config.sampling.batch_size * trainer.world_size / seconds, 1
            ),
            "loader_share": round(loading / seconds, 4),
            "seconds": round(seconds, 1),
        }

    def _start_clock(self, module: pl.LightningModule) -> None:
        assert isinstance(module, SiameseModule)
        self._loading_before = self._loader.seconds + module.augmentation_seconds
        self._step_started = time.perf_counter()

    def _is_exhausted(self) -> bool:
        """Whether the last `patience` validations brought no better score."""
        patience = self._config.validation.patience
        if patience is None or self.best_epoch is None:
            return False
        name = f"val_{self._config.validation.monitor}"
        return sum(name in row for row in self.history if row["epoch"] > self.best_epoch) >= patience

    def _stop_agreed(self, trainer: pl.Trainer) -> bool:
        """Whether any process was asked to stop: all of them must stop after the same step."""
        if trainer.world_size == 1:
            return self._stop_requested
        return bool(trainer.strategy.reduce_boolean_decision(self._stop_requested, all=False))

    def _save(self, trainer: pl.Trainer, name: str, also: Optional[str] = None) -> None:
        assert isinstance(trainer.lightning_module, SiameseModule)
        trainer.lightning_module.check_losses()
        partial = self._folder / f".{name}.partial"
        trainer.save_checkpoint(partial, weights_only=False)  # with the optimiser's state
        if not trainer.is_global_zero:
            return
        if also is not None:
            copied = self._folder / f".{also}.partial"
            shutil.copyfile(partial, copied)
            os.replace(copied, self._folder / also)
        os.replace(partial, self._folder / name)


def _csv(rows: List[Dict[str, Any]]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
