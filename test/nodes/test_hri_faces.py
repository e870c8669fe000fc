"""The ids of REP-155: short, of letters and digits, steady while a face is in view, never two at once alike."""
import re

from siamese_emotion_ros.faces.geometry import Box
from siamese_emotion_ros.faces.tracker import MAX_MISSED, FaceTracker
from siamese_emotion_ros.nodes.hri_faces import TrackedFaces, hri_id

SECOND = 1_000_000_000


def test_an_id_can_be_part_of_a_topics_name():
    ids = {hri_id(number, 17 * SECOND, "camera") for number in range(1, 500)}
    assert len(ids) == 499
    assert all(re.fullmatch("[a-z][a-z0-9]{4}", name) for name in ids)


def test_an_id_tells_apart_what_the_trackers_number_does_not():
    first = hri_id(1, 17 * SECOND, "camera")
    assert hri_id(1, 17 * SECOND, "camera") == first, "played again"
    assert first not in {hri_id(1, 18 * SECOND, "camera"), hri_id(1, 17 * SECOND, "other_camera")}
    assert hri_id(1, 17 * SECOND, "camera", taken=[first]) != first


def test_a_face_keeps_its_id_for_as_long_as_the_tracker_awaits_it():
    tracker, faces = FaceTracker(), TrackedFaces()
    box = Box(100.0, 100.0, 50.0, 50.0)

    def see(stamp, *boxes):
        return faces.see(tracker.update(boxes), stamp * SECOND, "camera")

    assert see(0, box) == []
    (name,) = faces.ids
    for stamp in range(1, MAX_MISSED + 1):
        assert see(stamp) == [] and faces.ids == [name]
    assert see(MAX_MISSED + 1, box) == [] and faces.ids == [name], "it is back, as the tracker says"
    for stamp in range(10, 10 + MAX_MISSED):
        assert see(stamp) == []
    assert see(20) == [name] and faces.ids == []
    assert see(21, box) == [] and faces.ids not in ([], [name]), "somebody, but not necessarily the same"


def test_an_emotion_may_come_before_the_faces_of_its_image_but_wakes_no_face_that_is_gone():
    faces = TrackedFaces(patience=0)
    early = faces.id_of(1, SECOND, "camera")
    assert faces.see([1], SECOND, "camera") == [] and faces.ids == [early]
    assert faces.see([], 2 * SECOND, "camera") == [early]
    assert faces.id_of(1, SECOND, "camera") is None
    assert faces.id_of(2, 3 * SECOND, "camera") is not None


def test_clear_lets_go_of_everybody_and_of_the_time():
    faces = TrackedFaces()
    faces.see([1, 2], 5 * SECOND, "camera")
    assert len(faces.clear()) == 2 and faces.ids == []
    assert faces.id_of(1, SECOND, "camera") is not None
