"""ONNX Runtime finds with libfacedetection's network what the library finds, or leaves the work to it."""
from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.faces import libfacedetection, yunet_onnx
from siamese_emotion_ros.faces.yunet_onnx import onnx_search

yuface = pytest.importorskip("yuface")
for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    return ctypes.CDLL(str(Path(yuface.__file__).with_name("libfacedetection.so")))


def several_faces(portrait: np.ndarray) -> np.ndarray:
    """The face in five sizes, in the middle and at three borders."""
    picture = np.full((400, 560, 3), 90, np.uint8)
    face = portrait[40:220, 130:310]
    for side, top, left in ((180, 100, 180), (90, 0, 20), (60, 340, 100), (40, 60, 460), (120, 280, 500)):
        smaller = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        part = picture[top : top + side, left : left + side]
        part[:] = smaller[: part.shape[0], : part.shape[1]]
    return picture


@pytest.mark.parametrize("width", [560, 320, 321, 200, 97, 31])
def test_it_answers_as_the_library_does(portrait, library, width):
    picture = several_faces(portrait)
    height = round(width * picture.shape[0] / picture.shape[1])
    image = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    expected = libfacedetection.without_gil(library)(image)[:, :15]
    found = onnx_search(library)(image)
    # Scores and places are cut to whole numbers, so the last digit of the arithmetic may turn one into the next.
    np.testing.assert_allclose(found, expected, atol=1)
    assert width < 200 or len(expected) >= 3


def test_nothing_is_found_in_nothing(library):
    search = onnx_search(library)
    for shape in ((1, 1, 3), (240, 320, 3), (3, 400, 3)):
        assert search(np.zeros(shape, np.uint8)).shape == (0, 15)


def test_another_network_or_a_library_without_one_is_left_alone(library, monkeypatch):
    assert onnx_search(ctypes.CDLL(None)) is None
    monkeypatch.setattr(yunet_onnx, "PAIRS", [*yunet_onnx.PAIRS[:-1], (64, 12)])
    assert onnx_search(library) is None


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_optional_packages_there_is_none(library, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert onnx_search(library) is None
