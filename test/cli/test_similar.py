"""`siamese-emotion similar` as a user runs it, on made-up faces and a random network."""
from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from siamese_emotion_ros.cli.similar import similar
from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_model
from siamese_emotion_ros.recognition.networks import build_network

app = typer.Typer()
app.command()(similar)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a model, an anchor, and three faces like it among six."""
    torch.manual_seed(0)
    write_model(tmp_path / "model.safetensors", build_network("paper", 48, 16).state_dict(),
                ModelSpec("paper", 48, 16, "unit"))
    random = np.random.default_rng(0)
    (tmp_path / "faces").mkdir()
    for i, width in enumerate([4, 4, 4, 11, 11, 11, 4]):
        face = np.arange(48) // width % 2 * 120 + 60 + random.normal(0, 6, (48, 48))
        name = "anchor.png" if i == 6 else f"faces/{width}-{i}.png"
        cv2.imwrite(str(tmp_path / name), np.clip(face, 0, 255).astype(np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [*arguments, "--model", "model.safetensors"])


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_near_faces_come_first_on_sheet_and_table(place):
    result = run("anchor.png", "faces", "--top", "3")
    assert result.exit_code == 0, result.output
    assert [row["file"].split("-")[0] for row in rows(place / "similar.csv")] == ["4", "4", "4"]
    assert "3 of 6 faces" in result.output
    sheet = cv2.imread(str(place / "similar.png"))
    assert sheet.shape[1] > 3 * sheet.shape[0]  # four pictures in a row


def test_threshold_leaves_far_faces_out(place):
    run("anchor.png", "faces")
    distances = [float(row["distance"]) for row in rows(place / "similar.csv")]
    assert len(distances) == 6
    between = (distances[2] + distances[3]) / 2
    result = run("anchor.png", "faces", "--threshold", str(between), "--csv", "near.csv", "--sheet", "near.png")
    assert result.exit_code == 0, result.output
    assert [float(row["distance"]) for row in rows(place / "near.csv")] == distances[:3]


def test_nothing_near_enough_says_how_near_the_nearest_is(place):
    result = run("anchor.png", "faces", "--threshold", "1e-9")
    assert result.exit_code == 0
    assert "0 of 6 faces within 1e-09; the nearest is" in result.output
    assert rows(place / "similar.csv") == []


def test_files_are_overwritten_only_when_asked_and_pictures_never(place):
    (place / "similar.csv").write_text("mine")
    result = run("anchor.png", "faces")
    assert result.exit_code == 2 and "similar.csv exists already" in result.output
    assert (place / "similar.csv").read_text() == "mine" and not (place / "similar.png").exists()
    assert run("anchor.png", "faces", "--force").exit_code == 0
    assert len(rows(place / "similar.csv")) == 6
    for picture in ("anchor.png", "faces/4-0.png"):
        before = (place / picture).read_bytes()
        for flag in ("--sheet", "--csv"):
            result = run("anchor.png", "faces", "--force", flag, picture)
            assert result.exit_code == 2 and f"{picture} is one of the pictures that are compared" in result.output
        assert (place / picture).read_bytes() == before


@pytest.mark.parametrize("arguments, reason", [
    (["missing.png", "faces"], "missing.png: cannot be opened"),
    (["anchor.png", "missing"], "missing: is no folder"),
    (["anchor.png", "faces", "--crop", "maybe"], "crop is 'maybe'"),
])
def test_mistakes_are_one_line_and_exit_code_2(place, arguments, reason):
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.output
    assert not (place / "similar.png").exists()


def test_names_of_files_are_shown_as_they_are(place):
    (place / "faces").rename(place / "[copy]")
    (place / "more").mkdir()
    (place / "[copy]").rename(place / "more" / "[copy]")
    result = run("anchor.png", "more", "--top", "1")
    assert result.exit_code == 0 and rows(place / "similar.csv")[0]["file"] in result.output
