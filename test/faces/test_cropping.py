"""The crop is the square that was asked for, whatever part of it lies in the frame."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_emotion_ros.faces.cropping import MAX_FRAME_SIDE, check_frame, crop_square, fit_on_black
from siamese_emotion_ros.faces.geometry import Box


def plane(height: int, width: int) -> np.ndarray:
    """A gray frame in which every pixel says where it is: 3 a column, 2 a row."""
    return (np.arange(width)[None] * 3 + np.arange(height)[:, None] * 2).astype(np.uint8)


@given(
    left=st.integers(-60, 70), top=st.integers(-60, 50), side=st.integers(1, 120),
    width=st.integers(1, 80), height=st.integers(1, 60),
)
def test_every_pixel_is_the_frames_or_its_nearest_edges(left, top, side, width, height):
    frame = plane(height, width)
    box = Box(left, top, side, side)
    if left >= width or top >= height or left + side <= 0 or top + side <= 0:
        with pytest.raises(ValueError, match="outside"):
            crop_square(frame, box)
        return
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    np.testing.assert_array_equal(crop_square(frame, box), frame[np.ix_(rows, columns)])


@given(
    x=st.floats(-300, 300), y=st.floats(-300, 300), width=st.floats(0.01, 2000), height=st.floats(0.01, 2000),
    margin=st.floats(0, 1), max_side=st.integers(1, 200),
)
def test_a_crop_is_a_gray_square_no_larger_than_asked(x, y, width, height, margin, max_side):
    frame = np.zeros((90, 130, 3), np.uint8)
    try:
        crop = crop_square(frame, Box(x, y, width, height), margin, max_side)
    except ValueError as error:
        assert "outside" in str(error)
        return
    assert crop.dtype == np.uint8
    assert crop.shape[0] == crop.shape[1] <= max_side
    assert crop.shape[0] == min(max_side, max(1, round(max(width, height) * (1 + 2 * margin))))


def test_color_becomes_gray_as_opencv_weighs_it():
    frame = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    crop = crop_square(frame, Box(10, 5, 20, 20))
    np.testing.assert_array_equal(crop, cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[5:25, 10:30])


def test_the_square_has_the_boxs_longer_side_and_its_centre():
    frame = plane(80, 80)
    np.testing.assert_array_equal(crop_square(frame, Box(30, 20, 10, 30)), frame[20:50, 20:50])


def test_a_margin_is_added_on_each_side():
    frame = plane(80, 80)
    np.testing.assert_array_equal(crop_square(frame, Box(30, 30, 20, 20), margin=0.25), frame[25:55, 25:55])


def test_a_large_face_is_averaged_down_where_it_stands():
    frame = np.zeros((600, 600), np.uint8)
    frame[300:, :] = 200
    crop = crop_square(frame, Box(100, 100, 400, 400))
    assert crop.shape == (128, 128)
    assert (crop[:62] == 0).all()
    assert (crop[66:] == 200).all()


def test_a_large_face_over_the_edge_keeps_its_place_in_the_square():
    frame = np.zeros((400, 400), np.uint8)
    frame[:, 100:] = 200
    crop = crop_square(frame, Box(-100, 0, 400, 400))
    # The step lies at half of the square; the left quarter is the frame's replicated edge.
    assert (crop[:, :62] == 0).all()
    assert (crop[:, 66:] == 200).all()


def test_a_face_larger_than_the_frame_keeps_its_place_in_the_square():
    frame = np.zeros((200, 200), np.uint8)
    frame[100:, 100:] = 200
    crop = crop_square(frame, Box(-60, -20, 400, 400))
    # 128 pixels are 400 of the frame's: the corner lies at (160, 120) of the square.
    np.testing.assert_array_equal(crop[[30, 30, 46, 46], [43, 59, 43, 59]], [0, 0, 0, 200])


def test_stripes_finer_than_the_crops_pixels_leave_no_pattern():
    stripes = np.tile(np.array([200, 0, 0, 0], np.uint8), (512, 128))
    assert (crop_square(stripes, Box(0, 0, 512, 512)) == 50).all()


def test_a_crop_without_a_pixel_is_refused():
    with pytest.raises(ValueError, match="largest side is 0: expected at least 1"):
        crop_square(plane(20, 20), Box(0, 0, 5, 5), max_side=0)


def test_a_crop_outlives_the_frame_that_it_was_cut_from():
    frame = plane(40, 40)
    crop = crop_square(frame, Box(10, 10, 20, 20))
    before = crop.copy()
    frame[:] = 0
    np.testing.assert_array_equal(crop, before)


@pytest.mark.parametrize("box", [
    Box(float("nan"), 0, 5, 5), Box(0, 0, float("inf"), 5), Box(0, 0, 0, 5), Box(0, 0, 5, 0), Box(0, 0, 5, -1),
])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(ValueError, match="cannot crop"):
        crop_square(plane(20, 20), box)


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ValueError, match="margin"):
        crop_square(plane(20, 20), Box(0, 0, 5, 5), margin)


@pytest.mark.parametrize(("frame", "complaint"), [
    (None, "NoneType"),
    (np.zeros((4, 4, 3), np.float32), "float32"),
    (np.zeros((4, 4), np.uint16), "uint16"),
    (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
    (np.zeros(4, np.uint8), r"\(4,\)"),
    (np.zeros((1, 4, 4, 3), np.uint8), r"\(1, 4, 4, 3\)"),
    (np.zeros((0, 4, 3), np.uint8), "empty"),
    (np.zeros((4, 0), np.uint8), "empty"),
    (np.zeros((2, 20000, 3), np.uint8), "20000x2"),
])
def test_a_frame_that_is_none_is_refused_by_name(frame, complaint):
    with pytest.raises(ValueError, match=complaint):
        check_frame(frame)


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (480, 640, 3), (2, MAX_FRAME_SIDE)])
def test_any_ordinary_frame_passes(shape):
    check_frame(np.zeros(shape, np.uint8))


@given(
    height=st.integers(1, 90), width=st.integers(1, 90), to_height=st.integers(1, 70), to_width=st.integers(1, 70),
    colors=st.booleans(),
)
def test_a_picture_is_fitted_whole_into_the_middle_of_black(height, width, to_height, to_width, colors):
    picture = np.full((height, width, 3) if colors else (height, width), 200, np.uint8)
    fitted = fit_on_black(picture, to_width, to_height)
    assert fitted.shape == (to_height, to_width, *picture.shape[2:]) and set(np.unique(fitted)) <= {0, 200}
    rows, columns = np.nonzero(fitted[:, :, 0] if colors else fitted)
    assert columns.max() - columns.min() + 1 == to_width or rows.max() - rows.min() + 1 == to_height
    for indices, size in ((rows, to_height), (columns, to_width)):
        assert 0 <= size - 1 - indices.max() - indices.min() <= 1


def test_a_fitted_picture_keeps_its_proportions():
    fitted = fit_on_black(np.full((40, 20), 200, np.uint8), 128, 128)
    assert fitted[:, 32:96].min() == 200 and not fitted[:, :32].any() and not fitted[:, 96:].any()
    np.testing.assert_array_equal(fit_on_black(np.full((20, 40), 200, np.uint8), 128, 128), fitted.T)


def test_a_picture_is_enlarged_smoothly_and_averaged_down():
    halves = np.array([[60, 60, 180, 180]] * 4, np.uint8)
    assert len(np.unique(fit_on_black(halves, 8, 8))) > 2
    stripes = np.tile(np.array([200, 0, 0, 0], np.uint8), (64, 16))
    assert (fit_on_black(stripes, 16, 16) == 50).all()


@pytest.mark.parametrize(("shape", "size"), [((0, 4), (8, 8)), ((4, 4), (0, 8))])
def test_nothing_cannot_be_fitted(shape, size):
    with pytest.raises(ValueError, match="at least one pixel"):
        fit_on_black(np.zeros(shape, np.uint8), *size)
