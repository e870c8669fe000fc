"""The commands `train` and `protocol`, run as a user runs them, on a made-up folder of images."""
from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("lightning", reason="the training room needs the extra [train]")

import typer  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from siamese_emotion_ros.cli.protocol import protocol  # noqa: E402
from siamese_emotion_ros.cli.train import config_path, train  # noqa: E402
from siamese_emotion_ros.recognition.artifacts import read_model  # noqa: E402
from siamese_emotion_ros.training.config_file import read_config  # noqa: E402

app = typer.Typer()
app.command("train")(train)
app.command("protocol")(protocol)

SHIPPED = Path(__file__).parents[2] / "config" / "training"

#: Small enough for the paper network on a test's time.
BUDGET = {
    "data": {"dataset": "folder", "split": "official", "classes": "anger,happiness,neutral"},
    "network": {"embedding_dim": 16},
    "sampling": {"batch_size": 6, "steps_per_epoch": 2},
    "validation": {"k": 1, "anchors": 9},
    "trainer": {"epochs": 1, "accelerator": "cpu"},
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2), ("test", 1)):
        for row, label in enumerate(("anger", "happiness", "neutral")):
            folder = root / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                face = rng.integers(0, 100, (48, 48), dtype=np.uint8)
                face[12 * row : 12 * row + 12] += 120
                cv2.imwrite(str(folder / f"{number}.png"), face)
    return root


@pytest.fixture()
def config(tmp_path) -> Path:
    path = tmp_path / "budget.yaml"
    path.write_text(yaml.safe_dump(BUDGET))
    return path


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(result) -> str:
    """What the user reads, in one line: terminals wrap."""
    return " ".join((result.output + (result.stderr if result.stderr_bytes else "")).split())


def test_train_resume_and_head_from_the_command_line(faces, config, tmp_path):
    folder = tmp_path / "run"
    result = invoke("train", "--config", config, "--data-root", faces, "--output", folder, "--no-progress",
                    "trainer.seed=3")
    assert result.exit_code == 0, told(result)
    model = folder / "model.safetensors"
    assert "wrote" in told(result) and model.is_file()
    assert read_model(model).spec.provenance["seed"] == "3"

    resumed = invoke("train", "--resume", "--output", folder, "--no-progress")
    assert resumed.exit_code == 0, told(resumed)

    head = tmp_path / "head"
    result = invoke("train", "--stage", "head", "--config", config, "--data-root", faces, "--output", head,
                    "--no-progress", f"network.init_from={model}")
    assert result.exit_code == 0, told(result)
    assert read_model(head / "model.safetensors").fingerprint == read_model(model).fingerprint
    assert read_model(head / "model.safetensors").spec.head_classes == ("anger", "happiness", "neutral")


def test_the_split_goes_by_its_own_seed():
    from siamese_emotion_ros.datasets.face_set import FaceSet
    from siamese_emotion_ros.training.loading import prepare

    values = np.arange(60, dtype=np.uint8)
    faceset = FaceSet(
        faces=[np.full((48, 48), value, np.uint8) for value in values], labels=np.repeat(np.arange(3), 20),
        classes=("anger", "happiness", "neutral"), names=tuple(map(str, values)),
    )

    def validated(*overrides):
        config = read_config(SHIPPED / "compact_fer2013.yaml", [
            "data.classes=anger,happiness,neutral", "data.split=stratified", "data.votes=0", *overrides
        ])
        data = prepare(faceset, config)
        return sorted(data.faces[data.val, 0, 0, 0].tolist())

    assert validated() == validated("trainer.seed=1") != validated("data.split_seed=1")


def test_a_configuration_that_no_run_wrote_is_not_overwritten(faces, config, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.yaml").write_text("# by hand\n" + config.read_text())
    result = invoke("train", "--config", folder / "config.yaml", "--data-root", faces, "--output", folder)
    assert result.exit_code == 2 and "no run has written it" in told(result)
    assert (folder / "config.yaml").read_text().startswith("# by hand")
    failed = invoke("train", "--config", config, "--data-root", tmp_path / "nowhere", "--output", tmp_path / "run")
    assert failed.exit_code == 2
    again = invoke("train", "--config", config, "--data-root", faces, "--output", tmp_path / "run", "--no-progress")
    assert again.exit_code == 0, told(again)


def test_hardware_that_is_not_there_is_one_line(faces, config, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = invoke("train", "--config", config, "--data-root", faces, "--output", tmp_path / "run",
                    "trainer.accelerator=gpu")
    assert result.exit_code == 2 and "trainer.accelerator gpu with trainer.devices 1" in told(result)


def test_a_folder_of_a_configurations_name_is_no_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compact_fer2013").mkdir()
    assert config_path("compact_fer2013") == SHIPPED / "compact_fer2013.yaml"


def test_protocol_from_the_command_line(faces, config, tmp_path):
    folder = tmp_path / "growth"
    command = ["protocol", "--config", config, "--data-root", faces, "--output", folder, "--starts", "similar",
               "--stop-below", "0.01", "--no-progress"]
    result = invoke(*command)
    assert result.exit_code == 0, told(result)
    with open(folder / "growth.csv", newline="") as file:
        assert [row["emotions"] for row in csv.DictReader(file)] == ["2", "3"]
    assert (folder / "growth.png").is_file()
    before = (folder / "growth.json").read_bytes()
    assert invoke(*command).exit_code == 0
    assert (folder / "growth.json").read_bytes() == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--data-root", "."], "no configuration: name one with --config, such as --config compact_fer2013"),
        (["--config", "paper_fer2014"], "no configuration 'paper_fer2014': expected a YAML file or one of compact_"),
        (["--config", "missing.yaml"], "missing.yaml: cannot be read"),
        (["--config", "paper_fer2013_a"], "data.root is not set: say where your copy of fer2013 lies with --data-root"),
        (["--config", "paper_fer2013_a", "--data-root", ".", "trainer.epoch=3"], "did you mean trainer.epochs?"),
        (["--config", "compact_fer2013_distilled", "--data-root", "."], "set distillation.teachers=FILE[,FILE]"),
        (["--config", "paper_fer2013_a", "--data-root", ".", "--resume"], "holds no run to resume"),
        (["--config", "paper_kdef_retrain", "--data-root", "."], "RUN/model.safetensors: no such model file"),
        (["--resume"], "holds no run to resume (config.yaml is missing): start one with --config"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, arguments, message):
    result = invoke("train", "--output", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert message in told(result)
    assert "Traceback" not in told(result)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_can_be_read(path):
    # Whose teachers they are is for the user to say.
    overrides = ["distillation.teachers=model.safetensors"] if "distillation:" in path.read_text() else []
    assert read_config(config_path(path.stem), overrides) == read_config(path, overrides)


@pytest.mark.parametrize("name", ["paper_ckplus", "paper_kdef_retrain", "paper_fer2013_a", "paper_fer2013_b"])
def test_the_papers_settings(name):
    config = read_config(SHIPPED / f"{name}.yaml")
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.schedule) == ("adam", 1e-4, "constant")
    assert (config.sampling.batch_size, config.trainer.epochs) == (180, 100)
    assert (config.loss.name, config.loss.reduction, config.loss.mining) == ("contrastive", "mean", "all")
    assert (config.network.architecture, config.network.embedding_dim) == ("paper", 2048)
    assert config.network.input_size == (100 if name == "paper_kdef_retrain" else 48)


def test_one_of_two_processes_speaks(faces, config, tmp_path):
    root = tmp_path / "faces"
    shutil.copytree(faces, root)
    (root / "train" / "anger" / "broken.png").write_bytes(b"no image")
    program = [sys.executable, "-m", "siamese_emotion_ros.cli.main", "train", "--config", config, "--data-root", root]
    ended = subprocess.run(
        [*program, "--output", tmp_path / "run", "--no-progress", "trainer.devices=2", "network.architecture=compact"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stdout
    for said in ("skipped 1", "best epoch 0", "wrote "):
        assert ended.stdout.count(said) == 1, ended.stdout
    assert "Warning" not in ended.stdout


def test_a_terminated_run_says_how_to_go_on(faces, config, tmp_path):
    program = [sys.executable, "-m", "siamese_emotion_ros.cli.main", "train", "--config", config, "--data-root", faces]
    process = subprocess.Popen(
        [*program, "--output", tmp_path, "--no-progress", "trainer.epochs=10000", "network.architecture=compact"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while process.poll() is None and not (tmp_path / "best.ckpt").exists():
        time.sleep(0.05)
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert f"interrupted; continue with: siamese-emotion train --resume --output {tmp_path}\n" in output
    assert (tmp_path / "model.safetensors").is_file()
