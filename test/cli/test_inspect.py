"""`siamese-emotion inspect` as a user runs it, on a model, a gallery and files that are neither."""
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from siamese_emotion_ros.cli.inspect import inspect
from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_gallery, write_gallery, write_model
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.networks import build_network

app = typer.Typer()
app.command()(inspect)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{"model", "gallery"}: (path, fingerprint)."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    provenance = {"data": "[made] up", "seed": "3", "validation_faces": "57"}
    spec = ModelSpec("paper", 48, 16, "standardize", provenance=provenance)
    model = write_model(folder / "m.safetensors", build_network("paper", 48, 16).state_dict(), spec)
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [4, 6])
    gallery = Gallery(
        (random.normal(size=(10, 16)) + 30 * labels[:, None]).astype(np.float32), labels, ("anger", "fear"),
        tuple(f"face{i}" for i in range(10)), model, k=3, threshold=2.5, images=np.zeros((10, 48, 48), np.uint8),
    )
    return {
        "model": (folder / "m.safetensors", model),
        "gallery": (folder / "g.safetensors", write_gallery(folder / "g.safetensors", gallery)),
    }


def run(*arguments, columns=120):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": str(columns)})


def test_a_model_tells_its_network_and_where_it_comes_from(files):
    path, fingerprint = files["model"]
    output = run(path).output
    for text in ("a model", "paper", "48 x 48", "standardize", "embedding of 16", fingerprint, "[made] up"):
        assert text in output


def test_a_gallery_tells_its_anchors(files):
    path, fingerprint = files["gallery"]
    output = run(path).output
    for text in ("a gallery", "10 anchors", "2.5", "48 x 48", fingerprint, files["model"][1], "anger", "fear", "100%"):
        assert text in output


@pytest.mark.parametrize("kind", ["model", "gallery"])
def test_a_fingerprint_is_in_one_line_of_a_narrow_terminal(files, kind):
    path, fingerprint = files[kind]
    assert fingerprint in run(path, columns=80).output


def test_json_is_for_programs(files):
    model = json.loads(run(files["model"][0], "--json").output)
    assert (model["kind"], model["embedding_dim"], model["provenance"]["seed"]) == ("model", 16, "3")
    gallery = json.loads(run(files["gallery"][0], "--json").output)
    assert gallery["kind"] == "gallery"
    assert gallery["model"] == model["fingerprint"]
    assert {label: entry["anchors"] for label, entry in gallery["classes"].items()} == {"anger": 4, "fear": 6}


def test_a_gallery_tells_whether_its_confidence_is_calibrated(files, tmp_path):
    assert "raw vote share" in run(files["gallery"][0]).output
    facts = json.loads(run(files["gallery"][0], "--json").output)
    assert (facts["sharpness"], facts["doubt"]) == (1, 0)
    path = tmp_path / "calibrated.safetensors"
    write_gallery(path, replace(read_gallery(files["gallery"][0]), sharpness=1.7, doubt=0.001))
    assert "calibrated (sharpness 1.7, doubt 0.001)" in run(path).output
    facts = json.loads(run(path, "--json").output)
    assert (facts["sharpness"], facts["doubt"]) == (1.7, 0.001)


def test_files_that_are_neither_are_refused(files, tmp_path):
    (tmp_path / "text.safetensors").write_text("hello")
    whole = files["gallery"][0].read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    for name, reason in (
        ("text.safetensors", "not a whole safetensors file"), ("cut.safetensors", "not a whole safetensors file"),
        ("missing.safetensors", "no such"), (".", "is a folder: name a model file in it"),
    ):
        result = run(tmp_path / name)
        assert result.exit_code == 2
        assert reason in result.output
        assert "Traceback" not in result.output
