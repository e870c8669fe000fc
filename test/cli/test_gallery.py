"""`siamese-emotion gallery build` on a made-up data set."""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_gallery, read_model, write_model
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.recognition.recognizer import Recognizer

LABELS = ("anger", "happiness", "neutral")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = build_network("paper", 48, 16)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(path, network.state_dict(), ModelSpec("paper", 48, 16, "standardize"))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty noisy copies of one texture for each label: faces that any network tells apart."""
    random = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("faces")
    for label in LABELS:
        (root / label).mkdir()
        texture = random.integers(0, 256, (48, 48))
        for i in range(20):
            noisy = np.clip(texture + random.normal(0, 5, texture.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / label / f"{i}.png"), noisy)
    return root


def build(model, folder, output, *more):
    arguments = ["--model", model, "--dataset", "folder", "--root", folder, "--split", "stratified", "--output", output]
    texts = [str(text) for text in (*arguments, "--classes", ",".join(LABELS), "--device", "cpu", *more)]
    return CliRunner().invoke(app, ["gallery", "build", *texts])


def test_the_gallery_names_the_faces_it_was_built_from(model, folder, tmp_path):
    output = tmp_path / "g.safetensors"
    result = build(model, folder, output, "--k", "3", "--image-size", "48")
    assert result.exit_code == 0, result.output
    gallery = read_gallery(output)
    assert gallery.classes == LABELS and gallery.k == 3 and gallery.threshold is None
    recognizer = Recognizer(EmbeddingModel.load(model, "cpu"), gallery)
    for label in LABELS:
        face = cv2.imread(str(folder / label / "0.png"), cv2.IMREAD_GRAYSCALE)
        assert recognizer.recognize([face])[0].label == label


def test_its_name_is_told_as_it_is_and_bars_leave_no_empty_lines(model, folder, tmp_path):
    output = tmp_path / "[copy]" / "g.safetensors"
    told = build(model, folder, output).output
    assert f"wrote {output} (" in told and "" not in told.splitlines()


def test_condensed_half_and_calibrated(model, folder, tmp_path):
    output = tmp_path / "g.safetensors"
    result = build(model, folder, output, "--anchors", "12", "--k", "3", "--half", "--known-share", "0.9")
    assert result.exit_code == 0, result.output
    gallery = read_gallery(output)
    assert gallery.counts.tolist() == [4, 4, 4]
    assert gallery.threshold is not None and gallery.threshold > 0


@pytest.mark.parametrize("method", ["herding", "hart", "kmeans", "edited"])
def test_built_and_condensed_in_one_go(model, folder, tmp_path, method):
    output = tmp_path / "g.safetensors"
    result = build(model, folder, output, "--anchors", "9", "--method", method, "--k", "3")
    assert result.exit_code == 0, result.output
    gallery = read_gallery(output)
    assert gallery.classes == LABELS and 3 <= len(gallery) <= 9


def test_the_models_head_may_say_which_anchors_are_clear(model, folder, tmp_path):
    weights, spec = read_model(model).weights, read_model(model).spec
    whole, edited, kmeans = (tmp_path / f"{name}.safetensors" for name in ("whole", "edited", "kmeans"))
    assert build(model, folder, whole).exit_code == 0
    gallery = read_gallery(whole)
    means = np.stack([gallery.embeddings[gallery.labels == label].mean(axis=0) for label in range(3)])
    state = {name: torch.tensor(values) for name, values in weights.items()}
    state["head.weight"], state["head.bias"] = torch.tensor(means), -torch.tensor((means**2).sum(axis=1)) / 2
    judge = tmp_path / "judge.safetensors"
    write_model(judge, state, replace(spec, head_classes=LABELS))
    few = ("--anchors", "9", "--k", "3")
    result = build(judge, folder, edited, "--method", "edited", "--judge", "head", *few)
    assert result.exit_code == 0, result.output
    assert build(judge, folder, kmeans, "--method", "kmeans", *few).exit_code == 0
    assert read_gallery(edited).fingerprint == read_gallery(kmeans).fingerprint, "it names them all rightly"


@pytest.mark.parametrize("corrected", [(), ("--corrected", "0.6")])
def test_voters_who_agree_may_say_what_an_anchor_shows(model, tmp_path, corrected):
    """Three happy faces: the voters see anger in one, doubt the next between two, and are sure of the third."""
    random = np.random.default_rng(0)
    faces = [" ".join(map(str, random.integers(0, 256, 48 * 48))) for _ in range(6)]
    rows = [f"{code},{face},Training" for code, face in zip((3, 3, 3, 0, 6, 6), faces)]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    votes = ["0,0,0,0,10,0,0,0,0,0", "5,5,0,0,0,0,0,0,0,0", "0,10,0,0,0,0,0,0,0,0", "0,0,0,0,10,0,0,0,0,0",
             "10,0,0,0,0,0,0,0,0,0", "10,0,0,0,0,0,0,0,0,0"]
    names = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    (tmp_path / "fer2013new.csv").write_text("\n".join([names, *(f"Training,x.png,{vote}" for vote in votes)]) + "\n")
    output = tmp_path / "g.safetensors"
    arguments = ["--model", model, "--root", tmp_path, "--split", "all", "--k", "1", "--output", output,
                 "--classes", "anger,happiness,neutral", "--device", "cpu", *corrected]
    result = CliRunner().invoke(app, ["gallery", "build", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    gallery = read_gallery(output)
    told = {name: gallery.classes[label] for name, label in zip(gallery.names, gallery.labels)}
    first = "anger" if corrected else "happiness"
    assert [told[f"fer{row:07d}"] for row in range(3)] == [first, "happiness", "happiness"]


@pytest.mark.parametrize(
    "more, reason",
    [
        (("--known-share", "95"), "--known-share is 95"),
        (("--method", "magic"), "unknown condensation method 'magic'"),
        (("--judge", "jury"), "unknown judge 'jury' of clear anchors: expected one of neighbors, head"),
        (("--method", "kmeans", "--judge", "head"), "--judge head decides which anchors are clear, which --method"),
        (("--method", "edited", "--judge", "head"), "head knows nothing: it has none"),
        (("--k", "500"), "k is 500"),
        (("--anchors", "2"), "anchors is 2"),
        (("--device", "tpu"), "device is 'tpu'"),
        (("--split", "random"), "random"),
        (("--image-size", "0"), "--image-size"),
        (("--option", "progress=1"), "progress is 1: expected a function"),
    ],
)
def test_what_cannot_be_built_is_one_line_and_no_file(model, folder, tmp_path, more, reason):
    output = tmp_path / "g.safetensors"
    anchors = ("--anchors", "12") if "--method" in more else ()
    result = build(model, folder, output, *anchors, *more)
    assert result.exit_code == 2
    assert reason in result.output
    assert not output.exists()


@pytest.mark.parametrize("more, reason", [
    (("--k", "0"), "--k is 0: expected 1 to"),
    (("--anchors", "12", "--method", "random"), "--k is 15: expected 1 to 12"),
    (("--anchors", "2", "--method", "kmeans"), "anchors is 2"),
    (("--anchors", "12", "--method", "edited", "--balance", "2"), "balance is 2"),
])
def test_numbers_that_cannot_be_are_refused_before_faces_are_embedded(
    model, folder, tmp_path, monkeypatch, more, reason
):
    monkeypatch.setattr(EmbeddingModel, "embed", lambda *_: pytest.fail("embedded in vain"))
    result = build(model, folder, tmp_path / "g", *more)
    assert result.exit_code == 2 and reason in result.output


def test_a_gallery_is_not_overwritten_unasked(model, folder, tmp_path):
    output = tmp_path / "g.safetensors"
    output.write_bytes(b"precious")
    result = build(model, folder, output)
    assert result.exit_code == 2 and "--force" in result.output
    assert output.read_bytes() == b"precious"
    assert build(model, folder, output, "--force").exit_code == 0
    assert len(read_gallery(output)) > 30
