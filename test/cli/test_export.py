"""`siamese-emotion export` as a user runs it: checked, written whole, and not at all when it is wrong."""
from __future__ import annotations

import pytest
import torch
import typer
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")
pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")

from siamese_emotion_ros.cli.export import export  # noqa: E402
from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_model, write_model  # noqa: E402
from siamese_emotion_ros.recognition.networks import build_network  # noqa: E402

app = typer.Typer()
app.command()(export)


@pytest.fixture
def place(tmp_path, monkeypatch):
    torch.manual_seed(0)
    spec = ModelSpec("paper", 48, 16, "standardize", provenance={"data": "made up"})
    write_model(tmp_path / "small.safetensors", build_network("paper", 48, 16).state_dict(), spec, half=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["--model", "small.safetensors", *arguments])


def test_model_is_written_and_the_difference_printed(place):
    result = run()
    assert result.exit_code == 0, result.output
    assert "max difference from torch: " in result.output
    graph = onnx.load(str(place / "small.onnx"))
    dimensions = graph.graph.input[0].type.tensor_type.shape.dim
    shape = [dimension.dim_value or dimension.dim_param for dimension in dimensions]
    assert shape == ["n", 1, 48, 48]


def test_a_network_that_computes_something_else_is_not_written(place, monkeypatch):
    monkeypatch.setattr("siamese_emotion_ros.evaluation.onnx_export.largest_difference", lambda *_: 2e-4)
    result = run()
    assert result.exit_code == 1
    assert "2.00e-04" in result.output
    assert not (place / "small.onnx").exists()


def test_a_file_is_overwritten_only_when_asked(place):
    (place / "small.onnx").write_text("mine")
    result = run()
    assert result.exit_code == 2
    assert "--force" in result.output
    assert (place / "small.onnx").read_text() == "mine"
    assert run("--force").exit_code == 0
    assert (place / "small.onnx").stat().st_size > 1000


def test_half_is_the_same_model_in_half_the_size(tmp_path, monkeypatch):
    torch.manual_seed(0)
    spec = ModelSpec("paper", 48, 16, "standardize", provenance={"data": "made up"})
    write_model(tmp_path / "full.safetensors", build_network("paper", 48, 16).state_dict(), spec)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["--model", "full.safetensors", "--format", "half"])
    assert result.exit_code == 0, result.output
    sizes = [(tmp_path / name).stat().st_size for name in ("full.safetensors", "full.half.safetensors")]
    assert sizes[1] < 0.51 * sizes[0]
    full, half = (read_model(tmp_path / name) for name in ("full.safetensors", "full.half.safetensors"))
    assert half.spec == full.spec and half.fingerprint != full.fingerprint
    assert "another model" in result.output
    result = CliRunner().invoke(app, ["--model", "full.half.safetensors", "--format", "half", "--output", "again"])
    assert "the same model" in result.output and "another model" not in result.output
    assert read_model(tmp_path / "again").fingerprint == half.fingerprint


@pytest.mark.parametrize("arguments, reason", [
    (["--format", "tflite"], "unknown format 'tflite': expected onnx or half"),
    (["--model", "missing.safetensors"], "no such model file"),
])
def test_mistakes_are_one_line_and_exit_code_2(place, arguments, reason):
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.output
