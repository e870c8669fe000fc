"""Each detector finds the same face in the same square, and says clearly when it cannot be had."""
from __future__ import annotations

import os
import sys

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.faces import detectors
from siamese_emotion_ros.faces.detectors import (
    DetectorError,
    Haar,
    LibFaceDetection,
    YuNet,
    available_detectors,
    make_detector,
)
from siamese_emotion_ros.faces.geometry import Box, face_square, iou

PRESENT = available_detectors()
yuface_present = pytest.mark.skipif("libfacedetection" not in PRESENT, reason="yuface is not installed")
haar_present = pytest.mark.skipif("haar" not in PRESENT, reason="OpenCV has no cascades here")


@pytest.mark.parametrize("name", PRESENT)
class TestPortrait:
    def test_finds_the_one_face_where_it_is(self, name, portrait, portrait_face):
        (found,) = make_detector(name).detect(portrait)
        assert iou(found.square, portrait_face) > 0.6
        assert 0.6 <= found.score <= 1.0

    def test_squares_are_square(self, name, portrait):
        (found,) = make_detector(name).detect(portrait)
        assert found.square.width == found.square.height

    def test_a_shrunken_copy_gives_the_full_frames_pixels(self, name, portrait, portrait_face):
        small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        (found,) = make_detector(name).detect(small, 0.5)
        assert iou(found.square, portrait_face) > 0.6

    def test_gray_will_do(self, name, portrait, portrait_face):
        (found,) = make_detector(name).detect(cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY))
        assert iou(found.square, portrait_face) > 0.6

    def test_a_view_of_a_larger_picture_is_read_as_it_looks(self, name, portrait):
        view = portrait[20:420, 60:420]
        (of_view,) = make_detector(name).detect(view)
        (of_copy,) = make_detector(name).detect(view.copy())
        assert of_view.square == of_copy.square

    def test_a_face_smaller_than_asked_is_left_out(self, name, portrait):
        assert make_detector(name, min_size=200).detect(portrait) == []

    def test_smallest_size_is_in_the_full_frames_pixels(self, name, portrait):
        small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        assert len(make_detector(name, min_size=80).detect(small, 0.5)) == 1

    def test_no_face_no_box(self, name):
        detector = make_detector(name)
        assert detector.detect(np.full((240, 320, 3), 127, np.uint8)) == []
        assert detector.detect(np.zeros((1, 1, 3), np.uint8)) == []
        assert detector.detect(np.zeros((3, 400), np.uint8)) == []


@yuface_present
class TestLibFaceDetection:
    def test_landmarks_lie_where_a_face_has_them(self, portrait):
        (found,) = LibFaceDetection().detect(portrait)
        right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks
        assert found.landmarks.dtype == np.float32
        # The person's right is the picture's left.
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_mouth[0] < left_mouth[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])

    def test_a_face_half_outside_keeps_its_square_outside(self, portrait, portrait_face):
        cut = portrait[:, 215:]
        found = LibFaceDetection(score_threshold=0.3).detect(cut)
        assert len(found) == 1
        assert found[0].square.x < 0

    def test_a_score_no_face_reaches_leaves_none(self, portrait):
        assert LibFaceDetection(score_threshold=1.0).detect(portrait) == []

    def test_every_way_to_run_the_network_finds_the_same(self, portrait, monkeypatch):
        def no_library(path):
            raise OSError(f"{path} cannot be loaded")

        found = [LibFaceDetection().detect(portrait)]
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        found.append(LibFaceDetection().detect(portrait))
        monkeypatch.setattr("ctypes.CDLL", no_library)
        found.append(LibFaceDetection().detect(portrait))
        for (face,) in found:
            assert face.square == found[0][0].square and face.score == found[0][0].score
            np.testing.assert_array_equal(face.landmarks, found[0][0].landmarks)

    def test_the_environment_is_left_as_it_was(self, monkeypatch):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        LibFaceDetection()
        assert "OMP_NUM_THREADS" not in os.environ
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        LibFaceDetection()
        assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.skipif(len(PRESENT) < 2, reason="there are not two detectors to compare")
def test_detectors_agree_on_the_square(portrait):
    squares = [make_detector(name).detect(portrait)[0].square for name in PRESENT]
    for other in squares[1:]:
        assert iou(squares[0], other) > 0.75


@haar_present
def test_haar_has_no_landmarks(portrait):
    assert Haar().detect(portrait)[0].landmarks is None


@haar_present
def test_haar_is_surer_of_a_clear_face_than_of_a_blurred_one(portrait):
    (clear,) = Haar().detect(portrait)
    blurred = Haar(score_threshold=0.0).detect(cv2.GaussianBlur(portrait, (0, 0), 7))
    assert clear.score > max((found.score for found in blurred), default=0.0)


class TestOverlappingBoxes:
    """A detector that says what it is told to."""

    class Told(detectors.Detector):
        name = "libfacedetection"

        def __init__(self, boxes, scores):
            super().__init__(score_threshold=0.5, min_size=10)
            self.found = detectors._Found(np.array(boxes, np.float32), np.array(scores, np.float64), None)

        def _search(self, image, scale):
            return self.found

    def squares(self, boxes, scores, scale=1.0):
        return self.Told(boxes, scores).detect(np.zeros((100, 100), np.uint8), scale)

    def test_the_better_of_two_boxes_of_one_face_stays(self):
        (found,) = self.squares([[10, 10, 40, 50], [14, 12, 30, 40]], [0.7, 0.9])
        assert found.score == pytest.approx(0.9)

    def test_two_faces_side_by_side_both_stay(self):
        assert len(self.squares([[10, 10, 40, 50], [45, 10, 40, 50]], [0.7, 0.9])) == 2

    def test_best_comes_first_and_the_unsure_not_at_all(self):
        found = self.squares([[10, 10, 40, 50], [100, 10, 40, 50], [200, 10, 40, 50]], [0.6, 0.4, 0.9])
        assert [face.score for face in found] == pytest.approx([0.9, 0.6])

    def test_boxes_are_scaled_back_and_squared(self):
        (found,) = self.squares([[10, 10, 40, 50]], [0.9], scale=0.5)
        expected = face_square(Box(20, 20, 80, 100), detectors.FACE_SQUARE["libfacedetection"])
        assert found.square == pytest.approx(expected)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_numbers_that_are_none_are_no_face(self, bad):
        assert self.squares([[bad, 10, 40, 50]], [0.9]) == []
        assert self.squares([[10, 10, 40, 50]], [float("nan")]) == []


class FakeYuNet:
    """Stands for OpenCV's class, whose model file no package carries: one row in FaceDetectorYN's documented order."""

    @staticmethod
    def create(model, config, input_size, score_threshold, nms_threshold, top_k):
        fake = FakeYuNet()
        fake.size = input_size
        return fake

    def setInputSize(self, size):
        self.size = size

    def detect(self, image):
        assert image.shape == (self.size[1], self.size[0], 3), "OpenCV refuses an image of another size"
        if not image.any():
            return 1, None
        return 1, np.array([[40, 20, 30, 50, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0.8]], np.float32)


def test_yunets_rows_are_read_in_their_order_and_images_of_any_size(monkeypatch, tmp_path):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"\x08\x07")
    monkeypatch.setattr(cv2, "FaceDetectorYN", FakeYuNet, raising=False)
    detector = make_detector("auto", model_path=path)
    assert detector.name == "yunet"
    for shape in ((100, 200, 3), (60, 80)):
        (found,) = detector.detect(np.ones(shape, np.uint8), 0.5)
        assert found.square == pytest.approx(face_square(Box(80, 40, 60, 100), detectors.FACE_SQUARE["yunet"]))
        assert found.score == pytest.approx(0.8)
        np.testing.assert_allclose(found.landmarks, 2 * np.arange(1, 11).reshape(5, 2))
        assert detector.detect(np.zeros(shape, np.uint8)) == []


class TestWhatCannotBeHad:
    def test_an_unknown_name_lists_the_known_ones(self):
        with pytest.raises(DetectorError, match="libfacedetection, yunet, haar"):
            make_detector("dlib")

    def test_yunet_needs_a_model_and_says_which(self):
        with pytest.raises(DetectorError, match=r"face_detection_yunet_2023mar\.onnx"):
            make_detector("yunet")

    def test_a_missing_model_is_named(self, tmp_path):
        with pytest.raises(DetectorError, match=r"no file .*absent\.onnx"):
            make_detector("yunet", model_path=tmp_path / "absent.onnx")

    @pytest.mark.parametrize(("content", "complaint"), [
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs pointer"),
        (b"", "not a YuNet model"),
        (b"\x08\x07 no network in here", "not a YuNet model"),
    ])
    def test_a_file_that_is_no_model_is_told_from_one(self, tmp_path, content, complaint):
        path = tmp_path / "yunet.onnx"
        path.write_bytes(content)
        with pytest.raises(DetectorError, match=complaint):
            YuNet(path)

    def test_auto_does_not_pass_over_a_broken_model(self, tmp_path):
        with pytest.raises(DetectorError, match="absent"):
            make_detector("auto", model_path=tmp_path / "absent.onnx")

    def test_a_broken_cascade_is_refused(self, tmp_path):
        path = tmp_path / "cascade.xml"
        path.write_text("<opencv_storage></opencv_storage>")
        with pytest.raises(DetectorError, match="not a cascade"):
            make_detector("haar", model_path=path)

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
    def test_a_threshold_beyond_0_to_1_is_refused(self, threshold):
        with pytest.raises(DetectorError, match="0.0 to 1.0"):
            make_detector(score_threshold=threshold)

    def test_a_negative_size_is_refused(self):
        with pytest.raises(DetectorError, match="smallest face"):
            make_detector(min_size=-1)

    def test_without_yuface_auto_is_haar_and_libfacedetection_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "yuface", None)
        if "haar" in PRESENT:
            assert make_detector("auto").name == "haar"
        with pytest.raises(DetectorError, match="pip install yuface"):
            make_detector("libfacedetection")

    def test_with_nothing_at_all_auto_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "yuface", None)
        monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
        with pytest.raises(DetectorError, match="pip install yuface"):
            make_detector("auto")

    def test_opencv_5_has_no_haar(self, monkeypatch):
        monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
        with pytest.raises(DetectorError, match="opencv-python-headless<5"):
            make_detector("haar")
