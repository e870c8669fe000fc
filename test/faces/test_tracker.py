"""Ids follow people, not places."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_emotion_ros.faces.geometry import Box
from siamese_emotion_ros.faces.tracker import FaceTracker


def face(x: float, y: float = 100, side: float = 60) -> Box:
    return Box(x - side / 2, y - side / 2, side, side)


def test_ids_count_from_one_in_the_order_of_the_boxes():
    assert FaceTracker().update([face(100), face(300), face(500)]) == [1, 2, 3]


def test_ids_stay_with_faces_when_the_detector_lists_them_in_another_order():
    tracker = FaceTracker()
    tracker.update([face(100), face(300)])
    assert tracker.update([face(302), face(99)]) == [2, 1]


@pytest.mark.parametrize("missed", range(6))
def test_an_id_survives_up_to_five_missed_frames(missed):
    tracker = FaceTracker()
    tracker.update([face(100)])
    for _ in range(missed):
        tracker.update([])
    assert tracker.update([face(103)]) == [1]


def test_after_six_missed_frames_it_is_somebody_new():
    tracker = FaceTracker()
    tracker.update([face(100)])
    for _ in range(6):
        tracker.update([])
    assert tracker.update([face(100)]) == [2]


def test_misses_count_anew_after_each_sighting():
    tracker = FaceTracker()
    for _ in range(4):
        assert tracker.update([face(100)]) == [1]
        for _ in range(5):
            tracker.update([])


def test_a_walking_face_is_met_where_its_motion_leads():
    tracker = FaceTracker()
    for step in range(10):
        tracker.update([face(100 + 25 * step)])
    for _ in range(5):
        tracker.update([])
    assert tracker.update([face(100 + 25 * 15)]) == [1]


@pytest.mark.parametrize("every", [1, 2, 4])
def test_a_face_that_goes_fast_is_awaited_as_far_ahead_as_it_was_missed(every):
    """Twice its side a frame, farther than it may appear from where it was seen last."""
    tracker = FaceTracker()
    x = 100
    for speed in [*range(0, 90, 5), *[90] * 40]:
        x += speed
        assert tracker.update([face(x, x)]) == [1]
    for step in range(1, 41):
        seen = step % every == 0
        assert tracker.update([face(x + 90 * step, x + 90 * step)] if seen else []) == ([1] if seen else [])


@pytest.mark.parametrize("speed", [2, 5, 10, 20])
@pytest.mark.parametrize("hidden", [0, 3, 5])
def test_two_people_who_cross_keep_their_ids(speed, hidden):
    """They walk towards each other; the one behind is not seen in the `hidden` frames around the meeting."""
    tracker = FaceTracker()
    generator = np.random.default_rng(7)
    steps = math.ceil(200 / speed)
    for step in range(-steps, steps + 1):
        shake = generator.normal(0, 1.0, 4)
        front = face(400 + speed * step + shake[0], 100 + shake[1])
        behind = face(400 - speed * step + shake[2], 112 + shake[3], side=52)
        if hidden and abs(step) <= hidden // 2:
            assert tracker.update([front]) == [1]
        elif step % 2 and step > -steps:
            assert tracker.update([behind, front]) == [2, 1]
        else:
            assert tracker.update([front, behind]) == [1, 2]


def test_a_leap_across_the_picture_is_somebody_else():
    tracker = FaceTracker()
    tracker.update([face(100)])
    assert tracker.update([face(500)]) == [2]


@pytest.mark.parametrize(("before", "after"), [(40, 120), (120, 40)])
def test_a_face_of_another_size_in_the_same_place_is_somebody_else(before, after):
    tracker = FaceTracker()
    tracker.update([face(100, side=before)])
    assert tracker.update([face(100, side=after)]) == [2]


def test_another_detectors_box_of_the_same_face_keeps_the_id():
    tracker = FaceTracker()
    tracker.update([face(100, 100, side=60)])
    assert tracker.update([face(104, 96, side=70)]) == [1]


def test_after_a_reset_nobody_is_known_and_no_id_is_given_again():
    tracker = FaceTracker()
    tracker.update([face(100), face(300)])
    tracker.reset()
    assert tracker.update([face(100)]) == [3]


def test_without_patience_one_missed_frame_ends_an_id():
    tracker = FaceTracker(max_missed=0)
    assert tracker.update([face(100)]) == tracker.update([face(100)]) == [1]
    tracker.update([])
    assert tracker.update([face(100)]) == [2]


def test_a_negative_patience_is_refused():
    with pytest.raises(ValueError, match="max_missed"):
        FaceTracker(max_missed=-1)


frames = st.lists(
    st.lists(st.builds(face, st.floats(-100, 900), st.floats(-100, 700), st.floats(1, 400)), max_size=6), max_size=12,
)


@given(frames=frames)
def test_every_face_of_a_frame_has_an_id_of_its_own(frames):
    tracker = FaceTracker()
    for boxes in frames:
        ids = tracker.update(boxes)
        assert len(ids) == len(boxes)
        assert len(set(ids)) == len(ids)
        assert all(face_id >= 1 for face_id in ids)


@given(frames=frames)
def test_the_same_boxes_give_the_same_ids(frames):
    first, second = FaceTracker(), FaceTracker()
    assert [first.update(boxes) for boxes in frames] == [second.update(boxes) for boxes in frames]


@given(count=st.integers(1, 6), seed=st.integers(0, 1000), lost=st.floats(0, 0.4))
def test_people_who_stand_apart_keep_their_ids_through_jitter_and_lost_boxes(count, seed, lost):
    generator = np.random.default_rng(seed)
    tracker = FaceTracker()
    assert tracker.update([face(150 * n) for n in range(count)]) == list(range(1, count + 1))
    unseen = np.zeros(count, int)
    for _ in range(40):
        # Never lost for longer than what an id survives.
        seen = [n for n in generator.permutation(count) if generator.random() >= lost or unseen[n] == 5]
        ids = tracker.update([face(150 * n + generator.normal(0, 2), 100 + generator.normal(0, 2)) for n in seen])
        assert ids == [n + 1 for n in seen]
        unseen += 1
        unseen[seen] = 0


def test_the_longer_a_face_is_missed_the_farther_it_may_have_gone():
    near, far = FaceTracker(), FaceTracker()
    for tracker, misses in ((near, 0), (far, 5)):
        tracker.update([face(100)])
        for _ in range(misses):
            tracker.update([])
    assert near.update([face(166)]) == [2]
    assert far.update([face(166)]) == [1]
