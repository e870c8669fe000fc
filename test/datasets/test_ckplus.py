from __future__ import annotations

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.datasets.face_set import DataSetError
from siamese_emotion_ros.datasets.load import load
from siamese_emotion_ros.datasets.splits import split
from siamese_emotion_ros.recognition.emotions import EIGHT


@pytest.fixture
def write_sequence(tmp_path, write_image):
    """write_sequence("S010", "004", frames, emotion file's text or None): part of a full release."""

    def write(subject, sequence, frames, emotion, images="cohn-kanade-images", emotions="Emotion"):
        stems = [f"{subject}_{sequence}_{i:08d}" for i in range(1, frames + 1)]
        for i, stem in enumerate(stems):
            write_image(tmp_path / images / subject / sequence / f"{stem}.png", seed=i, side=64)
        folder = tmp_path / emotions / subject / sequence
        folder.mkdir(parents=True, exist_ok=True)
        if emotion is not None:
            (folder / f"{stems[-1] if stems else 'x'}_emotion.txt").write_text(emotion)

    return write


def named_labels(faceset):
    return {name: faceset.classes[label] for name, label in zip(faceset.names, faceset.labels)}


def test_full_release_takes_the_last_three_frames_of_labelled_sequences(
        tmp_path, write_sequence, centre_cropper, texture):
    write_sequence("S005", "001", 11, "   3.0000000e+00\n")
    write_sequence("S010", "002", 14, "   7.0000000e+00\n")
    write_sequence("S010", "003", 5, None)
    faceset = load("ckplus", tmp_path, cropper=centre_cropper)
    assert named_labels(faceset) == {
        "S005_001_00000009": "disgust", "S005_001_00000010": "disgust", "S005_001_00000011": "disgust",
        "S010_002_00000012": "surprise", "S010_002_00000013": "surprise", "S010_002_00000014": "surprise",
    }
    assert faceset.subjects == ("S005",) * 3 + ("S010",) * 3
    assert faceset.groups == ("S005_001",) * 3 + ("S010_002",) * 3
    assert faceset.classes == tuple(name for name in EIGHT if name != "neutral")
    assert faceset.skipped == ()
    np.testing.assert_array_equal(faceset.faces[0], texture(8, 64)[16:48, 16:48])


@pytest.mark.parametrize("code, label", enumerate(
    ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"), start=1))
def test_each_emotion_code_becomes_its_label(code, label, tmp_path, write_sequence, centre_cropper):
    write_sequence("S005", "001", 3, f"   {code}.0000000e+00\n")
    assert set(named_labels(load("ckplus", tmp_path, cropper=centre_cropper)).values()) == {label}


def test_first_frame_is_neutral_when_asked(tmp_path, write_sequence, centre_cropper):
    write_sequence("S005", "001", 11, "   3.0000000e+00\n")
    write_sequence("S006", "001", 3, "   1.0000000e+00\n")
    faceset = load("ckplus", tmp_path, neutral=True, cropper=centre_cropper)
    labels = named_labels(faceset)
    assert labels["S005_001_00000001"] == "neutral"
    assert labels["S006_001_00000001"] == "anger", "a frame has one label"
    assert faceset.classes == EIGHT and len(faceset) == 7


def test_folders_as_the_archives_unpack(tmp_path, write_sequence, centre_cropper):
    write_sequence("S005", "001", 4, "   5.0000000e+00\n",
                   images="extended-cohn-kanade-images/cohn-kanade-images", emotions="Emotion_labels/Emotion")
    assert set(named_labels(load("ckplus", tmp_path, cropper=centre_cropper)).values()) == {"happiness"}


@pytest.mark.parametrize("text", ["", "happy", "   0.0000000e+00", "   8.0000000e+00", "2.5", "nan", "1 2"])
def test_wrong_emotion_file_is_skipped_and_named(text, tmp_path, write_sequence, centre_cropper):
    write_sequence("S005", "001", 4, "   5.0000000e+00\n")
    write_sequence("S006", "002", 4, text)
    faceset = load("ckplus", tmp_path, cropper=centre_cropper)
    assert set(faceset.subjects) == {"S005"}
    [(name, reason)] = faceset.skipped
    assert name == "S006_002_00000004_emotion.txt" and "1 to 7" in reason


def test_broken_frame_missing_frames_and_no_face_are_reported(tmp_path, write_sequence, centre_cropper):
    write_sequence("S005", "001", 4, "   5.0000000e+00\n")
    write_sequence("S006", "001", 0, "   5.0000000e+00\n")
    images = tmp_path / "cohn-kanade-images" / "S005" / "001"
    (images / "S005_001_00000003.png").write_bytes(b"")
    cv2.imwrite(str(images / "S005_001_00000004.png"), np.zeros((64, 64), np.uint8))
    faceset = load("ckplus", tmp_path, cropper=centre_cropper)
    assert faceset.names == ("S005_001_00000002",)
    reasons = dict(faceset.skipped)
    assert reasons["S005_001_00000003"] == "is empty"
    assert "no face" in reasons["S005_001_00000004"]
    assert "no images" in reasons["x_emotion.txt"]


def test_a_copy_of_a_folder_for_each_emotion_is_read(tmp_path, write_image, texture):
    for i, folder in enumerate(("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")):
        write_image(tmp_path / folder / f"S010_00{i}_00000017.png", i)
        write_image(tmp_path / folder / f"S011_00{i}_00000018.png", 10 + i)
    faceset = load("ckplus", tmp_path)
    assert faceset.counts() == dict.fromkeys(faceset.classes, 2)
    assert named_labels(faceset)["contempt/S010_001_00000017.png"] == "contempt"
    assert named_labels(faceset)["disgust/S010_002_00000017.png"] == "disgust"
    assert faceset.subjects[:2] == ("S010", "S011")
    assert faceset.groups[:2] == ("S010_000", "S011_000")
    np.testing.assert_array_equal(faceset.faces[0], texture(0))


def test_reduced_copy_reports_names_without_a_sequence(tmp_path, write_image):
    write_image(tmp_path / "fear" / "S010_004_00000017.png", 1)
    write_image(tmp_path / "fear" / "scared.png", 2)
    faceset = load("ckplus", tmp_path)
    assert [name for name, _ in faceset.skipped] == ["fear/scared.png"]


def test_sequences_stay_in_one_split(tmp_path, write_image):
    for subject in range(20):
        for frame in range(3):
            write_image(tmp_path / "fear" / f"S{subject:03d}_001_{frame:08d}.png", 3 * subject + frame, side=8)
    faceset = load("ckplus", tmp_path)
    parts = split(faceset, "stratified")
    groups = [{faceset.groups[i] for i in indices} for indices in parts.values()]
    assert sum(map(len, groups)) == 20
    with pytest.warns(UserWarning, match="leaks"):
        split(faceset, "paper")


def test_reduced_copy_has_no_neutral_frames(tmp_path, write_image):
    write_image(tmp_path / "fear" / "S010_004_00000017.png", 1)
    with pytest.raises(DataSetError, match="full one"):
        load("ckplus", tmp_path, neutral=True)


@pytest.mark.parametrize("folder", ["bored", "neutral"])
def test_folder_that_ckplus_does_not_have(folder, tmp_path, write_image):
    write_image(tmp_path / "fear" / "S010_004_00000017.png", 1)
    write_image(tmp_path / folder / "S010_004_00000018.png", 1)
    with pytest.raises(DataSetError, match=folder):
        load("ckplus", tmp_path)


def test_images_without_emotions_and_an_empty_root(tmp_path, write_image):
    with pytest.raises(DataSetError, match="cohn-kanade-images and Emotion"):
        load("ckplus", tmp_path)
    write_image(tmp_path / "cohn-kanade-images" / "S005" / "001" / "S005_001_00000001.png", 1)
    with pytest.raises(DataSetError, match="cohn-kanade-images and Emotion"):
        load("ckplus", tmp_path)
