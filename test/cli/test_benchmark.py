"""`siamese-emotion benchmark` without its ROS half."""
from __future__ import annotations

import json

import torch
from typer.testing import CliRunner

from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_model
from siamese_emotion_ros.recognition.networks import build_network


def test_figures_are_those_of_the_model_that_was_named(tmp_path):
    torch.manual_seed(0)
    spec = ModelSpec("paper", 48, 16, "standardize")
    fingerprint = write_model(tmp_path / "m", build_network("paper", 48, 16).state_dict(), spec)
    arguments = ["--model", str(tmp_path / "m"), "--device", "cpu", "--backend", "torch"]
    arguments += ["--repeats", "20", "--anchors", "50"]
    written = ["--seconds", "0", "--json", str(tmp_path / "new" / "b.json")]
    result = CliRunner().invoke(app, ["benchmark", *arguments, *written])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "new" / "b.json").read_text())
    assert figures["model"] == fingerprint and figures["backend"] == "torch cpu fp32" and figures["anchors"] == 50
    assert 0 < figures["recognize_ms"]["p50"] <= figures["recognize_ms"]["p99"]
    assert figures["frame_to_message_ms"] is None and figures["frames_sent"] == 0


def test_a_missing_model_is_one_line(tmp_path):
    result = CliRunner().invoke(app, ["benchmark", "--model", str(tmp_path / "none"), "--seconds", "0"])
    assert result.exit_code == 2 and "no such model file" in result.output
