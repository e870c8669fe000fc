"""A replay works in several threads and gives what its two calls give one after the other."""
from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from siamese_emotion_ros.bags.decoding import choose_image_topic
from siamese_emotion_ros.bags.reading import Bag
from siamese_emotion_ros.evaluation.bag_replay import Replay
from siamese_emotion_ros.faces.finder import Face
from siamese_emotion_ros.faces.geometry import Roi
from siamese_emotion_ros.recognition.gallery import build_gallery
from siamese_emotion_ros.recognition.recognizer import Recognizer

PICTURES = 40


class Finder:
    """Takes the left and the right half of a picture for a face each, none of every fifth, in its own time."""

    def __init__(self, broken_at=None):
        self.seen = 0
        self.resets = []
        self._broken_at = broken_at
        self._random = np.random.default_rng(3)

    def find(self, image):
        self.seen += 1
        if self.seen == self._broken_at:
            raise RuntimeError("the detector broke")
        time.sleep(self._random.uniform(0, 0.004))
        if self.seen % 5 == 0:
            return []
        return [
            Face(number + 1, Roi(48 * number, 0, 48, 48), 0.9, None, image[:, 48 * number : 48 * (number + 1)].copy())
            for number in range(2)
        ]

    def reset(self):
        self.resets.append(self.seen)


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (48, 96), np.uint8) for _ in range(PICTURES)]


@pytest.fixture(scope="module")
def recognizer(model, make_faces):
    anchors = make_faces(6)
    return Recognizer(model, build_gallery(model, anchors.faces, anchors.labels, anchors.classes, anchors.names, k=5))


@pytest.fixture
def replay(bag_making, recognizer, pictures, tmp_path):
    """Makes a replay of the pictures; the recording is closed behind the test."""
    with Bag(bag_making.pictures_bag(tmp_path / "bag", pictures)) as bag:
        yield lambda finder: Replay(bag, choose_image_topic(bag, None), finder, recognizer)


def test_every_frame_comes_in_order_with_what_the_two_calls_answer_one_after_the_other(
    replay, bag_making, recognizer, pictures
):
    frames = list(replay(Finder()).frames())
    assert [frame.stamp for frame in frames] == [bag_making.BEGIN + n * 100_000_000 for n in range(PICTURES)]
    finder = Finder()
    for frame, picture in zip(frames, pictures):
        assert np.array_equal(frame.image, picture)
        faces = finder.find(picture)
        answers = recognizer.recognize([face.crop for face in faces])
        assert [face.face_id for face, _ in frame.faces] == [face.face_id for face in faces]
        assert [answer.neighbor_names for _, answer in frame.faces] == [answer.neighbor_names for answer in answers]
        for (_, seen), expected in zip(frame.faces, answers):
            assert (seen.label, seen.confidence) == (expected.label, expected.confidence)
            assert np.array_equal(seen.class_distances, expected.class_distances)


def test_what_breaks_in_a_step_reaches_the_caller_after_the_frames_before_it(replay):
    before = threading.active_count()
    seen = []
    with pytest.raises(RuntimeError, match="the detector broke"):
        for frame in replay(Finder(broken_at=12)).frames():
            seen.append(frame)
    assert len(seen) == 11
    assert threading.active_count() == before


def test_a_replay_that_is_given_up_leaves_no_threads_behind(replay):
    before = threading.active_count()
    finder = Finder()
    frames = replay(finder).frames()
    next(frames)
    assert threading.active_count() > before
    frames.close()
    assert threading.active_count() == before
    assert finder.seen < PICTURES
