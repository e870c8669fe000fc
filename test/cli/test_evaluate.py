"""`siamese-emotion evaluate` as a user runs it, on made-up folders and a random network."""
from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from siamese_emotion_ros.cli import evaluate as command
from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_gallery, write_model
from siamese_emotion_ros.recognition.gallery import build_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.shipped import DEFAULT_GALLERIES, DEFAULT_MODEL

app = typer.Typer()
app.command()(command.evaluate)

EMOTIONS = ("anger", "happiness", "sadness")


def striped(label, seed):
    noise = np.random.default_rng(seed).normal(0, 6, (48, 48))
    return np.clip(np.arange(48) // (2 + 4 * label) % 2 * 120 + 60 + noise, 0, 255).astype(np.uint8)


def write_folder(root, per_class, seed, emotions=EMOTIONS):
    for label, emotion in enumerate(emotions):
        (root / emotion).mkdir(parents=True)
        for i in range(per_class):
            cv2.imwrite(str(root / emotion / f"{i}.png"), striped(label, [seed, label, i]))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "faces", 4, seed=1)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("others") / "faces", 5, seed=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(path, build_network("paper", 48, 16).state_dict(), ModelSpec("paper", 48, 16, "unit"))
    return path


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("gallery") / "made.gallery.safetensors"
    labels = np.arange(12) % 3
    faces = [striped(label, [9, i]) for i, label in enumerate(labels)]
    names = [f"anchor{i}" for i in range(12)]
    write_gallery(path, build_gallery(EmbeddingModel.load(model, "cpu"), faces, labels, EMOTIONS, names, k=3))
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def report_of(tmp_path, *arguments):
    path = tmp_path / "report.json"
    result = run(*arguments, "--json", path)
    assert result.exit_code == 0, result.output
    return json.loads(path.read_text()), result.output


def test_separable_faces_are_all_named_rightly(data, model, gallery, tmp_path):
    report, output = report_of(
        tmp_path, "--dataset", "folder", "--root", data, "--model", model, "--gallery", gallery, "--html",
        tmp_path / "report.html",
    )
    assert report["top1"] == report["macro_f1"] == report["mean_one_vs_rest"] == 1
    assert report["n"] == 12
    assert report["unknown_rate"] == 0
    assert report["per_class"]["anger"]["TN"] == 8
    assert (report["dataset"], report["split"], report["classes"]) == ("folder", "all", list(EMOTIONS))
    assert report["notices"] == []
    assert "100.0" in output
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_too_few_faces_for_an_interval_have_a_dash(model, gallery, tmp_path):
    few = write_folder(tmp_path / "faces", 1, seed=4)
    _, output = report_of(tmp_path, "--dataset", "folder", "--root", few, "--model", model, "--gallery", gallery)
    assert re.search(r"k-NN, k 3 +3 +100\.0 +– +100\.0", output)


def test_paths_are_told_as_they_are_and_on_one_line(data, model, gallery, tmp_path):
    path = tmp_path / "[copy]" / "of:cat:s" / ("long" * 20)
    result = run("--dataset", "folder", "--root", data, "--model", model, "--gallery", gallery, "--json", path)
    assert result.exit_code == 0 and path.is_file()
    assert f"wrote {path}\n" in result.output
    refused = run("--dataset", "[/b]", "--root", data, "--model", model, "--gallery", gallery)
    assert refused.exit_code == 2 and "unknown data set '[/b]'" in refused.output


def test_classes_restrict_faces_and_gallery(data, model, gallery, tmp_path):
    report, _ = report_of(tmp_path, "--dataset", "folder", "--root", data, "--model", model, "--gallery", gallery,
                          "--classes", "sad,happy")
    assert report["classes"] == ["sadness", "happiness"]
    assert report["n"] == 8
    assert report["anchors"] == 8


def test_threshold_and_k_are_used(data, model, gallery, tmp_path):
    report, output = report_of(tmp_path, "--dataset", "folder", "--root", data, "--model", model, "--gallery", gallery,
                               "--threshold", "1e-6", "--k", "5")
    assert (report["unknown_rate"], report["top1"], report["top1_without_threshold"]) == (1, 0, 1)
    assert (report["k"], report["threshold"]) == (5, 1e-6)
    assert "unknown beyond 1e-06" in output


def test_only_the_named_part_of_a_split_is_evaluated(data, others, model, gallery, tmp_path):
    root = tmp_path / "split"
    root.mkdir()
    for name, source in (("train", data), ("val", others)):
        (root / name).symlink_to(source)
    report, _ = report_of(tmp_path, "--dataset", "folder", "--root", root, "--model", model, "--gallery", gallery,
                          "--split", "val")
    assert report["split"] == "official:val"
    assert report["n"] == 15


def test_anchors_may_come_from_another_data_set(data, others, model, tmp_path):
    report, _ = report_of(tmp_path, "--query", f"folder:{data}", "--anchors", f"folder:{others}", "--model", model,
                          "--k", "3")
    assert report["top1"] == 1
    assert report["anchors"] == 15
    assert report["anchors_dataset"] == "folder, all"


def test_pictures_on_both_sides_are_no_anchors(data, model, tmp_path):
    both = write_folder(tmp_path / "both", 3, seed=7)
    copied = data / "anger" / "0.png"
    (both / "anger" / "copy.png").write_bytes(copied.read_bytes())
    report, output = report_of(tmp_path, "--query", f"folder:{data}", "--anchors", f"folder:{both}", "--model", model)
    assert report["anchors"] == 9
    assert "1 anchors were left out" in output


def test_anchors_that_are_all_asked_about_are_refused(data, model):
    result = run("--query", f"folder:{data}", "--anchors", f"folder:{data}", "--model", model)
    assert result.exit_code == 2 and "anchors are among the evaluated faces" in result.output


def test_options_are_told_in_the_report(data, model, gallery, tmp_path):
    page = tmp_path / "page.html"
    report, output = report_of(tmp_path, "--query", f"folder:{data}", "--model", model, "--gallery", gallery,
                               "--option", "crop=false", "--html", page)
    assert report["facts"]["options"] == "crop=False" and report["split"] == "all"
    assert "folder, all, crop=False: " in output
    assert "<h1>folder, all, crop=False</h1>" in page.read_text(encoding="utf-8")


def test_one_data_set_lends_its_train_part_to_its_test_part(tmp_path, model):
    root = write_folder(tmp_path / "one", 20, seed=3)
    report, _ = report_of(tmp_path, "--query", f"folder:{root}", "--split", "test", "--anchors", f"folder:{root}",
                          "--model", model, "--k", "3")
    assert report["anchors_dataset"] == "folder, stratified:train"
    assert (report["n"], report["anchors"]) == (9, 42)
    assert report["queries_among_anchors"] == 0


def test_loader_options_reach_the_loader(data, model, gallery):
    result = run("--query", f"folder:{data}", "--model", model, "--gallery", gallery, "--option", "colour=red")
    assert result.exit_code == 2
    assert "has no option colour" in result.output


@pytest.mark.parametrize("name, classes", [
    ("a", "a"), ("a", "fear,neutral,surprise,happiness,anger"), ("b", "b"), ("seven", None), ("seven", "seven"),
    ("seven", "anger,fear"),
])
def test_the_default_gallery_is_the_shipped_one_for_the_classes(data, monkeypatch, tmp_path, name, classes, model):
    (tmp_path / DEFAULT_MODEL).write_bytes(model.read_bytes())
    monkeypatch.setattr("siamese_emotion_ros.shipped.shipped_path", lambda _, file: tmp_path / file)
    result = run("--dataset", "folder", "--root", data, *(["--classes", classes] if classes else []))
    assert result.exit_code == 2
    assert DEFAULT_GALLERIES.format(name) in result.output


def test_personal_neutral_is_measured_where_people_are_known(model, monkeypatch, tmp_path):
    emotions = ("anger", "happiness", "neutral")
    labels = np.arange(36) % 3
    faces = FaceSet(
        np.stack([striped(label, [5, i]) for i, label in enumerate(labels)]), labels, emotions,
        tuple(f"face{i}" for i in range(36)), subjects=tuple(f"person{i // 9}" for i in range(36)),
    )
    gallery = tmp_path / "neutral.gallery.safetensors"
    anchors, embedder = [striped(label, [8, i]) for i, label in enumerate(labels)], EmbeddingModel.load(model, "cpu")
    write_gallery(gallery, build_gallery(embedder, anchors, labels, emotions, faces.names, k=3))
    monkeypatch.setattr("siamese_emotion_ros.cli.loading.load_faces", lambda *_, **__: faces)
    common = ["--dataset", "ckplus", "--root", tmp_path, "--model", model, "--gallery", gallery]
    report, output = report_of(tmp_path, *common, "--personal", "--personal-faces", "2", "--html", tmp_path / "a.html")
    assert (report["n"], report["personal"]["plain"]["n"]) == (36, 28)
    assert report["personal"]["people"] == 4
    assert "personal neutral, learnt from 8 faces of 4 people: top-1 +0.0 points" in output
    assert "the same, personal neutral" in (tmp_path / "a.html").read_text()
    report, output = report_of(tmp_path, *common)
    assert "personal" not in report and "personal neutral" not in output


def test_personal_neutral_needs_to_know_who_is_pictured(data, model, gallery):
    result = run("--dataset", "folder", "--root", data, "--model", model, "--gallery", gallery, "--personal")
    assert result.exit_code == 2
    assert "does not tell who is pictured" in result.output


@pytest.mark.parametrize("arguments, reason", [
    (["--dataset", "folder"], "give --dataset and --root"),
    (["--query", "folder"], "expected a data set and its place"),
    (["--query", "folder:x", "--root", "y"], "give either --query or those two"),
    (["--query", "folder:x", "--anchors-split", "train"], "are about --anchors"),
    (["--query", "folder:x", "--anchors", "folder:y", "--gallery", "z"], "two sources of anchors"),
    (["--query", "folder:x", "--option", "crop"], "expected KEY=VALUE"),
    (["--query", "folder:x", "--option", "a={"], "is not YAML"),
    (["--query", "folder:x", "--option", "a=!!bool x"], "is not YAML"),
    (["--query", "folder:x", "--seed", "4294967296"], "4294967295"),
    (["--query", "folder:x", "--threshold", "-1"], "distance_threshold is -1"),
    (["--query", "folder:~/nothing"], f"{Path('~/nothing').expanduser()}: "),
    (["--query", "folder:x", "--json", "same", "--html", "same"], "same is named for two outputs"),
    (["--query", "folder:x", "--classes", "joyful,sad"], "unknown emotion 'joyful'"),
])
def test_mistakes_are_one_line_and_exit_code_2(arguments, reason):
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.output
    assert "Traceback" not in result.output


def test_what_does_not_fit_is_refused_with_the_reason(data, model, gallery, tmp_path):
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    write_model(other, build_network("paper", 48, 16).state_dict(), ModelSpec("paper", 48, 16, "unit"))
    common = ["--dataset", "folder", "--root", data, "--gallery", gallery]
    for arguments, reason in (
        (["--model", other], f"{gallery} was made for model"), (["--model", other], f"and {other} is "),
        (["--model", gallery], "expected a model file"),
        (["--model", model, "--classes", "anger,fear"], "the gallery has no fear"),
        (["--model", model, "--split", "vall"], "unknown split 'vall'"),
        (["--model", model, "--k", "100"], "k is 100"),
    ):
        result = run(*common, *arguments)
        assert result.exit_code == 2
        assert reason in result.output
