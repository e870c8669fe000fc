"""Retrieval: nearest first, the anchor left out, pictures without a face reported."""
from __future__ import annotations

import csv
import os

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.datasets.images import MAX_CROP_SIDE
from siamese_emotion_ros.evaluation.retrieval import Match, matches_csv, similar_faces, within


@pytest.fixture
def folder(tmp_path, make_faces):
    """Three faces of each emotion, with a broken image among them."""
    faces = make_faces(3, seed=1)
    (tmp_path / "sub").mkdir()
    for i, (face, label) in enumerate(zip(faces.faces, faces.labels)):
        cv2.imwrite(str(tmp_path / ("sub" if i % 2 else ".") / f"{faces.classes[label]}{i}.png"), face)
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


@pytest.fixture
def anchor(tmp_path_factory, make_faces):
    path = tmp_path_factory.mktemp("anchor") / "happy.png"
    faces = make_faces(1, seed=9)
    cv2.imwrite(str(path), faces.faces[1])
    return path


def test_faces_of_the_anchors_emotion_come_first(model, anchor, folder):
    face, matches, skipped = similar_faces(model, anchor, folder)
    assert face.shape == (48, 48)
    assert len(matches) == 9
    assert all("happiness" in match.name for match in matches[:3])
    distances = [match.distance for match in matches]
    assert distances == sorted(distances)
    expected = np.linalg.norm(model.embed([matches[4].face]) - model.embed([face]))
    assert matches[4].distance == pytest.approx(expected, rel=1e-4)
    assert [name for name, _ in skipped] == ["broken.png"]


def test_the_anchor_is_not_its_own_match(model, folder):
    anchor = folder / "happiness4.png"
    _, matches, _ = similar_faces(model, anchor, folder)
    assert len(matches) == 8
    assert "happiness4.png" not in [match.name for match in matches]


def test_a_file_name_that_is_no_text_can_still_be_written(model, anchor, folder):
    (folder / "happiness4.png").rename(folder / os.fsdecode(b"fr\xfch.png"))
    _, matches, _ = similar_faces(model, anchor, folder)
    assert r"fr\udcfch.png" in matches_csv(matches).encode("utf-8").decode()


def test_threshold_and_top_limit_the_matches():
    matches = [Match(str(i), float(i), np.zeros((2, 2), np.uint8)) for i in range(1, 6)]
    assert [match.name for match in within(matches, 3.0, None)] == ["1", "2", "3"]
    assert [match.name for match in within(matches, 3.0, 2)] == ["1", "2"]
    assert within(matches, 0.5, 3) == []
    assert within(matches, None, None) == matches


def test_csv_has_a_line_for_each_match():
    rows = list(csv.DictReader(matches_csv([Match('odd, "name".png', 1.5, np.zeros((2, 2), np.uint8))]).splitlines()))
    assert rows == [{"rank": "1", "file": 'odd, "name".png', "distance": "1.5"}]


def right_half(picture):
    return np.ascontiguousarray(picture[:, picture.shape[1] // 2 :, 0])


def test_a_face_is_looked_for_in_large_pictures_only(model, anchor, tmp_path, make_faces):
    face = make_faces(1, seed=9).faces[1]
    cv2.imwrite(str(tmp_path / "crop.png"), face)
    scene = np.zeros((48, 200), np.uint8)
    scene[:, 100:148] = face
    cv2.imwrite(str(tmp_path / "scene.png"), scene)
    cv2.imwrite(str(tmp_path / "largest_crop.png"), np.full((MAX_CROP_SIDE, MAX_CROP_SIDE), 255, np.uint8))

    def crop(picture):
        return right_half(picture)[:, :48]

    _, matches, _ = similar_faces(model, anchor, tmp_path, "auto", crop)
    assert [match.name for match in matches] == ["crop.png", "scene.png", "largest_crop.png"]
    assert [match.distance for match in matches[:2]] == pytest.approx([0, 0], abs=1e-3)
    assert matches[2].face.shape == (MAX_CROP_SIDE, MAX_CROP_SIDE), "nothing was cut out of it"
    _, matches, _ = similar_faces(model, anchor, tmp_path, "never", crop)
    assert {match.name: match.face.shape for match in matches} == {
        "crop.png": (48, 48), "scene.png": (31, 128), "largest_crop.png": (128, 128),
    }


def test_pictures_without_a_face_are_reported(model, anchor, tmp_path, make_faces):
    cv2.imwrite(str(tmp_path / "face.png"), make_faces(1).faces[0])
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((200, 200), np.uint8))
    _, matches, skipped = similar_faces(model, anchor, tmp_path, "auto", lambda picture: None)
    assert [match.name for match in matches] == ["face.png"]
    assert skipped == [("empty.png", "no face was found in it")]


@pytest.mark.parametrize("extension", ["png", "bmp"])
def test_a_picture_that_is_too_large_is_reported(model, anchor, tmp_path, make_faces, extension):
    cv2.imwrite(str(tmp_path / "face.png"), make_faces(1).faces[0])
    cv2.imwrite(str(tmp_path / f"wide.{extension}"), np.zeros((4, 9000), np.uint8))
    _, matches, skipped = similar_faces(model, anchor, tmp_path)
    assert [match.name for match in matches] == ["face.png"]
    assert [name for name, _ in skipped] == [f"wide.{extension}"] and "9000x4" in skipped[0].reason


def test_what_cannot_be_compared_is_refused(model, anchor, tmp_path):
    with pytest.raises(ValueError, match="none of 0 images"):
        similar_faces(model, anchor, tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        similar_faces(model, anchor, tmp_path / "missing")
    with pytest.raises(ValueError, match=r"missing\.png"):
        similar_faces(model, tmp_path / "missing.png", tmp_path)
    with pytest.raises(ValueError, match="crop is 'sometimes'"):
        similar_faces(model, anchor, tmp_path, "sometimes")
