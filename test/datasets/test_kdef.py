from __future__ import annotations

import pytest

from siamese_emotion_ros.datasets.face_set import DataSetError
from siamese_emotion_ros.datasets.load import load
from siamese_emotion_ros.recognition.emotions import SEVEN


@pytest.fixture
def kdef(tmp_path, write_image):
    """Two women, one man, all emotions and angles of AF01, in KDEF's folders."""
    seed = 0
    for emotion in ("AF", "AN", "DI", "HA", "NE", "SA", "SU"):
        for angle in ("FL", "HL", "S", "HR", "FR"):
            write_image(tmp_path / "AF01" / f"AF01{emotion}{angle}.JPG", seed, side=64)
            seed += 1
    write_image(tmp_path / "BF01" / "BF01ANS.JPG", 100, side=64)
    write_image(tmp_path / "AM35" / "AM35SUHL.JPG", 101, side=64)
    return tmp_path


def test_names_tell_label_subject_and_shot(kdef, centre_cropper):
    faceset = load("kdef", kdef, cropper=centre_cropper)
    assert len(faceset) == 37 and faceset.skipped == ()
    assert faceset.classes == SEVEN
    row = {name: i for i, name in enumerate(faceset.names)}
    for code, label in (("AF", "fear"), ("AN", "anger"), ("DI", "disgust"), ("HA", "happiness"),
                        ("NE", "neutral"), ("SA", "sadness"), ("SU", "surprise")):
        assert faceset.classes[faceset.labels[row[f"AF01/AF01{code}S.JPG"]]] == label
    assert faceset.subjects[row["AF01/AF01ANS.JPG"]] == faceset.subjects[row["BF01/BF01ANS.JPG"]] == "F01"
    assert faceset.groups[row["AF01/AF01ANS.JPG"]] == faceset.groups[row["AF01/AF01ANFL.JPG"]]
    assert faceset.groups[row["AF01/AF01ANS.JPG"]] != faceset.groups[row["BF01/BF01ANS.JPG"]]
    assert all(face.shape == (32, 32) for face in faceset.faces), "cropped"


@pytest.mark.parametrize("angles, count", [(("S",), 8), (("s", "HL"), 16), (("FR",), 7)])
def test_only_the_angles_asked_for_are_read(angles, count, kdef, centre_cropper):
    faceset = load("kdef", kdef, angles=angles, cropper=centre_cropper)
    assert len(faceset) == count and faceset.skipped == ()
    assert all(name[:-4].upper().endswith(tuple(a.upper() for a in angles)) for name in faceset.names)


@pytest.mark.parametrize("angles", [(), ("S", "UP"), ("HLHR",)])
def test_unknown_angles_are_refused_naming_the_known(angles, kdef, centre_cropper):
    with pytest.raises(DataSetError, match="S, HL, HR, FL, FR"):
        load("kdef", kdef, angles=angles, cropper=centre_cropper)


def test_misnamed_and_broken_files_are_reported(kdef, write_image, centre_cropper):
    write_image(kdef / "AF31" / "AF31V.JPG", 200)
    (kdef / "AF01" / "AF01ANS.JPG").write_bytes(b"\xff\xd8 cut")
    faceset = load("kdef", kdef, cropper=centre_cropper)
    assert {name for name, _ in faceset.skipped} == {"AF31/AF31V.JPG", "AF01/AF01ANS.JPG"}
    assert len(faceset) == 36


def test_missing_root_and_a_set_without_a_face(tmp_path, write_image):
    with pytest.raises(DataSetError, match="no folder"):
        load("kdef", tmp_path / "nowhere", cropper=lambda image: None)
    write_image(tmp_path / "AF01ANS.JPG", 1)
    with pytest.raises(DataSetError, match="none of 1 files.*no face was found"):
        load("kdef", tmp_path, cropper=lambda image: None)


def test_progress_counts_images(kdef, centre_cropper):
    calls = []
    load("kdef", kdef, angles=("S",), cropper=centre_cropper, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 8) for i in range(1, 9)]
