"""Boxes, and the face square made of them."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_emotion_ros.faces.geometry import Box, SquareRule, face_square, intersection, iou, roi_in_frame

boxes = st.builds(Box, st.floats(-500, 500), st.floats(-500, 500), st.floats(0.5, 900), st.floats(0.5, 900))


def test_a_tall_box_becomes_a_square_of_its_height_moved_up():
    square = face_square(Box(10, 20, 60, 100), SquareRule(size=0.9, down=-0.05))
    assert square == pytest.approx((-5, 20, 90, 90))


@pytest.mark.parametrize(("other", "expected"), [
    (Box(0, 0, 10, 10), 1.0), (Box(5, 0, 10, 10), 50 / 150), (Box(10, 0, 10, 10), 0.0), (Box(0, 10, 10, 10), 0.0),
    (Box(0, -30, 10, 10), 0.0), (Box(2, 2, 5, 5), 0.25),
])
def test_iou_by_hand(other, expected):
    assert iou(Box(0, 0, 10, 10), other) == pytest.approx(expected)
    assert iou(other, Box(0, 0, 10, 10)) == pytest.approx(expected)


@given(a=boxes, b=boxes)
def test_what_two_boxes_share_is_no_more_than_either(a, b):
    assert 0 <= intersection(a, b) <= min(a.area, b.area) * (1 + 1e-9)


@given(box=boxes, width=st.integers(1, 800), height=st.integers(1, 800))
def test_a_roi_lies_in_the_frame(box, width, height):
    roi = roi_in_frame(box, width, height)
    assert 0 <= roi.x < roi.x + roi.width <= width
    assert 0 <= roi.y < roi.y + roi.height <= height


def test_a_roi_is_the_part_of_the_box_that_can_be_seen():
    assert roi_in_frame(Box(-10, 5, 30, 30), 100, 20) == (0, 5, 20, 15)


@pytest.mark.parametrize(("box", "roi"), [
    (Box(-5, -10, 30, 30), (0, 0, 25, 20)), (Box(90, 40, 30, 30), (90, 40, 10, 10)),
    (Box(-80, 60, 20, 20), (0, 49, 1, 1)), (Box(300, -60, 20, 20), (99, 0, 1, 1)),
])
def test_of_a_box_over_the_edge_what_is_nearest_in_the_frame_stays(box, roi):
    assert roi_in_frame(box, 100, 50) == roi


def test_boxes_without_an_area_share_nothing():
    assert iou(Box(3, 3, 0, 0), Box(3, 3, 0, 0)) == 0
