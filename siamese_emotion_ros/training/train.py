"""One training run, from data in memory to model.safetensors: start, stop, resume."""
from __future__ import annotations

import contextlib
import inspect
import logging
import os
import signal
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional

import lightning
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, LambdaCallback, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_model
from siamese_emotion_ros.training.config import ConfigError, TrainingConfig
from siamese_emotion_ros.training.config_file import differences, is_written, read_config, write_config
from siamese_emotion_ros.training.data import BatchLoader, ProbeLoader, TrainingData
from siamese_emotion_ros.training.module import SiameseModule
from siamese_emotion_ros.training.prototypes import as_linear
from siamese_emotion_ros.training.recorder import BEST, LAST, RunRecorder
from siamese_emotion_ros.training.sampling import BatchSampler
from siamese_emotion_ros.training.transfer import carry_over, carry_over_head

MODEL, CONFIG = "model.safetensors", "config.yaml"

#: About how many training faces set the normalisation statistics of a network that starts from a quantized one.
NORMALISED_FACES = 256


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended: its model file (None when it stopped before there was one) and its figures.

    finished is False when it was interrupted and can be resumed; history has one row of figures per epoch.
    """

    model: Optional[Path]
    fingerprint: Optional[str]
    finished: bool
    best_epoch: Optional[int]
    best_score: Optional[float]
    history: List[Dict[str, Any]]


def train(
    config: TrainingConfig, data: TrainingData, folder: Path, resume: bool = False, progress_bar: bool = True
) -> TrainingResult:
    """Train as `config` says and write model.safetensors, config.yaml, epochs.csv and checkpoints into `folder`.

    With `resume`, continues from the folder's last checkpoint; on a CPU, with the same number of threads, the result is
    then the same, bit for bit, as that of a run that was never stopped. Ctrl-C or TERM, to any of its processes, ends
    the run after the current step with a checkpoint and the best model so far; a second Ctrl-C ends it at once. Raises
    ConfigError when `folder` holds another run.
    """
    checkpoint = open_run(config, folder, resume)
    pl.seed_everything(config.trainer.seed, verbose=False)
    world_size = config.trainer.devices * config.trainer.num_nodes
    labels = data.labels.numpy()[data.train]
    sampler = BatchSampler(labels, config.sampling, config.trainer.seed, world_size, data.classes)
    loader = BatchLoader(data, sampler, pinned=config.trainer.accelerator != "cpu" and torch.cuda.is_available())
    module = SiameseModule(config, sampler.rows_per_tuple, sampler.steps * config.trainer.epochs)
    provenance = dict(data.provenance)
    if module.teachers is not None:
        provenance["teachers"] = ", ".join(module.teachers.fingerprints)
    if config.network.init_from is not None and checkpoint is None:
        some = data.faces[data.train[:: 1 + len(data.train) // NORMALISED_FACES]]
        fresh = carry_over(Path(config.network.init_from), module.network, config.network, some)
        if fresh:
            rank_zero_info(f"not in {config.network.init_from}, and so learned from the start: {', '.join(fresh)}")
        if module.head is not None:
            unknown = carry_over_head(Path(config.network.init_from), module.head, config.classes)
            if unknown:
                rank_zero_info(
                    f"not in the head of {config.network.init_from}, and so learned from the start: "
                    f"{', '.join(unknown)}"
                )
    module.start_averaging()
    recorder = RunRecorder(config, folder, loader)
    validation = config.validation
    probes = ProbeLoader(data, validation.anchors, validation.queries, config.trainer.seed)
    with _quiet(), _stopping_gently(recorder) as listening:
        trainer = _trainer(config, folder, [recorder, listening], progress_bar)
        trainer.fit(module, loader, probes, ckpt_path=None if checkpoint is None else str(checkpoint), **_no_pickle())
    finished = not recorder.interrupted
    fingerprint = None
    if trainer.is_global_zero:
        fingerprint = export(config, provenance, folder, recorder)
    return TrainingResult(
        model=folder / MODEL if fingerprint else None,
        fingerprint=fingerprint,
        finished=finished,
        best_epoch=recorder.best_epoch,
        best_score=recorder.best_score,
        history=recorder.history,
    )


def open_run(config: TrainingConfig, folder: Path, resume: bool) -> Optional[Path]:
    """Make `folder` this run's, and return the checkpoint to continue from (None at the start of a run)."""
    last = folder / LAST
    if not is_first_process():  # the first process has made the folder and checked everything
        return last if resume and last.is_file() else None
    if resume:
        if not (folder / CONFIG).is_file():
            raise ConfigError(f"{folder} holds no run to resume ({CONFIG} is missing): start one without --resume")
        changed = differences(read_config(folder / CONFIG), config)
        changed = [text for text in changed if not text.startswith("data.root:")]
        if changed:
            raise ConfigError(
                f"{folder} was started with another configuration ({'; '.join(changed)}): "
                "resume without changes, or start a new run in another folder"
            )
        return last if last.is_file() else None
    if last.exists() or (folder / MODEL).exists():
        raise ConfigError(f"{folder} already holds a run: go on with --resume, or choose another --output")
    if (folder / CONFIG).exists() and not is_written(folder / CONFIG):
        raise ConfigError(f"{folder / CONFIG} is there already, and no run has written it: choose another --output")
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder / CONFIG, config)
    return None


def export(
    config: TrainingConfig, provenance: Mapping[str, str], folder: Path, recorder: RunRecorder
) -> Optional[str]:
    """Write the folder's model.safetensors from its best (or last) checkpoint; None when there is none yet."""
    source = folder / (BEST if config.trainer.export == "best" else LAST)
    if not source.is_file():
        source = folder / LAST
    if not source.is_file():
        return None
    checkpoint = torch.load(str(source), map_location="cpu", weights_only=True)
    provenance = {**provenance, **_run_provenance(config, checkpoint, recorder)}
    network = config.network
    state = exported_state(checkpoint["state_dict"])
    spec = ModelSpec(
        architecture=network.architecture,
        input_size=network.input_size,
        embedding_dim=network.embedding_dim,
        scaling=network.scaling,
        head_classes=config.classes if "head.weight" in state else (),
        provenance=provenance,
    )
    return write_model(folder / MODEL, state, spec)


def exported_state(state: Mapping[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
    """The weights that a checkpoint's module would export: averaged ones where there are any, and the head."""
    is_averaged = any(name.startswith("averaged.") for name in state)
    network, head = ("averaged.network.", "averaged_head.network.") if is_averaged else ("network.", "head.")
    weights = {name[len(network):]: value for name, value in state.items() if name.startswith(network)}
    of_head = {name[len(head):]: value for name, value in state.items() if name.startswith(head)}
    if "temperature" in of_head:
        weight = as_linear(of_head["weight"], of_head["temperature"])
        of_head = {"weight": weight, "bias": weight.new_zeros(len(weight))}
    weights.update({f"head.{name}": value for name, value in of_head.items()})
    return weights


def _run_provenance(
    config: TrainingConfig, checkpoint: Mapping[str, Any], recorder: RunRecorder
) -> Dict[str, str]:
    epoch = int(checkpoint["epoch"])
    rows = [row for row in recorder.history if row["epoch"] == epoch]
    scores = {name: f"{value:.4f}" for row in rows for name, value in row.items() if name.startswith("val_")}
    return {
        "config": config.fingerprint,
        "loss": config.loss.name,
        "seed": str(config.trainer.seed),
        "epoch": str(epoch),
        "steps": str(checkpoint["global_step"]),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        **scores,
    }


def is_first_process() -> bool:
    """Whether this process speaks for the run: the first of the first machine, by any launcher's environment."""
    names = ("RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK")
    return all(os.environ.get(name, "0") == "0" for name in names)


def _trainer(config: TrainingConfig, folder: Path, callbacks: List[Callback], progress_bar: bool) -> pl.Trainer:
    where = config.trainer
    if progress_bar:
        callbacks.append(RichProgressBar(leave=True))
    if hasattr(torch.utils, "deterministic"):
        # `deterministic` would fill all new memory, to help find bugs: hundreds of calls a step, which a GPU waits for.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        return pl.Trainer(
            accelerator=where.accelerator,
            devices=where.devices,
            num_nodes=where.num_nodes,
            strategy="ddp" if where.devices * where.num_nodes > 1 else "auto",
            precision=where.precision,  # type: ignore[arg-type]
            max_epochs=where.epochs,
            gradient_clip_val=config.optimizer.gradient_clip,
            check_val_every_n_epoch=config.validation.every_epochs,
            callbacks=callbacks,
            logger=TensorBoardLogger(str(folder), name="tensorboard", version=""),
            log_every_n_steps=10,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=progress_bar,
            enable_model_summary=False,
            deterministic="warn" if where.accelerator != "cpu" else None,
        )
    except MisconfigurationException as error:  # hardware that is not there
        raise ConfigError(
            f"trainer.accelerator {where.accelerator} with trainer.devices {where.devices}: "
            f"{' '.join(str(error).split())}"
        ) from error


def _no_pickle() -> Dict[str, Any]:
    """Have checkpoints read without unpickling, where this Lightning can be told to."""
    return {"weights_only": True} if "weights_only" in inspect.signature(pl.Trainer.fit).parameters else {}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's advice that does not apply to faces held in memory."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
            warnings.filterwarnings("ignore", message=".*is not a.*DataLoader.*")
            warnings.filterwarnings("ignore", message=".*module\\(s\\) in eval mode.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            # Every process has the first one's scores already.
            warnings.filterwarnings("ignore", message=".*recommended to use .*sync_dist=True.*")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _stopping_gently(recorder: RunRecorder) -> Iterator[Callback]:
    """The first Ctrl-C, and every TERM, asks the recorder to stop; the second Ctrl-C interrupts as usual.

    Yields a callback by which the trainer keeps listening: Lightning handles TERM itself once training starts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Callback()
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: Any) -> None:
        recorder.request_stop()
        signal.signal(signal.SIGINT, before[signal.SIGINT])
        os.write(2, b"\nstopping after this step (or its validation); Ctrl-C to stop at once\n")

    def listen_to_term(*_: Any) -> None:
        signal.signal(signal.SIGTERM, stop)

    for number in before:
        signal.signal(number, stop)
    try:
        yield LambdaCallback(on_train_start=listen_to_term)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
