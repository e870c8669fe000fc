"""Scenes hold the face where they say, and the table tells what a detector's crops are worth."""
from __future__ import annotations

import csv
import io
import warnings

import numpy as np
import pytest

from siamese_emotion_ros.datasets.splits import LeakWarning
from siamese_emotion_ros.evaluation.framing import HEIGHT, LARGEST, SMALLEST, WIDTH, framing, scene
from siamese_emotion_ros.evaluation.tables import as_csv
from siamese_emotion_ros.faces.detectors import Detection
from siamese_emotion_ros.faces.geometry import Box
from siamese_emotion_ros.recognition.gallery import build_gallery


class Informed:
    """A detector that knows where the faces are, and misses by a share of their side."""

    name = "informed"

    def __init__(self, boxes, right=0.0, down=0.0, size=1.0):
        self._boxes, self._right, self._down, self._size = boxes, right, down, size

    def detect(self, image, scale):
        box = self._boxes[round(float(image[0, 0])), round(float(image[-1, -1]))]
        if box is None:
            return []
        side = box.width * self._size
        left = box.center_x + self._right * box.width - side / 2
        top = box.center_y + self._down * box.width - side / 2
        return [Detection(Box(left, top, side, side), 0.9, None)]


@pytest.fixture(scope="module")
def anchors(model, make_faces):
    faces = make_faces(4, seed=1)
    return build_gallery(model, faces.faces, faces.labels, faces.classes, faces.names, k=3)


def informed_about(queries, missing=(), **miss):
    import cv2

    boxes = {}
    for row, face in enumerate(queries.faces):
        frame, box = scene(face, 0, row)
        searched = cv2.resize(frame, (320, 240), interpolation=cv2.INTER_AREA)
        boxes[int(searched[0, 0]), int(searched[-1, -1])] = None if row in missing else box
    assert len(boxes) == len(queries), "scenes are told apart by two of their corners"
    return Informed(boxes, **miss)


def test_a_scene_shows_the_face_at_its_box():
    face = np.tile(np.repeat(np.uint8([40, 220]), 24), (48, 1))
    for row in range(5):
        frame, box = scene(face, 3, row)
        assert frame.shape == (HEIGHT, WIDTH) and frame.dtype == np.uint8
        assert SMALLEST <= box.width == box.height <= LARGEST
        assert 0 <= box.x <= WIDTH - box.width and 0 <= box.y <= HEIGHT - box.height
        y, quarter = int(box.center_y), box.width / 4
        assert abs(int(frame[y, int(box.x + quarter)]) - 40) < 5
        assert abs(int(frame[y, int(box.x + 3 * quarter)]) - 220) < 5
        np.testing.assert_array_equal(frame, scene(face, 3, row)[0])


def test_the_table_measures_where_a_detector_cuts(model, anchors, make_faces):
    queries = make_faces(3, seed=2)
    detectors = [informed_about(queries), informed_about(queries, right=0.1, down=-0.1, size=1.2)]
    exact, off = framing(model, anchors, detectors, [0.0], queries)
    assert (exact.found, exact.top1, exact.known_top1) == (1.0, 1.0, 1.0)
    assert [exact.right, exact.down] == pytest.approx([0, 0], abs=0.01) and exact.size == pytest.approx(1, abs=0.01)
    assert [off.right, off.down] == pytest.approx([0.1, -0.1], abs=0.04) and off.size == pytest.approx(1.2, abs=0.06)
    assert list(csv.DictReader(io.StringIO(as_csv([exact, off]).decode())))[0]["found"] == "1.0000"


def test_faces_that_are_anchors_are_told_of(model, anchors, make_faces):
    queries = make_faces(3, seed=2)
    known = make_faces(4, seed=1).select(range(6))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakWarning)
        framing(model, anchors, [informed_about(queries)], [0.0], queries)
    with pytest.warns(LeakWarning, match="6 of the 6 faces are anchors of the gallery themselves"):
        framing(model, anchors, [informed_about(known)], [0.0], known)


def test_margins_are_tried_on_the_faces_that_were_found(model, anchors, make_faces):
    queries = make_faces(3, seed=2)
    seen = []
    rows = framing(
        model, anchors, [informed_about(queries, missing=(0, 1, 2))], [0.0, 0.3], queries,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [row.margin for row in rows] == [0.0, 0.3] and seen[-1] == (9, 9)
    assert all(row.found == pytest.approx(2 / 3) for row in rows)
    with pytest.raises(ValueError, match="informed finds none of 9 faces"):
        framing(model, anchors, [informed_about(queries, missing=range(9))], [0.0], queries)
    with pytest.raises(ValueError, match="no margin is given"):
        framing(model, anchors, [], [], queries)
