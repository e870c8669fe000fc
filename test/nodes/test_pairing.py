from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.nodes.pairing import FramePairing


def faces(*ids):
    return SimpleNamespace(faces=[SimpleNamespace(face_id=face_id) for face_id in ids])


def emotion(face_id):
    return SimpleNamespace(face_id=face_id)


def told(frames):
    return [(frame.stamp, frame.answered, sorted(frame.emotions)) for frame in frames]


def test_a_frame_is_handed_out_when_all_its_faces_are_answered():
    pairing = FramePairing()
    assert pairing.add_image(10, "image") == []
    assert pairing.add_faces(10, faces(1, 2)) == []
    assert pairing.add_emotion(10, emotion(2)) == []
    (frame,) = pairing.add_emotion(10, emotion(1))
    assert told([frame]) == [(10, True, [1, 2])]
    assert frame.image == "image"
    assert pairing.waiting == 0


def test_a_frame_without_a_face_is_answered_by_its_empty_array():
    pairing = FramePairing()
    pairing.add_image(10, None)
    assert told(pairing.add_faces(10, faces())) == [(10, True, [])]


def test_what_overtakes_its_image_is_kept_for_it():
    pairing = FramePairing()
    assert pairing.add_emotion(10, emotion(1)) == []
    assert pairing.add_faces(10, faces(1)) == []
    assert told(pairing.add_image(10, None)) == [(10, True, [1])]


def test_an_image_that_the_faces_have_gone_past_is_handed_out_unanswered_and_first():
    pairing = FramePairing()
    for stamp in (10, 20, 30):
        pairing.add_image(stamp, None)
    assert told(pairing.add_faces(30, faces())) == [(10, False, []), (20, False, []), (30, True, [])]


def test_faces_of_a_later_image_do_not_settle_one_whose_emotions_are_still_to_come():
    pairing = FramePairing()
    pairing.add_image(10, None)
    pairing.add_image(20, None)
    pairing.add_faces(10, faces(1))
    assert pairing.add_faces(20, faces()) == []
    assert told(pairing.add_emotion(10, emotion(1))) == [(10, True, [1]), (20, True, [])]


def test_an_image_that_the_emotions_have_gone_past_is_handed_out_as_it_is():
    pairing = FramePairing()
    pairing.add_image(10, None)
    pairing.add_image(20, None)
    pairing.add_faces(10, faces(1))
    pairing.add_faces(20, faces(1))
    assert told(pairing.add_emotion(20, emotion(1))) == [(10, False, []), (20, True, [1])]


def test_a_recording_that_starts_again_is_paired_by_the_order_of_its_images():
    pairing = FramePairing()
    for stamp in (10, 20, 10, 20):
        pairing.add_image(stamp, None)
        assert told(pairing.add_faces(stamp, faces())) == [(stamp, True, [])]


def test_capacity_bounds_images_and_what_came_early():
    pairing = FramePairing(capacity=3)
    handed_out = [frame for stamp in range(10) for frame in pairing.add_image(stamp, None)]
    assert [frame.stamp for frame in handed_out] == list(range(7))
    assert pairing.waiting == 3 and pairing.given_up == 7
    for stamp in range(100, 1000):
        pairing.add_faces(stamp, faces())
    assert len(pairing._early) == 3


def test_a_flood_of_one_stamp_takes_no_more_memory_than_its_last_messages():
    pairing = FramePairing(capacity=3)
    for _ in range(1000):
        pairing.add_faces(0, faces(1))
        pairing.add_emotion(0, emotion(1))
    (early,) = pairing._early.values()
    assert list(early.emotions) == [1]


def test_what_came_for_an_image_that_was_lost_is_not_for_the_one_of_the_next_round():
    pairing, second = FramePairing(capacity=3), 10**9
    for stamp in (1, 2, 3):
        pairing.add_faces(stamp * second, faces(stamp))
        pairing.add_emotion(stamp * second, emotion(stamp))
        if stamp != 2:  # lost on its way
            pairing.add_image(stamp * second, None)
    assert pairing.add_image(2 * second, None) == []
    pairing.add_faces(2 * second, faces(7))
    assert told(pairing.add_emotion(2 * second, emotion(7))) == [(2 * second, True, [7])]


def test_flush_hands_out_what_waits():
    pairing = FramePairing()
    pairing.add_image(10, None)
    pairing.add_image(20, None)
    assert told(pairing.flush()) == [(10, False, []), (20, False, [])]
    assert pairing.flush() == []


@settings(max_examples=200)
@given(st.data())
def test_whatever_way_three_ordered_topics_interleave_every_image_comes_out_once_in_order_and_answered(data):
    counts = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=8))
    topics = {
        "image": [(stamp, None) for stamp in range(len(counts))],
        "faces": [(stamp, faces(*range(1, count + 1))) for stamp, count in enumerate(counts)],
        "emotion": [(stamp, emotion(face)) for stamp, count in enumerate(counts) for face in range(1, count + 1)],
    }
    pairing, out = FramePairing(), []
    while any(topics.values()):
        topic = data.draw(st.sampled_from([name for name, left in topics.items() if left]))
        out += getattr(pairing, f"add_{topic}")(*topics[topic].pop(0))
    assert told(out) == [(stamp, True, list(range(1, count + 1))) for stamp, count in enumerate(counts)]
