"""`siamese-emotion train`: learn an embedding from a configuration and your copy of a data set."""
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DATA_ROOT, OVERRIDES

if TYPE_CHECKING:
    from siamese_emotion_ros.training.config import TrainingConfig
    from siamese_emotion_ros.training.train import TrainingResult


@reported()
def train(
    overrides: Optional[List[str]] = OVERRIDES,
    name: Optional[str] = typer.Option(
        None, "--config",
        help="YAML file, or the name of a shipped one: compact_fer2013, paper_fer2013_a, paper_ckplus, …",
    ),
    data_root: Optional[Path] = DATA_ROOT,
    output: Path = typer.Option(..., help="Folder of the run: model, checkpoints, logs, configuration."),
    resume: bool = typer.Option(False, "--resume", help="Continue the run in OUTPUT from its last checkpoint."),
    stage: Optional[str] = typer.Option(
        None, help="What to train: embedding, or head (a classification head on top of a model)."
    ),
    progress: bool = typer.Option(True, help="Show a progress bar."),
) -> None:
    """Train a network and write OUTPUT/model.safetensors; after Ctrl-C or TERM, --resume continues the run."""
    from siamese_emotion_ros.cli.loading import load_faces
    from siamese_emotion_ros.cli.output import refuse_unwritable
    from siamese_emotion_ros.recognition.artifacts import read_model
    from siamese_emotion_ros.training.config import ConfigError
    from siamese_emotion_ros.training.head import train_head, with_network_of_model
    from siamese_emotion_ros.training.loading import prepare
    from siamese_emotion_ros.training.train import CONFIG, is_first_process, open_run
    from siamese_emotion_ros.training.train import train as run

    if name is None and not resume:
        raise ConfigError("no configuration: name one with --config, such as --config compact_fer2013")
    refuse_unwritable(output / CONFIG)
    if name is None and not (output / CONFIG).is_file():
        raise ConfigError(f"{output} holds no run to resume ({CONFIG} is missing): start one with --config")
    changes = [*(overrides or []), *([] if stage is None else [f"stage={stage}"])]
    config = read_named_config(str(output / CONFIG) if name is None else name, changes, data_root)
    if config.stage == "head":
        config = with_network_of_model(config)
    if config.network.init_from is not None and not resume:
        read_model(config.network.init_from)  # what cannot be begun is said before the data set is read
    open_run(config, output, resume)
    first = is_first_process()
    faces = load_faces(config.data.dataset, Path(str(config.data.root)), config.data.options, quiet=not first)
    data = prepare(faces, config)
    result = train_head(config, data, output) if config.stage == "head" else run(config, data, output, resume, progress)
    if first:
        _report(result, output)


def read_named_config(name: str, overrides: List[str], data_root: Optional[Path]) -> TrainingConfig:
    """The configuration that `--config` names, with overrides and `--data-root`; ConfigError without a data.root."""
    from siamese_emotion_ros.training.config import ConfigError
    from siamese_emotion_ros.training.config_file import read_config

    if data_root is not None:
        overrides = [*overrides, f"data.root={json.dumps(str(data_root))}"]
    config = read_config(config_path(name), overrides)
    if config.data.root is None:
        raise ConfigError(f"data.root is not set: say where your copy of {config.data.dataset} lies with --data-root")
    return config


def config_path(name: str) -> Path:
    """The file that `--config` names: a path, or a shipped configuration without its ending."""
    from siamese_emotion_ros.shipped import shipped_path
    from siamese_emotion_ros.training.config import ConfigError

    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    folder = shipped_path("config", "training")
    shipped = folder / f"{name}.yaml"
    if not shipped.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ConfigError(f"no configuration {name!r}: expected a YAML file or one of {known}")
    return shipped


def _report(result: TrainingResult, output: Path) -> None:
    from siamese_emotion_ros.cli.output import plain_console

    console = plain_console()
    if result.history:
        last = result.history[-1]
        figures = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if name != "epoch")
        console.print(f"epoch {last['epoch']}: {figures}")
    if result.best_epoch is not None:
        console.print(f"best epoch {result.best_epoch}: {result.best_score:.4f}")
    if result.model is not None:
        console.print(f"wrote {result.model} ({result.fingerprint[:12] if result.fingerprint else ''})", soft_wrap=True)
    if not result.finished:
        console.print(f"interrupted; continue with: siamese-emotion train --resume --output {output}", soft_wrap=True)
        raise typer.Exit(130)
