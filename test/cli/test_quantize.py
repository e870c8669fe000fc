"""`siamese-emotion quantize` as a user runs it."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_model, write_model
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network


@pytest.fixture
def place(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for label in ("anger", "happiness"):
        (tmp_path / "faces" / label).mkdir(parents=True)
        for i in range(10):
            cv2.imwrite(str(tmp_path / "faces" / label / f"{i}.png"), random.integers(0, 256, (48, 48), np.uint8))
    torch.manual_seed(0)
    spec = ModelSpec("compact", 32, 16, "standardize", ("anger", "happiness"),
                     {"data": "made up", "val_top1": "0.9", "epoch": "3"})
    head = {"head.weight": torch.randn(2, 16), "head.bias": torch.randn(2)}
    write_model(tmp_path / "model.safetensors", {**build_network("compact", 32, 16).state_dict(), **head}, spec)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    command = ["quantize", "--dataset", "folder", "--root", "faces", "--output", "int8.safetensors", *arguments]
    return CliRunner().invoke(app, command)


def test_the_model_is_written_and_how_far_it_moved_is_said(place):
    result = run("--model", "model.safetensors", "--faces", "12")
    assert result.exit_code == 0, result.output
    before, after = read_model("model.safetensors"), read_model("int8.safetensors")
    assert after.spec.architecture == "compact_int8" and after.spec.head_classes == before.spec.head_classes
    assert after.spec.provenance == {
        "data": "made up", "quantized": f"from {before.fingerprint} by 12 faces of folder, train, seed 0",
    }
    assert np.array_equal(after.weights["head.weight"], before.weights["head.weight"])
    assert f"wrote int8.safetensors (1.8 MB, {after.fingerprint[:12]})" in result.output
    assert "val faces moved by 0.0" in result.output
    assert EmbeddingModel(after, "cpu").embed([np.zeros((48, 48), np.uint8)]).shape == (1, 16)
    assert "--force" in run("--model", "model.safetensors").output


def test_only_compact_networks_are_quantized(place):
    run("--model", "model.safetensors")
    result = run("--model", "int8.safetensors", "--force")
    assert result.exit_code == 2
    assert "int8.safetensors is a compact_int8 network: only compact ones can be quantized" in result.output
