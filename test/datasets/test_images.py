from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.datasets.images import ImageError, image_files, read_bgr, read_face


def test_lossless_face_is_read_exactly(tmp_path, write_image, texture):
    np.testing.assert_array_equal(read_face(write_image(tmp_path / "face.png", 3)), texture(3))


def test_large_face_is_reduced_to_what_the_robot_sends(tmp_path, write_image, texture):
    face = read_face(write_image(tmp_path / "face.png", 3, side=256))
    assert face.shape == (128, 128) and face.dtype == np.uint8
    averages = texture(3, 256).reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert np.abs(face - averages).max() <= 0.5, "every pixel counts, so that fine texture does not alias"


def test_reduced_face_keeps_its_shape(tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), np.zeros((400, 200), np.uint8))
    assert read_face(tmp_path / "face.png").shape == (128, 64)


def test_a_file_whose_name_has_accents_is_read(tmp_path, write_image):
    assert read_face(write_image(tmp_path / "joy.png", 3).rename(tmp_path / "joie à trois 喜.png")).shape == (48, 48)


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "pgm", "tif", "webp"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_cut_off_file_is_refused(extension, kept, tmp_path, write_image):
    path = write_image(tmp_path / f"face.{extension}", 1)
    read_face(path)
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * kept)])
    # These two are refused before OpenCV sees them: its older releases fill the missing part up with gray.
    reason = "truncated" if extension in ("png", "jpg") else None
    with pytest.raises(ImageError, match=reason):
        read_face(path)


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_what_a_phone_appends_to_a_picture_does_no_harm(extension, tmp_path, write_image):
    path = write_image(tmp_path / f"face.{extension}", 1)
    alone = read_face(path)
    path.write_bytes(path.read_bytes() + b"\xff\xda and more" + bytes(6000))
    np.testing.assert_array_equal(read_face(path), alone)


@pytest.mark.parametrize("content, reason", [(b"", "is empty"), (b"GIF89a, not really", "not an image")])
def test_what_is_no_image_is_refused_with_the_reason(content, reason, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason):
        read_bgr(path)


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_a_promise_of_too_many_pixels_is_refused_before_it_is_decoded(extension, tmp_path, write_image, monkeypatch):
    path = write_image(tmp_path / f"face.{extension}", 1)
    side, promised = (struct.pack(">II" if extension == "png" else ">HH", size, size) for size in (48, 16000))
    path.write_bytes(path.read_bytes().replace(side, promised, 1))
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match="cannot be used: the image is 16000x16000: expected sides of at most 8192"):
        read_bgr(path)


def test_a_pipe_among_the_images_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "face.png")
    monkeypatch.setattr(Path, "read_bytes", None)
    with pytest.raises(ImageError, match="is no file, but a folder, a pipe or a device"):
        read_bgr(tmp_path / "face.png")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="No such file"):
        read_bgr(tmp_path / "face.png")


def test_image_files_are_sorted_deep_and_visible(tmp_path, write_image):
    for name in ("b/2.JPG", "b/10.jpg", "a.png", ".hidden/1.png", "b/._2.jpg"):
        write_image(tmp_path / name.lower(), 1).rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)] == ["a.png", "b/10.jpg", "b/2.JPG"]
