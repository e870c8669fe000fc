from __future__ import annotations

import os

import numpy as np
import pytest

from siamese_emotion_ros.datasets.face_set import DataSetError
from siamese_emotion_ros.datasets.load import load
from siamese_emotion_ros.datasets.splits import split


def named_labels(faceset):
    return {name: faceset.classes[label] for name, label in zip(faceset.names, faceset.labels)}


def test_folders_map_to_canonical_emotions(tmp_path, write_image, texture):
    write_image(tmp_path / "Happy" / "1.png", 1)
    write_image(tmp_path / "SADNESS" / "holiday" / "2.png", 2)
    write_image(tmp_path / "af" / "3.jpg", 3)
    faceset = load("folder", tmp_path)
    assert named_labels(faceset) == {
        "Happy/1.png": "happiness", "SADNESS/holiday/2.png": "sadness", "af/3.jpg": "fear"}
    assert faceset.classes == ("fear", "happiness", "sadness")
    assert faceset.official_split is None and faceset.subjects is None
    np.testing.assert_array_equal(faceset.faces[0], texture(1))


def test_a_file_name_that_is_no_text_is_spelled_out(tmp_path, write_image):
    for name in (b"fr\xfch.png", b"two\nlines.png"):  # Latin-1, as old archives have it, and worse
        write_image(tmp_path / "happy" / "1.png", len(name)).rename(tmp_path / "happy" / os.fsdecode(name))
    write_image(tmp_path / "happy" / "früh.png", 3)
    (tmp_path / "happy" / os.fsdecode(b"\xfc.png")).write_bytes(b"broken")
    faceset = load("folder", tmp_path)
    assert set(faceset.names) == {r"happy/fr\udcfch.png", r"happy/two\nlines.png", "happy/früh.png"}
    assert [name for name, _ in faceset.skipped] == [r"happy/\udcfc.png"]


def test_unknown_folder_is_named_with_the_known_emotions(tmp_path, write_image):
    write_image(tmp_path / "happy" / "1.png", 1)
    write_image(tmp_path / "bored" / "1.png", 1)
    with pytest.raises(DataSetError, match=r"bored.*anger, contempt"):
        load("folder", tmp_path)


def test_images_without_folders_are_told_how_they_should_lie(tmp_path, write_image):
    write_image(tmp_path / "anger" / "1.png", 1)
    with pytest.raises(DataSetError, match="no folders in it: expected one of images for each emotion"):
        load("folder", tmp_path / "anger")


def test_broken_image_is_skipped_with_its_reason(tmp_path, write_image):
    write_image(tmp_path / "happy" / "1.png", 1)
    (tmp_path / "happy" / "2.png").write_bytes(b"not an image")
    (tmp_path / "happy" / "notes.txt").write_text("not meant to be one")
    faceset = load("folder", tmp_path)
    assert faceset.names == ("happy/1.png",)
    assert [name for name, _ in faceset.skipped] == ["happy/2.png"]


@pytest.mark.parametrize("content", [None, b"broken"])
def test_a_folder_without_a_readable_image_is_refused(content, tmp_path):
    (tmp_path / "happy").mkdir()
    if content is not None:
        (tmp_path / "happy" / "1.png").write_bytes(content)
    found = "none of 1 files" if content is not None else r"no image was found \(\.bmp, .*\.webp\)"
    with pytest.raises(DataSetError, match=found):
        load("folder", tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataSetError, match="no folder"):
        load("folder", tmp_path / "nowhere")


def test_crop_finds_the_face_in_each_picture(tmp_path, write_image, centre_cropper, texture):
    write_image(tmp_path / "happy" / "1.png", 1, side=64)
    faceset = load("folder", tmp_path, crop=True, cropper=centre_cropper)
    np.testing.assert_array_equal(faceset.faces[0], texture(1, 64)[16:48, 16:48])


def test_identical_pictures_stay_in_one_split(tmp_path, write_image):
    for i in range(30):
        write_image(tmp_path / "happy" / f"{i}.png", i // 2, side=8)
    faceset = load("folder", tmp_path)
    for indices in split(faceset, "stratified").values():
        seeds = [int(faceset.names[i].split("/")[1][:-4]) // 2 for i in indices]
        assert all(seeds.count(seed) == 2 for seed in seeds)


def test_split_folders_are_the_official_split_without_leaks(tmp_path, write_image):
    write_image(tmp_path / "train" / "happy" / "1.png", 1)
    write_image(tmp_path / "train" / "sad" / "2.png", 2)
    write_image(tmp_path / "validation" / "happy" / "1.png", 1)
    write_image(tmp_path / "test" / "sad" / "3.png", 3)
    faceset = load("folder", tmp_path)
    assert dict(zip(faceset.names, faceset.official_split.tolist())) == {
        "train/sad/2.png": "train", "validation/happy/1.png": "val", "test/sad/3.png": "test"}
    assert faceset.left_out_counts() == {"train face that occurs in val": 1}


def test_the_same_file_name_under_two_labels(tmp_path, write_image):
    write_image(tmp_path / "happy" / "1.png", 1)
    write_image(tmp_path / "sad" / "1.png", 2)
    assert len(load("folder", tmp_path)) == 2
