"""`siamese-emotion robustness` as a user runs it."""
from __future__ import annotations

import cv2
import numpy as np
import torch
from typer.testing import CliRunner

from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_gallery, write_model
from siamese_emotion_ros.recognition.gallery import build_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network


def test_table_csv_and_plot_of_a_folder(tmp_path):
    torch.manual_seed(0)
    spec = ModelSpec("compact", 32, 8, "standardize")
    write_model(tmp_path / "m", build_network("compact", 32, 8).state_dict(), spec)
    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (6, 32, 32), dtype=np.uint8)
    for row, face in enumerate(faces):
        folder = tmp_path / "faces" / ("anger", "fear")[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.png"), face)
    model = EmbeddingModel.load(tmp_path / "m", "cpu")
    write_gallery(tmp_path / "g", build_gallery(
        model, faces, np.arange(6) % 2, ("anger", "fear"), [f"face{row}" for row in range(6)], k=1
    ))
    result = CliRunner().invoke(app, [
        "robustness", "--dataset", "folder", "--root", str(tmp_path / "faces"), "--model", str(tmp_path / "m"),
        "--gallery", str(tmp_path / "g"), "--csv", str(tmp_path / "r.csv"), "--plot", str(tmp_path / "r.png"),
    ])
    assert result.exit_code == 0, result.output
    assert "quality 10" in result.output and "6 faces" in result.output
    assert "\nsiamese-emotion: 6 of the 6 faces are anchors of the gallery" in "\n" + result.output
    assert (tmp_path / "r.csv").read_text().splitlines()[1].startswith("as they are,,6,1.0000")
    assert cv2.imread(str(tmp_path / "r.png")).shape[0] > 500


def test_missing_faces_are_one_line():
    result = CliRunner().invoke(app, ["robustness", "--model", "m", "--gallery", "g"])
    assert result.exit_code == 2 and "no data set: give --dataset and --root" in result.output
