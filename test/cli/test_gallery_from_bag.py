"""`siamese-emotion gallery build --dataset bag`: the labelled faces of a recording as anchors."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.evaluation.bag_faces import load_bag
from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_gallery, write_model
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.recognition.recognizer import Recognizer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(path, build_network("paper", 48, 16).state_dict(), ModelSpec("paper", 48, 16, "standardize"))
    return path


@pytest.fixture(scope="module")
def portraits(small_portrait):
    """Two 320x240 pictures of one face each, uint8 BGR: as it is, and mirrored in half the light."""
    return small_portrait, small_portrait[:, ::-1] // 2


@pytest.fixture(scope="module")
def recording(tmp_path_factory, bag_making, portraits):
    """Ten images a second: five bright ones, two with nobody, six dark ones; somebody says which are which."""
    bright, dark = portraits
    path = tmp_path_factory.mktemp("recording") / "party"
    clip = [bright] * 5 + [np.zeros_like(bright)] * 2 + [dark] * 6
    return bag_making.pictures_bag(path, clip, labels=[(0.0, "happy"), (0.65, "sad"), (0.65, "smirk"), (0.7, "sad")])


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("start,end,label\n0.1,0.5,happy\n0.7,9,sad\n")
    return path


def build(model, recording, output, *options, more=()):
    arguments = ["--model", model, "--dataset", "bag", "--root", recording, "--output", output, "--k", 1]
    for option in ("detector=haar", *options):
        arguments += ["--option", option]
    return CliRunner().invoke(app, ["gallery", "build", *map(str, [*arguments, *more])], env={"COLUMNS": "200"})


def test_faces_become_anchors_under_the_label_of_their_moment(model, recording, truth, tmp_path):
    output = tmp_path / "g.safetensors"
    result = build(model, recording, output, f"truth={truth}", "per_second=0")
    assert result.exit_code == 0, result.output
    gallery = read_gallery(output)
    assert gallery.classes == ("happiness", "sadness") and gallery.counts.tolist() == [4, 6]
    assert gallery.names[0] == "party/image 1/face 1" and gallery.names[4].startswith("party/image 7/face ")
    assert "left out 1 faces: no true label at that time" in result.output
    recognizer = Recognizer(EmbeddingModel.load(model, "cpu"), gallery)
    crops = load_bag(recording, str(truth), detector="haar", per_second=0).faces
    assert [seen.label for seen in recognizer.recognize(crops)] == 4 * ["happiness"] + 6 * ["sadness"]


def test_a_recorded_topic_says_it_too_and_what_is_no_emotion_is_told(model, recording, tmp_path):
    output = tmp_path / "g.safetensors"
    result = build(model, recording, output, "truth=/truth", "per_second=0")
    assert result.exit_code == 0, result.output
    assert read_gallery(output).counts.tolist() == [5, 6]
    assert "'smirk', 1 times, is no emotion" in result.output


def test_of_pictures_that_are_nearly_the_same_a_few_are_taken(model, recording, truth, tmp_path):
    output = tmp_path / "g.safetensors"
    result = build(model, recording, output, f"truth={truth}", "per_second=5")
    assert result.exit_code == 0, result.output
    # At 0.1 and 0.3 s; and, as another face, at 0.7, 0.9 and 1.1 s.
    assert read_gallery(output).counts.tolist() == [2, 3]
    assert "left out 5 faces: another of the 5 a second of that person was taken" in result.output


def test_some_stay_back_to_calibrate_when_asked(model, tmp_path, bag_making, portraits):
    """Eight appearances of each label are eight groups, which a split keeps together."""
    bright, dark = portraits
    nobody = np.zeros_like(bright)
    clip = [picture for _ in range(8) for picture in [bright] * 3 + [nobody] * 2 + [dark] * 3 + [nobody] * 2]
    random = np.random.default_rng(0)
    clip = [np.clip(picture + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8) for picture in clip]
    path = bag_making.pictures_bag(tmp_path / "long", clip)
    rows = [f"{t:.1f},{t + 0.4:.1f},happy\n{t + 0.5:.1f},{t + 0.9:.1f},sad" for t in range(8)]
    (tmp_path / "long.csv").write_text("\n".join(["start,end,label", *rows]))
    options = f"truth={tmp_path / 'long.csv'}", "per_second=0"
    result = build(model, path, tmp_path / "g.safetensors", *options, more=("--known-share", "0.9"))
    assert result.exit_code == 2 and "--split stratified keeps some back" in result.output
    more = ("--known-share", "0.9", "--split", "stratified")
    result = build(model, path, tmp_path / "g.safetensors", *options, more=more)
    assert result.exit_code == 0, result.output
    gallery = read_gallery(tmp_path / "g.safetensors")
    assert gallery.threshold is not None and len(gallery) < 48
    again = load_bag(path, f"{tmp_path / 'long.csv'}", detector="haar", per_second=0)
    group_of = dict(zip(again.names, again.groups))
    kept = {group_of[name] for name in gallery.names}
    assert sum(group in kept for group in again.groups) == len(gallery), "a group is in the gallery or it is not"


@pytest.mark.parametrize(
    "options, reason",
    [
        ((), "what do the faces of"),
        (("truth=/nothing",), "/nothing is neither a topic of"),
        (("truth=/truth", "image=/other"), "no images on /other"),
        (("truth=/truth", "speed=2"), "bag has no option speed: it has truth, image"),
        (("truth=/truth", "min_focus=9"), "blurred"),
        (("truth=/truth", "per_second=-1"), "per_second is -1: expected a number, 0 or more"),
        (("truth=/truth", "min_score=high"), "min_score is 'high': expected a number"),
        (("truth=5",), "truth is 5: expected text"),
        (("truth=late.csv",), "do its times and the images' stamps belong together?"),
    ],
)
def test_what_cannot_be_built_is_one_line_and_no_file(model, recording, tmp_path, monkeypatch, options, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "late.csv").write_text("start,end,label\n100,200,happy\n")
    result = build(model, recording, tmp_path / "g.safetensors", *options)
    assert result.exit_code == 2 and reason in result.output, result.output
    assert not (tmp_path / "g.safetensors").exists()


def test_a_folder_of_faces_becomes_a_gallery_whole(model, tmp_path):
    random = np.random.default_rng(0)
    for label in ("anger", "neutral"):
        (tmp_path / "faces" / label).mkdir(parents=True)
        for number in range(4):
            cv2.imwrite(str(tmp_path / "faces" / label / f"{number}.png"), random.integers(0, 256, (48, 48), np.uint8))
    arguments = ["--model", model, "--root", tmp_path / "faces", "--output", tmp_path / "g", "--k", 3]
    result = CliRunner().invoke(app, ["gallery", "build", "--dataset", "folder", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    gallery = read_gallery(tmp_path / "g")
    assert gallery.classes == ("anger", "neutral") and gallery.counts.tolist() == [4, 4]
