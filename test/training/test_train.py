"""Whole runs on made-up faces: what they write, how they stop, and that a broken one ends like an unbroken one."""
from __future__ import annotations

import csv
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_model, write_model
from siamese_emotion_ros.recognition.compact import CompactNetwork
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import NETWORKS, build_network
from siamese_emotion_ros.training.augmentation import Augmentation
from siamese_emotion_ros.training.config import ConfigError, NetworkConfig
from siamese_emotion_ros.training.data import Batch, scale
from siamese_emotion_ros.training.losses import DistanceLoss
from siamese_emotion_ros.training.module import DivergedError, SiameseModule
from siamese_emotion_ros.training.prototypes import Prototypes
from siamese_emotion_ros.training.train import exported_state, train
from siamese_emotion_ros.training.transfer import carry_over, carry_over_head

#: What only a quantized model is asked with.
NO_FACES = torch.empty(0, 1, 48, 48, dtype=torch.uint8)

CLOCK = ("images_per_second", "loader_share", "seconds")


def figures(result):
    """The history without what depends on the clock."""
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in result.history]


def run(tiny, folder, *overrides, resume=False, data=None):
    return train(tiny.make_config(*overrides), data or tiny.make_data(), folder, resume, progress_bar=False)


@pytest.fixture(scope="module")
def unbroken(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return run(tiny, folder), folder


def test_a_run_learns_and_writes_a_model_that_the_recogniser_reads(tiny, unbroken):
    result, folder = unbroken
    assert result.finished
    assert result.history[-1]["train_loss"] < 0.9 * result.history[0]["train_loss"]
    assert result.best_score == max(row["val_top1"] for row in result.history) > 0.5
    model = EmbeddingModel.load(folder / "model.safetensors", "cpu")
    assert model.fingerprint == result.fingerprint
    provenance = model.spec.provenance
    assert provenance["dataset"] == "made up"
    assert provenance["epoch"] == str(result.best_epoch)
    assert provenance["val_top1"] == f"{result.best_score:.4f}"
    assert provenance["config"] == tiny.make_config().fingerprint


def test_the_model_gives_the_embeddings_of_the_averaged_network(tiny, unbroken):
    _, folder = unbroken
    checkpoint = torch.load(folder / "best.ckpt", weights_only=True)
    module = SiameseModule(tiny.make_config(), 1, 1)
    module.start_averaging()
    module.load_state_dict(checkpoint["state_dict"])
    faces = tiny.make_data().faces[:5]
    with torch.inference_mode():
        expected = module.exported_network(scale(faces, "unit")).numpy()
        of_trained = module.eval().network(scale(faces, "unit")).numpy()
    embedded = EmbeddingModel.load(folder / "model.safetensors", "cpu").embed(list(faces[:, 0].numpy()))
    assert embedded == pytest.approx(expected, abs=1e-6)
    assert embedded != pytest.approx(of_trained, abs=1e-4)


def test_the_table_of_epochs_has_a_row_each(unbroken):
    result, folder = unbroken
    with open(folder / "epochs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [float(row["val_top1"]) for row in rows] == [row["val_top1"] for row in result.history]
    assert list((folder / "tensorboard").glob("events*"))


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tiny, unbroken, tmp_path):
    result, _ = unbroken
    assert run(tiny, tmp_path / "same").fingerprint == result.fingerprint
    assert run(tiny, tmp_path / "other", "trainer.seed=1").fingerprint != result.fingerprint


def test_every_step_and_epoch_changes_faces_in_its_own_way(tiny):
    module = SiameseModule(tiny.make_config("augmentation.noise=0.3"), 1, 1).eval()
    module.log = lambda *args, **kwargs: None
    data = tiny.make_data()

    def loss(epoch, step):
        return float(module.training_step(Batch(data.faces, data.labels, None, epoch, step), step).detach())

    assert loss(0, 0) == loss(0, 0)
    assert len({loss(0, 0), loss(0, 1), loss(1, 0), loss(1, 1)}) == 4


class Killed(BaseException):
    pass


#: Where a run is cut, by calls of the module: in the first step, between checkpoints, on one, in the last step of an
#: epoch, in a validation, at its end, in the first step of the next epoch, and in the last validation.
CUTS = [
    ("training_step", 1), ("training_step", 2), ("optimizer_step", 2), ("training_step", 3), ("training_step", 4),
    ("optimizer_step", 5), ("validation_step", 1), ("validation_step", 2), ("on_validation_epoch_end", 1),
    ("training_step", 6), ("training_step", 8), ("optimizer_step", 10), ("on_validation_epoch_end", 3),
]


@pytest.mark.parametrize("checkpoint_steps", [1, 2])
@pytest.mark.parametrize("hook, call", CUTS, ids=lambda value: str(value))
def test_a_run_cut_anywhere_goes_on_to_the_same_end(
    tiny, unbroken, tmp_path, monkeypatch, hook, call, checkpoint_steps
):
    original = getattr(SiameseModule, hook)
    calls = []

    def cut(self, *args, **kwargs):
        calls.append(hook)
        if len(calls) == call:
            raise Killed
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(SiameseModule, hook, cut)
        with pytest.raises(Killed):
            run(tiny, tmp_path, f"trainer.checkpoint_steps={checkpoint_steps}")
    assert not (tmp_path / "model.safetensors").exists()
    result = run(tiny, tmp_path, f"trainer.checkpoint_steps={checkpoint_steps}", resume=True)
    expected, _ = unbroken
    assert result.fingerprint == expected.fingerprint
    assert figures(result) == figures(expected)
    assert result.best_epoch == expected.best_epoch


def test_a_run_is_not_resumed_on_other_data(tiny, tmp_path, monkeypatch):
    def cut(self):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(SiameseModule, "on_validation_epoch_end", cut)
        with pytest.raises(Killed):
            run(tiny, tmp_path)
    with pytest.raises(ConfigError, match="started on other faces, labels or votes"):
        run(tiny, tmp_path, resume=True, data=tiny.make_data(seed=1))


def start(command, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, *map(str, arguments)], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 120) -> None:
    """Until `path` exists; the process must not end before."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


@pytest.fixture
def one_thread():
    """As many threads here as in the processes that start() starts: sums are rounded differently over more of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_killed_process_can_be_resumed_to_the_same_end(tiny, tiny_command, tmp_path):
    process = start(tiny_command, tmp_path / "killed", "trainer.epochs=30")
    wait_for(tmp_path / "killed" / "last.ckpt", process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.safetensors").exists(), "it was killed before its end"
    resumed = run(tiny, tmp_path / "killed", "trainer.epochs=30", resume=True)
    unbroken = run(tiny, tmp_path / "unbroken", "trainer.epochs=30")
    assert resumed.fingerprint == unbroken.fingerprint
    assert figures(resumed) == figures(unbroken)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_a_model_and_can_go_on(tiny, tiny_command, tmp_path, number):
    process = start(tiny_command, tmp_path / "stopped", "trainer.epochs=100000")
    wait_for(tmp_path / "stopped" / "best.ckpt", process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "stopping after this step" in output
    read_model(tmp_path / "stopped" / "model.safetensors")
    checkpoint = torch.load(tmp_path / "stopped" / "last.ckpt", weights_only=True)
    assert 0 < checkpoint["global_step"] < 100000 * 5


def test_early_stopping_counts_validations_without_a_better_score(tiny, tmp_path):
    result = run(tiny, tmp_path, "trainer.epochs=50", "validation.patience=2", "optimizer.lr=1e-9")
    assert result.finished
    assert result.best_epoch == 0
    assert len(result.history) == 3
    again = run(tiny, tmp_path, "trainer.epochs=50", "validation.patience=2", "optimizer.lr=1e-9", resume=True)
    assert again.finished and again.fingerprint == result.fingerprint


def test_a_run_that_stopped_early_and_is_resumed_trains_no_further(tiny, tmp_path):
    overrides = ("trainer.epochs=50", "validation.patience=1", "optimizer.lr=1e-2", "trainer.export=last")
    result = run(tiny, tmp_path, *overrides)
    assert 1 < len(result.history) < 50
    again = run(tiny, tmp_path, *overrides, resume=True)
    assert again.finished and again.fingerprint == result.fingerprint
    assert figures(again) == figures(result)


def test_validation_every_other_epoch(tiny, tmp_path):
    result = run(tiny, tmp_path, "validation.every_epochs=2", "trainer.epochs=4")
    assert ["val_top1" in row for row in result.history] == [False, True, False, True]


def test_the_last_weights_are_exported_when_asked(tiny, tmp_path):
    result = run(tiny, tmp_path, "trainer.export=last")
    last = exported_state(torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"])
    weights = read_model(result.model).weights
    assert all(np.array_equal(weights[name], tensor.numpy()) for name, tensor in last.items())


@pytest.mark.parametrize("ema", ["null", "0.9"])
def test_a_head_of_prototypes_is_exported_as_a_linear_one(tiny, tmp_path, ema):
    result = run(tiny, tmp_path, "network.architecture=tiny_unit", "loss.cross_entropy=1", "loss.head=prototypes",
                 "loss.temperature=0.2", f"trainer.ema_decay={ema}")
    weights = read_model(result.model).weights
    np.testing.assert_allclose(np.linalg.norm(weights["head.weight"], axis=1), 5.0, rtol=1e-5)
    assert not weights["head.bias"].any()
    assert read_model(result.model).spec.head_classes == tiny.CLASSES
    head = Prototypes(8, 3, 0.2)
    head.weight.data = torch.from_numpy(weights["head.weight"] * 3)
    points = torch.nn.functional.normalize(torch.randn(5, 8), dim=1)
    torch.testing.assert_close(head(points), points @ torch.from_numpy(weights["head.weight"]).T)


def test_a_folder_is_never_mixed_with_another_run(tiny, unbroken, tmp_path):
    _, folder = unbroken
    with pytest.raises(ConfigError, match="already holds a run: go on with --resume"):
        run(tiny, folder)
    with pytest.raises(ConfigError, match="another configuration .loss.margin: 1.0 -> 2.0"):
        run(tiny, folder, "loss.margin=2", resume=True)
    with pytest.raises(ConfigError, match="holds no run to resume"):
        run(tiny, tmp_path, resume=True)


def test_a_finished_run_may_be_resumed_without_harm(tiny, unbroken):
    result, folder = unbroken
    # The data may have moved meanwhile.
    again = run(tiny, folder, "data.root=elsewhere", resume=True)
    assert again.finished and again.fingerprint == result.fingerprint
    assert figures(again) == figures(result)


@pytest.mark.parametrize(
    "overrides",
    [
        ["loss.name=triplet"], ["loss.name=triplet", "loss.mining=hard"],
        ["loss.name=triplet", "sampling.scheme=triplets"],
        ["loss.name=quadruplet", "loss.mining=hard"],
        ["loss.name=quadruplet", "sampling.scheme=quadruplets", "sampling.batch_size=12"],
        ["loss.name=supervised_contrastive"],
        ["sampling.scheme=pairs", "sampling.batch_size=8"],
        ["sampling.scheme=classes_by_images", "sampling.classes_per_batch=3"],
        ["trainer.precision=bf16-mixed"], ["optimizer.gradient_clip=0.1", "optimizer.name=adamw"],
    ],
    ids=" ".join,
)
def test_every_loss_and_setting_lowers_its_loss(tiny, tmp_path, overrides):
    result = run(tiny, tmp_path, "trainer.epochs=4", "optimizer.lr=3e-3", "trainer.ema_decay=null", *overrides)
    losses = [row["train_loss"] for row in result.history]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "quadruplet", "supervised_contrastive"])
def test_a_joined_head_learns_and_travels_in_the_model(tiny, tmp_path, loss):
    mining = "all" if loss == "supervised_contrastive" else "hard"
    result = run(tiny, tmp_path, f"loss.name={loss}", f"loss.mining={mining}", "loss.cross_entropy=1.0",
                 "optimizer.lr=5e-3", "trainer.epochs=8", "trainer.export=last")
    model = EmbeddingModel.load(result.model, "cpu")
    assert model.spec.head_classes == tiny.CLASSES
    data = tiny.make_data()
    weight, bias = model.head
    decided = (model.embed(list(data.faces[data.val, 0].numpy())) @ weight.T + bias).argmax(axis=1)
    assert (decided == data.labels.numpy()[data.val]).mean() > 0.8


def test_a_loss_over_distances_of_no_weight_is_not_computed(tiny, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the loss over distances was computed")

    monkeypatch.setattr(DistanceLoss, "forward", refuse)
    assert run(tiny, tmp_path, "loss.weight=0", "loss.cross_entropy=1.0", "trainer.epochs=1").finished


def test_a_loss_that_is_no_number_ends_the_run_with_advice(tiny, tmp_path, monkeypatch):
    original = SiameseModule.optimizer_step

    def explode(self, *args, **kwargs):
        original(self, *args, **kwargs)
        for weight in self.network.parameters():
            weight.data.mul_(1e30)

    monkeypatch.setattr(SiameseModule, "optimizer_step", explode)
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logger.level
    with pytest.raises(DivergedError, match="the loss is (inf|nan) in epoch 0, step 1: .*lower optimizer.lr"):
        run(tiny, tmp_path)
    assert logger.level == level, "Lightning may speak again"


def test_a_loss_that_is_no_number_reaches_no_validation_and_no_checkpoint(tiny, tmp_path, monkeypatch):
    original, validate, validated = SiameseModule.optimizer_step, SiameseModule.validation_step, set()

    def explode(self, *args, **kwargs):
        original(self, *args, **kwargs)
        if self.trainer.current_epoch == 1:
            for weight in self.network.parameters():
                weight.data.mul_(1e30)

    monkeypatch.setattr(SiameseModule, "optimizer_step", explode)
    monkeypatch.setattr(
        SiameseModule, "validation_step",
        lambda self, *more: validated.add(self.trainer.current_epoch) or validate(self, *more),
    )
    with pytest.raises(DivergedError):
        run(tiny, tmp_path, "trainer.checkpoint_steps=100")
    assert validated == {0}
    kept = torch.load(str(tmp_path / "last.ckpt"), weights_only=True)
    assert kept["epoch"] == 0
    assert all(torch.isfinite(weight).all() for weight in kept["state_dict"].values())


@pytest.mark.parametrize("share, sides", [(0.0, {8}), (0.5, {8, 16}), (1.0, {16})])
def test_a_share_of_batches_is_changed_at_the_networks_own_side(tiny, tmp_path, monkeypatch, share, sides):
    seen = []
    original = Augmentation.__call__
    monkeypatch.setattr(
        Augmentation, "__call__", lambda self, faces, *more: seen.append(faces.shape[3]) or original(self, faces, *more)
    )
    data = tiny.make_data()
    small = type(data)(data.faces[:, :, ::2, ::2], data.labels, data.classes, data.train, data.val, data.provenance)
    result = run(tiny, tmp_path, "augmentation.side=8", f"augmentation.finer={share}", data=small)
    assert result.finished and set(seen) == sides


def test_blended_faces_are_learned_from_by_a_loss_and_a_head(tiny, tmp_path):
    mixed = ("augmentation.mixup=0.7", "loss.name=supervised_contrastive", "loss.cross_entropy=1.0")
    unbroken = run(tiny, tmp_path / "unbroken", *mixed)
    assert unbroken.fingerprint == run(tiny, tmp_path / "again", *mixed).fingerprint
    assert unbroken.history[-1]["train_loss"] < unbroken.history[0]["train_loss"]


@pytest.mark.parametrize(("architecture", "head"), [("tiny", "linear"), ("tiny_unit", "prototypes")])
def test_transfer_keeps_what_the_head_knows_of_each_emotion(tiny, tmp_path, architecture, head):
    of_head = (f"network.architecture={architecture}", f"loss.head={head}", "loss.cross_entropy=1.0",
               "trainer.ema_decay=null", "trainer.epochs=1")
    first = run(tiny, tmp_path / "first", *of_head, "optimizer.lr=5e-3").model
    known = tiny.CLASSES[1:]
    data = tiny.make_data()
    train, val = (rows[data.labels.numpy()[rows] > 0] for rows in (data.train, data.val))
    fewer = type(data)(data.faces, data.labels - 1, known, train, val, data.provenance)
    second = run(tiny, tmp_path / "second", *of_head, "optimizer.lr=1e-9", f"network.init_from={first}",
                 f"data.classes={','.join(known)}", data=fewer).model
    before, after = read_model(first).weights, read_model(second).weights
    assert after["head.weight"] == pytest.approx(before["head.weight"][1:], abs=1e-5)
    assert after["head.bias"] == pytest.approx(before["head.bias"][1:], abs=1e-6)


def test_a_head_is_carried_over_as_far_as_the_model_has_one(tiny, unbroken, tmp_path):
    _, folder = unbroken
    fresh = nn.Linear(8, 3)
    weight = fresh.weight.detach().clone()
    assert carry_over_head(folder / "model.safetensors", fresh, tiny.CLASSES[:3]) == list(tiny.CLASSES[:3])
    assert torch.equal(fresh.weight, weight)
    model = run(tiny, tmp_path, "loss.cross_entropy=1.0", "trainer.epochs=1").model
    asked = (tiny.CLASSES[1], "contempt", tiny.CLASSES[0])
    assert carry_over_head(model, fresh, asked) == ["contempt"]
    known = read_model(model).weights["head.weight"]
    assert fresh.weight.detach().numpy() == pytest.approx(np.stack([known[1], weight[1].numpy(), known[0]]), abs=1e-6)
    longer = nn.Linear(9, 3)
    assert carry_over_head(model, longer, asked) == list(asked)


def test_transfer_keeps_the_filters_and_rebuilds_the_rest(tiny, unbroken, tmp_path, monkeypatch):
    _, folder = unbroken
    said = []
    monkeypatch.setattr("siamese_emotion_ros.training.train.rank_zero_info", said.append)
    larger = tiny.make_data()
    faces = larger.faces.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    larger = type(larger)(faces, larger.labels, larger.classes, larger.train, larger.val, larger.provenance)
    result = run(
        tiny, tmp_path, f"network.init_from={folder / 'model.safetensors'}", "network.input_size=32",
        "optimizer.lr=1e-9", "trainer.epochs=1", "trainer.ema_decay=null", data=larger,
    )
    before, after = read_model(folder / "model.safetensors").weights, read_model(result.model).weights
    assert after["1.weight"] == pytest.approx(before["1.weight"], abs=1e-6)
    assert after["5.weight"].shape != before["5.weight"].shape
    assert len(said) == 1 and said[0].endswith("learned from the start: 5.weight")
    with pytest.raises(ConfigError, match="is a tiny network, this run trains paper, and they share no filter"):
        run(tiny, tmp_path / "paper", f"network.init_from={folder / 'model.safetensors'}",
            "network.architecture=paper", "network.input_size=48", data=larger)


def test_faces_are_augmented_at_a_side_of_their_own(tiny, tmp_path, monkeypatch):
    seen = set()
    augment = Augmentation.__call__
    monkeypatch.setattr(Augmentation, "__call__", lambda self, faces, generator: (
        seen.add(tuple(faces.shape[1:])), augment(self, faces, generator)
    )[1])
    result = run(tiny, tmp_path, "network.input_size=32", f"augmentation.side={tiny.SIDE}", "augmentation.flip=0.5")
    assert seen == {(1, tiny.SIDE, tiny.SIDE)}
    assert read_model(result.model).spec.input_size == 32
    assert result.history[-1]["train_loss"] < 0.9 * result.history[0]["train_loss"] and result.best_score > 0.5


def test_a_shorter_network_of_a_family_keeps_the_stages_that_it_has(tmp_path, monkeypatch):
    class Short(CompactNetwork):
        stages = CompactNetwork.stages[:-1]

    monkeypatch.setitem(NETWORKS, "short", Short)
    torch.manual_seed(0)
    whole, short = build_network("compact", 48, 128), build_network("short", 48, 128)
    write_model(tmp_path / "whole.safetensors", whole.state_dict(), ModelSpec("compact", 48, 128, "standardize"))
    fresh = carry_over(tmp_path / "whole.safetensors", short, NetworkConfig(architecture="short"), NO_FACES)
    assert fresh == ["embedding.weight"]
    kept = {name: tensor for name, tensor in short.state_dict().items() if name not in fresh}
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in kept.items())
    with pytest.raises(ConfigError, match="this run trains compact_wide, and they share no filter"):
        carry_over(tmp_path / "whole.safetensors", build_network("compact_wide", 48, 128),
                   NetworkConfig(architecture="compact_wide"), NO_FACES)


def test_two_processes_train_one_model(tiny, tiny_command, tmp_path):
    overrides = ["trainer.devices=2", "trainer.epochs=4", "sampling.batch_size=6", "optimizer.lr=3e-3"]
    process = start(tiny_command, tmp_path / "spread", *overrides)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    spread = EmbeddingModel.load(tmp_path / "spread" / "model.safetensors", "cpu")
    with open(tmp_path / "spread" / "epochs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    # 45 training faces: three steps of 2 x 6 an epoch, at most 12 in all.
    assert int(spread.spec.provenance["steps"]) == 3 * (int(spread.spec.provenance["epoch"]) + 1)
