from __future__ import annotations

import gzip
import lzma
import zipfile

import numpy as np
import pytest

from siamese_emotion_ros.datasets.face_set import DataSetError
from siamese_emotion_ros.datasets.fer2013 import EMOTION_CODES
from siamese_emotion_ros.datasets.load import load


def emotion_names(faceset):
    return [faceset.classes[label] for label in faceset.labels]


def test_reads_pixels_labels_names_and_official_split(write_fer, fer_row, texture):
    usages = ["Training"] * 5 + ["PublicTest", "PrivateTest"]
    root = write_fer([fer_row(i, i, usage) for i, usage in enumerate(usages)])
    faceset = load("fer2013", root)
    assert emotion_names(faceset) == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    assert faceset.faces.shape == (7, 48, 48)
    for i in range(7):
        np.testing.assert_array_equal(faceset.faces[i], texture(i))
    assert faceset.names[6] == "fer0000006"
    assert faceset.official_split.tolist() == ["train"] * 5 + ["val", "test"]
    assert faceset.skipped == () and faceset.left_out == ()


def test_a_csv_may_lack_private_test(write_fer, fer_row):
    faceset = load("fer2013", write_fer([fer_row(0), fer_row(1, 3, "PublicTest")]))
    assert faceset.official_split.tolist() == ["train", "val"]


def _xz(path, data):
    path.write_bytes(lzma.compress(data))


def _gz(path, data):
    path.write_bytes(gzip.compress(data))


def _zip(path, data):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/fer2013.csv", data)
        archive.writestr("data/readme.txt", "not this one")


@pytest.mark.parametrize("name, compress", [
    ("fer2013.csv.xz", _xz), ("fer2013.csv.gz", _gz), ("fer2013.csv.zip", _zip), ("fer2013.zip", _zip),
])
@pytest.mark.parametrize("by", ["file", "folder"])
def test_compressed_csv_reads_like_the_plain_one(name, compress, by, tmp_path, write_fer, fer_row):
    plain = write_fer([fer_row(i, i % 7) for i in range(9)])
    expected = load("fer2013", plain)
    folder = tmp_path / "packed"
    folder.mkdir()
    compress(folder / name, plain.read_bytes())
    faceset = load("fer2013", folder / name if by == "file" else folder)
    np.testing.assert_array_equal(faceset.faces, expected.faces)
    np.testing.assert_array_equal(faceset.labels, expected.labels)


@pytest.mark.parametrize("name, compress", [("f.csv.xz", _xz), ("f.csv.gz", _gz), ("f.zip", _zip)])
@pytest.mark.parametrize("damage", ["cut off", "overwritten", "empty"])
def test_damaged_archive_is_an_error_and_not_a_smaller_data_set(
        name, compress, damage, tmp_path, write_fer, fer_row):
    path = tmp_path / name
    compress(path, write_fer([fer_row(i) for i in range(20)]).read_bytes())
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes({"cut off": data[:half], "overwritten": data[:half] + b"\0" * 100 + data[half + 100:],
                      "empty": b""}[damage])
    with pytest.raises(DataSetError, match=name):
        load("fer2013", path)


def test_zip_with_two_tables_asks_which(tmp_path):
    with zipfile.ZipFile(tmp_path / "fer2013.zip", "w") as archive:
        archive.writestr("train.csv", "emotion,pixels\n")
        archive.writestr("test.csv", "pixels\n")
    with pytest.raises(DataSetError, match="2 csv files"):
        load("fer2013", tmp_path)


GOOD = " ".join(["7"] * 2304)


@pytest.mark.parametrize("row, reason", [
    (f"7,{GOOD},Training", "emotion is '7'"),
    (f"-1,{GOOD},Training", "emotion is '-1'"),
    (f",{GOOD},Training", "emotion is ''"),
    (f"3,{GOOD},training", "usage is 'training'"),
    (f"3,{GOOD}", "2 fields"),
    (f"3,{GOOD[:-2]},Training", "2303 pixels"),
    (f"3,{GOOD} 7,Training", "2305 pixels"),
    (f"3,{GOOD[:-1]}256,Training", "256"),
    (f"3,{GOOD[:-1]}99999999999999999999,Training", "expected 0 to 255"),
    (f"3,{GOOD[:-1]}-7,Training", "'-'"),
    (f"3,{GOOD[:-1]}7.5,Training", "'.'"),
    (f"3,{GOOD[:-1]}nan,Training", "'nan'"),
    ("3,,Training", "pixels hold ''"),
    ("", "1 fields"),
    ("\x00\xff", "1 fields"),
])
def test_broken_row_is_skipped_and_named(row, reason, write_fer, fer_row):
    faceset = load("fer2013", write_fer([fer_row(0), row, fer_row(2, 5)]))
    assert faceset.names == ("fer0000000", "fer0000002")
    assert emotion_names(faceset) == ["anger", "surprise"]
    [(name, why)] = faceset.skipped
    assert name == "fer0000001"
    assert reason in why


def test_blank_lines_at_the_end_are_no_rows(write_fer, fer_row):
    faceset = load("fer2013", write_fer([fer_row(0), "", fer_row(2), "", " "]))
    assert faceset.names == ("fer0000000", "fer0000002")
    assert [name for name, _ in faceset.skipped] == ["fer0000001"]


def test_nothing_readable_is_an_error_that_shows_the_first_reason(write_fer):
    with pytest.raises(DataSetError, match=r"none of 2 rows.*emotion is '9'"):
        load("fer2013", write_fer([f"9,{GOOD},Training", "3,7,Training"]))
    with pytest.raises(DataSetError, match="no row"):
        load("fer2013", write_fer([]))


@pytest.mark.parametrize("header", ["emotion,pixels", "pixels,emotion,use", "", "PK\x03\x04"])
def test_wrong_header_is_shown_beside_the_expected_one(header, write_fer, fer_row):
    with pytest.raises(DataSetError, match="emotion,pixels,Usage"):
        load("fer2013", write_fer([fer_row(0)], header=header))


def test_columns_in_another_order_windows_line_ends_and_quotes(tmp_path, fer_row, texture):
    emotion, pixels, usage = fer_row(4, 6).split(",")
    (tmp_path / "icml_face_data.csv").write_bytes(
        f'\ufeffemotion, Usage, pixels\r\n{emotion},{usage},"{pixels}"\r\n'.encode())
    faceset = load("fer2013", tmp_path)
    np.testing.assert_array_equal(faceset.faces[0], texture(4))
    assert emotion_names(faceset) == ["neutral"]


def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(b"emotion,pixels,Usage\n3," + b"7 " * 100_000)
    with pytest.raises(DataSetError, match="line 2 is longer"):
        load("fer2013", path)


@pytest.mark.parametrize("missing", ["nowhere", "nowhere/fer2013.csv"])
def test_a_missing_csv_is_refused(missing, tmp_path):
    with pytest.raises(DataSetError, match=r"fer2013\.csv"):
        load("fer2013", tmp_path / missing)


def test_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(DataSetError, match="train/<label>"):
        load("fer2013", tmp_path)


def test_progress_ends_with_everything_done(write_fer, fer_row):
    path = write_fer([fer_row(i) for i in range(300)])
    calls = []
    load("fer2013", path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (path.stat().st_size, path.stat().st_size)
    assert len(calls) > 1
    assert calls == sorted(calls)


@pytest.fixture
def repeated(write_fer, fer_row):
    """Pictures 1, 2, 3 occur again: 1 in val, 2 in test, 3 in train (under two labels); 4 in val and test."""
    return write_fer([
        fer_row(0), fer_row(1), fer_row(2), fer_row(3, 0), fer_row(3, 4), fer_row(1, 2),
        fer_row(1, 3, "PublicTest"), fer_row(5, 3, "PublicTest"), fer_row(5, 6, "PublicTest"),
        fer_row(4, 3, "PublicTest"), fer_row(4, 3, "PrivateTest"), fer_row(2, 3, "PrivateTest"),
    ])


def test_repeats_across_splits_are_left_out_of_training(repeated):
    faceset = load("fer2013", repeated)
    assert faceset.names == tuple(f"fer{row:07d}" for row in (0, 3, 4, 6, 7, 9, 10, 11))
    assert faceset.left_out_counts() == {
        "train face that occurs in val": 2, "train face that occurs in test": 1, "repeat inside val": 1,
    }


def test_repeats_that_stay_share_a_group(repeated):
    faceset = load("fer2013", repeated, keep_repeats=True)
    assert len(faceset) == 12 and faceset.left_out == ()
    group = dict(zip(faceset.names, faceset.groups))
    assert group["fer0000001"] == group["fer0000005"] == group["fer0000006"]
    assert group["fer0000003"] == group["fer0000004"] != group["fer0000000"]
    assert len(set(faceset.groups)) == 6


def test_exclude_file_leaves_named_faces_out(write_fer, fer_row, tmp_path):
    root = write_fer([fer_row(i) for i in range(4)])
    names = tmp_path / "in_private_test.txt"
    names.write_text("fer0000001  # also in PrivateTest\n\n# fer0000002\nfer0000003\n")
    faceset = load("fer2013", root, exclude_file=names)
    assert faceset.names == ("fer0000000", "fer0000002")
    assert faceset.left_out_counts() == {"named in in_private_test.txt": 2}
    names.write_text("fer0000001\nfer0000003\n", encoding="utf-8-sig")
    assert load("fer2013", root, exclude_file=names).names == ("fer0000000", "fer0000002")
    names.write_text("fer0000009\n")
    with pytest.raises(DataSetError, match="fer0000009"):
        load("fer2013", root, exclude_file=names)


def test_folders_of_train_and_test_are_read_with_their_split(tmp_path, write_image):
    for i, code in enumerate(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")):
        write_image(tmp_path / "train" / code / f"Training_{i}.png", i)
        write_image(tmp_path / "test" / code / f"PublicTest_{i}.png", 10 + i)
        write_image(tmp_path / "test" / code / f"{i}.jpg", 20 + i)
    faceset = load("fer2013", tmp_path)
    assert len(faceset) == 21
    assert set(emotion_names(faceset)) == set(EMOTION_CODES)
    split = dict(zip(faceset.names, faceset.official_split.tolist()))
    assert split["train/happy/Training_3.png"] == "train"
    assert split["test/happy/PublicTest_3.png"] == "val"
    assert split["test/happy/3.jpg"] == "test"


def test_progress_through_folders_counts_images(tmp_path, write_image):
    for i in range(3):
        write_image(tmp_path / "train" / "sad" / f"{i}.png", i)
    calls = []
    load("fer2013", tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (3, 3)


def test_folder_layout_leaves_repeats_out_of_training(tmp_path, write_image):
    write_image(tmp_path / "train" / "angry" / "1.png", 1)
    write_image(tmp_path / "train" / "angry" / "2.png", 2)
    write_image(tmp_path / "test" / "sad" / "1.png", 1)
    faceset = load("fer2013", tmp_path)
    assert faceset.names == ("test/sad/1.png", "train/angry/2.png")
    assert faceset.left_out_counts() == {"train face that occurs in test": 1}


def test_folder_layout_with_a_label_that_fer2013_does_not_have(tmp_path, write_image):
    write_image(tmp_path / "train" / "contempt" / "1.png", 1)
    with pytest.raises(DataSetError, match="contempt"):
        load("fer2013", tmp_path)


def test_options_are_checked(write_fer, fer_row, tmp_path, write_image):
    root = write_fer([fer_row(0)])
    with pytest.raises(DataSetError, match="expected 'fer' or 'ferplus'"):
        load("fer2013", root, labels="ck")
    with pytest.raises(DataSetError, match="fer2013new.csv"):
        load("fer2013", root, labels="ferplus")
    write_image(tmp_path / "folders" / "train" / "sad" / "1.png", 1)
    with pytest.raises(DataSetError, match="rows of fer2013.csv"):
        load("fer2013", tmp_path / "folders", ferplus=tmp_path / "fer2013new.csv")
