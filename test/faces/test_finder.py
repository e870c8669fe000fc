"""From frames to faces with ids, as the nodes see it."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.faces.cropping import crop_square
from siamese_emotion_ros.faces.detectors import Detection, Detector, available_detectors, make_detector
from siamese_emotion_ros.faces.finder import FaceFinder, FinderSettings
from siamese_emotion_ros.faces.geometry import Box


class Seeing(Detector):
    """Finds what it is told to, and remembers the images that it was shown."""

    name = "haar"

    def __init__(self, *squares: Box) -> None:
        super().__init__(score_threshold=0.5, min_size=1)
        self.squares = squares
        self.shown = []

    def detect(self, image, scale=1.0):
        self.shown.append((image, scale))
        return [Detection(square, 0.9, None) for square in self.squares]

    def _search(self, image, scale):
        raise NotImplementedError


LEFT, RIGHT = Box(100, 100, 80, 80), Box(400, 120, 90, 90)
FRAME = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


def test_a_face_carries_id_place_score_and_crop():
    (face,) = FaceFinder(Seeing(LEFT)).find(FRAME)
    assert face.face_id == 1
    assert face.roi == (100, 100, 80, 80)
    assert face.score == 0.9
    assert face.landmarks is None
    np.testing.assert_array_equal(face.crop, cv2.cvtColor(FRAME[100:180, 100:180], cv2.COLOR_BGR2GRAY))


def test_crops_come_from_the_full_frame_and_not_from_the_searched_copy():
    finder = FaceFinder(Seeing(LEFT), FinderSettings(detection_width=64))
    np.testing.assert_array_equal(finder.find(FRAME)[0].crop, crop_square(FRAME, LEFT))


def test_a_gray_frame_gives_the_crops_that_its_color_gave():
    gray = cv2.cvtColor(FRAME, cv2.COLOR_BGR2GRAY)
    (of_gray,), (of_color,) = FaceFinder(Seeing(LEFT)).find(gray), FaceFinder(Seeing(LEFT)).find(FRAME)
    np.testing.assert_array_equal(of_gray.crop, of_color.crop)
    (as_rgb,) = FaceFinder(Seeing(LEFT)).find(gray, rgb=True)
    np.testing.assert_array_equal(as_rgb.crop, of_gray.crop)


def test_the_frame_is_left_as_it_was():
    frame = FRAME.copy()
    frame.flags.writeable = False
    FaceFinder(Seeing(LEFT, RIGHT)).find(frame)
    np.testing.assert_array_equal(frame, FRAME)


@pytest.mark.parametrize(("shape", "settings", "shown", "scale"), [
    ((480, 640, 3), FinderSettings(320), (240, 320, 3), 0.5),
    ((640, 480, 3), FinderSettings(320), (320, 240, 3), 0.5),
    ((120, 160), FinderSettings(320), (120, 160), 1.0),
    ((120, 160, 3), FinderSettings(320, upscale=True), (240, 320, 3), 2.0),
    ((1, 4000, 3), FinderSettings(320), (1, 320, 3), 0.08),
    ((4000, 1), FinderSettings(320), (320, 1), 0.08),
])
def test_the_detector_searches_a_copy_of_the_width_that_is_set(shape, settings, shown, scale):
    detector = Seeing()
    FaceFinder(detector, settings).find(np.zeros(shape, np.uint8))
    ((image, given_scale),) = detector.shown
    assert image.shape == shown
    assert given_scale == pytest.approx(scale)


def test_a_frame_small_enough_is_searched_without_a_copy():
    detector, frame = Seeing(), np.zeros((240, 320, 3), np.uint8)
    FaceFinder(detector).find(frame)
    assert detector.shown[0][0] is frame


def test_a_smaller_copy_is_averaged_and_a_larger_one_smooth():
    stripes = np.tile(np.array([200, 0, 0, 0], np.uint8), (640, 160))
    smaller, larger = Seeing(), Seeing()
    FaceFinder(smaller, FinderSettings(160)).find(stripes)
    assert (smaller.shown[0][0] == 50).all(), "stripes that are finer than its pixels leave no pattern"
    FaceFinder(larger, FinderSettings(1280, upscale=True)).find(stripes)
    assert len(np.unique(larger.shown[0][0])) > 2


def test_what_is_only_detected_is_searched_in_the_frames_own_colours_and_followed_by_nobody():
    detector = Seeing(LEFT, Box(-60, 200, 100, 100))
    finder = FaceFinder(detector, FinderSettings(640))
    assert [found.square for found in finder.detections(FRAME)] == [LEFT]
    assert detector.shown[0][0] is FRAME
    assert [face.face_id for face in finder.find(FRAME)] == [1]


def test_an_empty_frame_has_no_faces():
    assert FaceFinder(Seeing()).find(FRAME) == []


def test_ids_last_while_detector_and_settings_are_replaced():
    finder = FaceFinder(Seeing(LEFT, RIGHT))
    before = {face.face_id: face.roi.x for face in finder.find(FRAME)}
    finder.replace(
        Seeing(Box(396, 116, 98, 98), Box(97, 97, 86, 86)), FinderSettings(detection_width=160, margin=0.2)
    )
    after = finder.find(FRAME)
    assert [face.face_id for face in after] == [1, 2]
    for face in after:
        assert abs(face.roi.x - before[face.face_id]) < 10
    assert after[0].crop.shape[0] == round(86 * 1.4)


@pytest.mark.parametrize("width", [160, 640])  # searched in a small copy, and as it is
def test_the_order_of_colours_changes_nothing(width):
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    found, shown = [], []
    for rgb in (False, True):
        detector = Seeing(LEFT)
        shown.append(detector.shown)
        finder = FaceFinder(detector, FinderSettings(detection_width=width))
        found.append(finder.find(np.ascontiguousarray(frame[:, :, ::-1]) if rgb else frame, rgb))
    np.testing.assert_array_equal(found[0][0].crop, found[1][0].crop)
    np.testing.assert_array_equal(shown[0][0][0], shown[1][0][0])


def test_after_a_reset_ids_are_new():
    finder = FaceFinder(Seeing(LEFT))
    finder.find(FRAME)
    finder.reset()
    assert [face.face_id for face in finder.find(FRAME)] == [2]


def test_an_id_survives_five_frames_without_the_face():
    finder = FaceFinder(Seeing(LEFT))
    finder.find(FRAME)
    finder.replace(Seeing(), finder.settings)
    for _ in range(5):
        assert finder.find(FRAME) == []
    finder.replace(Seeing(LEFT), finder.settings)
    assert [face.face_id for face in finder.find(FRAME)] == [1]


def test_a_face_at_the_edge_has_its_roi_in_the_frame_and_a_whole_crop():
    (face,) = FaceFinder(Seeing(Box(-30, 200, 100, 100))).find(FRAME)
    assert face.roi == (0, 200, 70, 100)
    assert face.crop.shape == (100, 100)


def test_a_face_mostly_outside_is_nobody():
    assert FaceFinder(Seeing(Box(-60, 200, 100, 100))).find(FRAME) == []


def test_a_bad_frame_does_not_disturb_the_next_good_one():
    finder = FaceFinder(Seeing(LEFT))
    finder.find(FRAME)
    with pytest.raises(ValueError, match="empty"):
        finder.find(np.zeros((0, 640, 3), np.uint8))
    assert [face.face_id for face in finder.find(FRAME)] == [1]


@pytest.mark.parametrize("wrong", [
    {"detection_width": 0}, {"detection_width": 100000}, {"margin": -0.1}, {"margin": float("nan")}, {"margin": 2.0},
])
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FinderSettings(**wrong)


@pytest.mark.parametrize("most", [{"detection_width": 32}, {"detection_width": 4096}, {"margin": 0.0}, {"margin": 1.0}])
def test_the_ends_of_what_may_be_set_belong_to_it(most):
    assert FaceFinder(Seeing(LEFT), FinderSettings(**most)).find(FRAME)[0].face_id == 1


@pytest.mark.skipif(not available_detectors(), reason="no detector is installed")
def test_two_real_faces_cross_and_keep_their_ids(portrait):
    """The portrait and its mirror image pass each other, one larger and in front."""
    head = portrait[30:230, 130:310]
    small = cv2.resize(head[:, ::-1], None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    finder = FaceFinder(make_detector(), FinderSettings(detection_width=640))
    seen = []
    for step in range(31):
        frame = np.full((300, 640, 3), 90, np.uint8)
        for image, x, y in ((small, 480 - 16 * step, 60), (head, 16 * step, 60)):
            x = max(x, 0)
            frame[y : y + image.shape[0], x : x + image.shape[1]] = image[:, : 640 - x]
        seen.append({face.face_id: face.roi.x for face in finder.find(frame)})
    # Whoever was left is right in the end, under the same id; nobody else was ever seen.
    (first, second) = sorted(seen[0], key=seen[0].get)
    assert seen[-1][first] > seen[-1][second]
    assert set().union(*seen) == {first, second}
