"""`siamese-emotion average` as a user runs it."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_model, write_model
from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.recognition.quantized import QuantizedCompactNetwork


@pytest.fixture
def place(tmp_path, monkeypatch):
    for seed in range(2):
        torch.manual_seed(seed)
        state = build_network("compact", 32, 16).state_dict()
        state["features.2.num_batches_tracked"] += seed
        head = {"head.weight": torch.randn(2, 16), "head.bias": torch.randn(2)}
        spec = ModelSpec("compact", 32, 16, "standardize", ("anger", "fear"), {"run": str(seed)})
        write_model(tmp_path / f"{seed}.safetensors", {**state, **head}, spec, half=seed == 1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["average", *arguments, "--output", "mean.safetensors"])


def test_every_weight_is_the_mean(place):
    result = run("0.safetensors", "1.safetensors")
    assert result.exit_code == 0, result.output
    first, second, mean = (read_model(f"{name}.safetensors") for name in (0, 1, "mean"))
    for name in ("features.1.weight", "features.2.running_mean", "embedding.bias", "head.weight"):
        expected = (first.weights[name] + second.weights[name].astype(np.float32)) / 2
        np.testing.assert_allclose(mean.weights[name], expected, rtol=1e-6)
    assert mean.weights["features.2.num_batches_tracked"] == 1
    assert mean.spec.provenance == {"run": "1", "average_of": f"{first.fingerprint}, {second.fingerprint}"}
    assert f"({mean.fingerprint[:12]})" in result.output.replace("MB, ", "(")
    assert "--force" in run("0.safetensors", "1.safetensors").output


def write(path, architecture, side, dim):
    network = build_network(architecture, side, dim)
    state = network.integer_state() if isinstance(network, QuantizedCompactNetwork) else network.state_dict()
    write_model(path, state, ModelSpec(architecture, side, dim, "standardize"))


@pytest.mark.parametrize("models, reason", [
    (["0.safetensors"], "1 model: an average is of two or more"),
    (["0.safetensors", "wide.safetensors"], "one has another network, input or head"),
    (["int8.safetensors", "int8.safetensors"], "compact_int8 has integer weights: average the models"),
])
def test_what_has_no_mean_is_refused(place, models, reason):
    write("wide.safetensors", "compact_wide", 32, 16)
    write("int8.safetensors", "compact_int8", 32, 16)
    result = run(*models)
    assert result.exit_code == 2 and reason in " ".join(result.output.split())
    assert not (place / "mean.safetensors").exists()
