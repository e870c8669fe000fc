"""`siamese-emotion gallery` on galleries that exist: inspect, condense, compare, merge, relabel, re-embed, verify."""
from __future__ import annotations

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.recognition.artifacts import ModelSpec, read_gallery, write_gallery, write_model
from siamese_emotion_ros.recognition.gallery import build_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.recognition.recognizer import Recognizer

LABELS = ("anger", "happiness", "neutral")


def stripes(label, count, seed):
    """Noisy stripes as wide as their label says: faces that any network tells apart."""
    random = np.random.default_rng(seed)
    plain = np.arange(48) // (2 + 4 * label) % 2 * 120 + 60
    return np.clip(plain + random.normal(0, 6, (count, 48, 48)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two models, a gallery with images and the same without, and a folder of other faces."""
    folder = tmp_path_factory.mktemp("files")
    for seed, name in enumerate(("model", "other")):
        torch.manual_seed(seed)
        spec = ModelSpec("paper", 48, 16, "standardize")
        write_model(folder / f"{name}.safetensors", build_network("paper", 48, 16).state_dict(), spec)
    faces = np.concatenate([stripes(label, 12, label) for label in range(3)])
    gallery = build_gallery(
        EmbeddingModel.load(folder / "model.safetensors", "cpu"), faces, np.repeat([0, 1, 2], 12), LABELS,
        [f"face{i}" for i in range(36)], k=3, image_size=48,
    )
    write_gallery(folder / "pictured.safetensors", replace(gallery, threshold=1e6))
    write_gallery(folder / "plain.safetensors", replace(gallery, images=None))
    for label, name in enumerate(LABELS):
        (folder / "faces" / name).mkdir(parents=True)
        for i, face in enumerate(stripes(label, 8, 100 + label)):
            cv2.imwrite(str(folder / "faces" / name / f"{i}.png"), face)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["gallery", *map(str, arguments)], env={"COLUMNS": "120"})


def succeeds(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(reason, *arguments, code=2):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert reason in result.output
    assert "Traceback" not in result.output


def test_inspect_draws_a_map_and_names_the_closest_of_two_emotions(files, tmp_path):
    plot = tmp_path / "map.png"
    output = succeeds("inspect", files / "plain.safetensors", "--plot", plot).output
    for text in ("36 anchors", *LABELS, "Closest anchors of different emotions"):
        assert text in output
    picture = cv2.imread(str(plot))
    assert picture is not None and len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    refused("--force", "inspect", files / "plain.safetensors", "--plot", plot)


def test_inspect_tells_programs_the_same(files):
    facts = json.loads(succeeds("inspect", files / "plain.safetensors", "--json").stdout)
    assert {label: facts["classes"][label]["anchors"] for label in LABELS} == dict.fromkeys(LABELS, 12)
    gallery = read_gallery(files / "plain.safetensors")
    closest = facts["nearest_confusions"][0]
    row, other = gallery.names.index(closest["name"]), gallery.names.index(closest["other_name"])
    apart = np.linalg.norm(gallery.embeddings[:, None] - gallery.embeddings[None], axis=2)
    apart[gallery.labels[:, None] == gallery.labels] = np.inf
    assert closest["distance"] == pytest.approx(apart.min(), rel=1e-3)
    assert apart[row, other] == pytest.approx(apart.min(), rel=1e-3)


def test_inspect_says_what_confidence_is(files, tmp_path):
    assert "raw vote share" in succeeds("inspect", files / "plain.safetensors").output
    calibrated = tmp_path / "calibrated.safetensors"
    write_gallery(calibrated, replace(read_gallery(files / "plain.safetensors"), sharpness=1.7, doubt=0.001))
    assert "calibrated (sharpness 1.7, doubt 0.001)" in succeeds("inspect", calibrated).output
    facts = json.loads(succeeds("inspect", calibrated, "--json").stdout)
    assert (facts["sharpness"], facts["doubt"]) == (1.7, 0.001)


def test_inspect_shows_names_of_anchors_as_they_are(files, tmp_path):
    gallery = read_gallery(files / "plain.safetensors")
    write_gallery(tmp_path / "g", replace(gallery, names=tuple(f"[copy]{i}" for i in range(len(gallery)))))
    assert succeeds("inspect", tmp_path / "g", "--confusions", "1").output.count("[copy]") == 2


@pytest.mark.parametrize("method", ["random", "herding", "hart", "kmeans", "edited"])
def test_a_condensed_gallery_still_names_new_faces(files, tmp_path, method):
    output = tmp_path / "few.safetensors"
    succeeds("condense", files / "pictured.safetensors", "--anchors", "9", "--method", method, "--k", "1",
             "--output", output)
    condensed = read_gallery(output)
    assert condensed.threshold is not None
    condensed = replace(condensed, threshold=None)
    assert 3 <= len(condensed) <= 9
    assert (condensed.images is None) == (method in ("kmeans", "edited"))
    recognizer = Recognizer(EmbeddingModel.load(files / "model.safetensors", "cpu"), condensed)
    for label, name in enumerate(LABELS):
        assert [result.label for result in recognizer.recognize(stripes(label, 4, 50 + label))] == [name] * 4


def test_compare_holds_every_method_against_the_full_gallery(files, tmp_path):
    table = tmp_path / "table.csv"
    output = succeeds(
        "compare", files / "plain.safetensors", "--dataset", "folder", "--root", files / "faces", "--model",
        files / "model.safetensors", "--sizes", "3,9", "--k", "1,3", "--seeds", "2", "--csv", table, "--device", "cpu",
    ).output
    assert "24 faces" in output
    rows = list(csv.DictReader(table.open()))
    assert [row["method"] for row in rows[:2]] == ["full", "full"]
    assert {(row["method"], row["k"]) for row in rows} == {
        (method, k) for method in ("full", "random", "herding", "hart", "kmeans", "edited") for k in "13"
    }
    assert float(rows[0]["top1"]) == 1
    for row in rows:
        assert float(row["lost"]) == pytest.approx(1 - float(row["top1"]), abs=1e-6)


def test_calibrate_sets_what_a_condensed_gallery_has_lost(files, tmp_path):
    few, output = tmp_path / "few.safetensors", tmp_path / "calibrated.safetensors"
    succeeds("condense", files / "plain.safetensors", "--anchors", "9", "--k", "3", "--output", few)
    assert read_gallery(few).threshold is None
    faces = ("--dataset", "folder", "--root", files / "faces", "--split", "all")
    result = succeeds("calibrate", few, "--model", files / "model.safetensors", *faces, "--known-share", "0.5",
                      "--output", output)
    assert "calibrated on 24 faces" in result.output
    after = read_gallery(output)
    embedder = EmbeddingModel.load(files / "model.safetensors", "cpu")
    asked = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((files / "faces").glob("*/*.png"))]
    known = [result.label != "unknown" for result in Recognizer(embedder, after).recognize(asked)]
    assert sum(known) == 12
    refused("give that model with --model", "calibrate", few, "--model", files / "other.safetensors", *faces,
            "--output", tmp_path / "no")


def test_compare_refuses_faces_that_are_anchors(files, tmp_path):
    own = tmp_path / "own.safetensors"
    gallery = read_gallery(files / "plain.safetensors")
    embeddings = gallery.embeddings.copy()
    asked = [cv2.imread(str(files / "faces" / label / "0.png"), cv2.IMREAD_GRAYSCALE) for label in LABELS]
    embeddings[::12] = EmbeddingModel.load(files / "model.safetensors", "cpu").embed(asked)
    write_gallery(own, replace(gallery, embeddings=embeddings), half=True)
    refused("3 of the 24 faces are anchors", "compare", own, "--dataset", "folder", "--root", files / "faces",
            "--model", files / "model.safetensors")


def test_merge_takes_what_is_in_both_once(files, tmp_path):
    gallery = read_gallery(files / "plain.safetensors")
    first, second, whole = (tmp_path / f"{name}.safetensors" for name in ("first", "second", "whole"))
    write_gallery(first, gallery.restrict(("anger", "happiness")))
    write_gallery(second, gallery.restrict(("happiness", "neutral")))
    output = succeeds("merge", first, second, "--output", whole).output
    assert "12 anchors were in more than one gallery" in output
    assert read_gallery(whole).fingerprint == gallery.fingerprint


def test_a_threshold_without_end_is_none(files, tmp_path):
    whole = tmp_path / "whole.safetensors"
    succeeds("merge", files / "plain.safetensors", files / "plain.safetensors", "--threshold", "inf", "--output", whole)
    assert read_gallery(whole).threshold is None
    assert json.loads(succeeds("inspect", whole, "--json").stdout)["threshold"] is None


def test_merge_says_that_calibration_is_gone(files, tmp_path):
    calibrated, whole = tmp_path / "calibrated.safetensors", tmp_path / "whole.safetensors"
    write_gallery(calibrated, replace(read_gallery(files / "pictured.safetensors"), sharpness=2.0, doubt=0.5))
    output = succeeds("merge", calibrated, files / "plain.safetensors", "--output", whole).output
    assert "confidence is no longer calibrated: `gallery calibrate` finds" in output
    assert "no longer" not in succeeds("merge", calibrated, calibrated, "--output", whole, "--force").output


def test_merge_names_the_galleries_of_two_models(files, tmp_path):
    other = tmp_path / "other.safetensors"
    write_gallery(other, replace(read_gallery(files / "plain.safetensors"), model_fingerprint="0" * 64))
    refused("000000000000: neither has images, so build one of them for the other's model with `gallery build`",
            "merge", files / "plain.safetensors", files / "pictured.safetensors", other, "--output", tmp_path / "whole")


def test_relabel_renames_classes_and_corrects_anchors(files, tmp_path):
    table, output = tmp_path / "labels.csv", tmp_path / "out.safetensors"
    table.write_text("name,label\nface1,neutral\nface2,neutral\n")
    succeeds("relabel", files / "plain.safetensors", "--rename", "happiness=smile", "--anchor", "face0=smile",
             "--table", table, "--output", output)
    relabelled = read_gallery(output)
    assert relabelled.classes == ("anger", "smile", "neutral")
    assert [relabelled.classes[label] for label in relabelled.labels[:4]] == ["smile", "neutral", "neutral", "anger"]
    assert relabelled.counts.tolist() == [9, 13, 14]


@pytest.mark.parametrize(
    "more, reason",
    [
        ((), "nothing to change"),
        (("--rename", "anger"), "expected such as smile=happiness"),
        (("--rename", "angr=fear"), "no class 'angr'"),
        (("--anchor", "nobody=fear"), "no anchor 'nobody'"),
        (("--rename", "anger=unknown"), "unknown"),
        (("--rename", "anger=fear", "--rename", "anger=neutral"), "twice"),
    ],
)
def test_a_relabelling_that_makes_no_sense_writes_nothing(files, tmp_path, more, reason):
    output = tmp_path / "out.safetensors"
    refused(reason, "relabel", files / "plain.safetensors", "--output", output, *more)
    assert not output.exists()


def test_a_missing_table_of_labels_is_named_with_its_option(files, tmp_path):
    refused("nope.csv: cannot be read (No such file or directory): check the path of --table",
            "relabel", files / "plain.safetensors", "--output", tmp_path / "o", "--table", "nope.csv")


@pytest.mark.parametrize(
    "text, reason",
    [("face,emotion\n", "columns name and label"), ("name,label\nface0,\n", "line 2"),
     ("name,label\nface0,fear\nface0,anger\n", "second label")],
)
def test_a_table_of_labels_that_is_wrong_is_refused_by_line(files, tmp_path, text, reason):
    table = tmp_path / "labels.csv"
    table.write_text(text)
    refused(reason, "relabel", files / "plain.safetensors", "--output", tmp_path / "o", "--table", table)


def test_re_embed_makes_the_gallery_fit_another_model(files, tmp_path):
    output = tmp_path / "other.safetensors"
    refused("made for", "verify", files / "plain.safetensors", "--model", files / "other.safetensors", code=1)
    result = succeeds("re-embed", files / "pictured.safetensors", "--model", files / "other.safetensors", "--output",
                      output, "--device", "cpu")
    assert "there is none now" in result.output
    succeeds("verify", output, "--model", files / "other.safetensors")
    recognizer = Recognizer(EmbeddingModel.load(files / "other.safetensors", "cpu"), read_gallery(output))
    assert recognizer.recognize(stripes(1, 1, 9))[0].label == "happiness"
    refused("embeddings only", "re-embed", files / "plain.safetensors", "--model", files / "other.safetensors",
            "--output", tmp_path / "no.safetensors")


def test_verify_finds_what_is_wrong(files, tmp_path):
    assert "usable" in succeeds("verify", files / "pictured.safetensors", "--model", files / "model.safetensors").output
    gallery = read_gallery(files / "pictured.safetensors")
    swapped = tmp_path / "swapped.safetensors"
    write_gallery(swapped, replace(gallery, images=np.roll(gallery.images, 12, axis=0)))
    refused("do not give the embedding beside them", "verify", swapped, "--model", files / "model.safetensors", code=1)
    twice = tmp_path / "twice.safetensors"
    write_gallery(twice, gallery.select(np.array([0, 0, 12, 24, 25])))
    assert "1 anchors are there more than once" in succeeds("verify", twice).output
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes((files / "plain.safetensors").read_bytes()[:-100])
    refused("not a whole safetensors file", "verify", torn)


def commands(files, output):
    gallery = files / "pictured.safetensors"
    return {
        "condense": ("condense", gallery, "--anchors", "6", "--output", output),
        "merge": ("merge", gallery, files / "plain.safetensors", "--output", output),
        "relabel": ("relabel", gallery, "--rename", "anger=fear", "--output", output),
        "re-embed": ("re-embed", gallery, "--model", files / "other.safetensors", "--output", output),
    }


@pytest.mark.parametrize("command", ["condense", "merge", "relabel", "re-embed"])
def test_nothing_is_overwritten_unasked(files, tmp_path, command):
    output = tmp_path / "out.safetensors"
    output.write_bytes(b"precious")
    arguments = commands(files, output)[command]
    refused("--force", *arguments)
    assert output.read_bytes() == b"precious"
    succeeds(*arguments, "--force")
    assert len(read_gallery(output)) > 2


@pytest.mark.parametrize("command", ["condense", "merge", "relabel", "re-embed"])
def test_a_write_that_fails_leaves_the_old_file(files, tmp_path, command, monkeypatch):
    output = tmp_path / "out.safetensors"
    output.write_bytes(b"precious")

    def full_disk(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("siamese_emotion_ros.recognition.artifacts.os.fsync", full_disk)
    refused("No space left", *commands(files, output)[command], "--force")
    assert output.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [output]
