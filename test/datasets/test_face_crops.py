from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.datasets.face_crops import crop_file, largest_face
from siamese_emotion_ros.datasets.face_set import DataSetError
from siamese_emotion_ros.datasets.images import ImageError
from siamese_emotion_ros.datasets.load import load
from siamese_emotion_ros.faces.cropping import crop_square
from siamese_emotion_ros.faces.detectors import Detection, available_detectors
from siamese_emotion_ros.faces.finder import FaceFinder
from siamese_emotion_ros.faces.geometry import Box


class _Squares:
    """Stands in for a detector: the same squares in every picture."""

    def __init__(self, *squares: Box) -> None:
        self._squares = squares

    def detect(self, image: np.ndarray, scale: float = 1.0):
        return [Detection(square, 0.9, None) for square in self._squares]


def test_the_largest_face_is_cropped_as_on_the_robot(texture):
    small, large = Box(5, 5, 20, 20), Box(60, 40, 50, 50)
    picture = np.dstack([texture(seed, 160) for seed in range(3)])
    crop = largest_face(FaceFinder(_Squares(small, large)))(picture)
    np.testing.assert_array_equal(crop, crop_square(picture, large))


def test_no_face_is_none_and_for_a_file_the_reason(tmp_path, write_image):
    cropper = largest_face(FaceFinder(_Squares()))
    assert cropper(np.zeros((50, 50, 3), np.uint8)) is None
    with pytest.raises(ImageError, match="no face"):
        crop_file(cropper)(write_image(tmp_path / "1.png", 1))


def test_picture_too_large_to_search_is_skipped(tmp_path, write_image):
    path = write_image(tmp_path / "1.png", 1)
    with pytest.raises(ImageError, match="at most"):
        crop_file(lambda picture: largest_face(FaceFinder(_Squares()))(np.zeros((1, 9000, 3), np.uint8)))(path)


@pytest.mark.skipif(not available_detectors(), reason="no face detector on this machine")
def test_the_robots_own_detector_serves_when_none_is_given(tmp_path, write_image):
    write_image(tmp_path / "happy" / "noise.png", 1, side=200)
    with pytest.raises(DataSetError, match="no face was found"):
        load("folder", tmp_path, crop=True)
