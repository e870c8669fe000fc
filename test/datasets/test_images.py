from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.datasets.images import ImageError, image_files, read_bgr, read_face


def test_lossless_face_is_read_exactly(tmp_path, write_image, texture):
    np.testing.assert_array_equal(read_face(write_image(tmp_path / "face.png", 3)), texture(3))


def test_large_face_is_reduced_to_what_the_robot_sends(tmp_path, write_image):
    face = read_face(write_image(tmp_path / "face.png", 3, side=300))
    assert face.shape == (128, 128) and face.dtype == np.uint8


def test_name_with_accents(tmp_path, write_image):
    assert read_face(write_image(tmp_path / "joy.png", 3).rename(tmp_path / "joie à trois 喜.png")).shape == (48, 48)


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "pgm", "tif", "webp"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_cut_off_file_is_refused(extension, kept, tmp_path, write_image):
    path = write_image(tmp_path / f"face.{extension}", 1)
    read_face(path)
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * kept)])
    with pytest.raises(ImageError):
        read_face(path)


@pytest.mark.parametrize("content, reason", [(b"", "is empty"), (b"GIF89a, not really", "not an image")])
def test_no_image(content, reason, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason):
        read_bgr(path)


def test_missing_file(tmp_path):
    with pytest.raises(ImageError, match="No such file"):
        read_bgr(tmp_path / "face.png")


def test_image_files_are_sorted_deep_and_visible(tmp_path, write_image):
    for name in ("b/2.JPG", "b/10.jpg", "a.png", ".hidden/1.png", "b/._2.jpg"):
        write_image(tmp_path / name.lower(), 1).rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)] == ["a.png", "b/10.jpg", "b/2.JPG"]
