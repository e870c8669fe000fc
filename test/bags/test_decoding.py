"""Images and labels out of recorded bytes, and what is refused."""
from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.bags.decoding import (
    COMPRESSED_IMAGE,
    IMAGE,
    STRING,
    Label,
    choose_image_topic,
    decode,
    label_of,
    says_labels,
    stamp_of,
    typestore,
)
from siamese_emotion_ros.bags.reading import Bag, BagError, Topic
from siamese_emotion_ros.faces.image_messages import image_from_message


@pytest.fixture
def picture():
    return np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)


@pytest.mark.parametrize(("make", "padding"), [("image", 0), ("image", 5), ("compressed", None)])
def test_a_recorded_image_is_the_picture_that_was_taken(bag_making, picture, make, padding):
    options = {} if padding is None else {"padding": padding}
    message = getattr(bag_making, make)(picture, bag_making.BEGIN + 7, **options)
    kind = IMAGE if make == "image" else COMPRESSED_IMAGE
    decoded = decode(kind, bytes(typestore().serialize_cdr(message, kind)))
    assert np.array_equal(image_from_message(decoded), picture)
    assert stamp_of(decoded) == bag_making.BEGIN + 7


def test_bytes_that_are_no_image_are_refused(bag_making, picture):
    whole = bytes(typestore().serialize_cdr(bag_making.image(picture, 1), IMAGE))
    for data in (b"", b"\x00\x01\x00\x00", whole[:100], b"\x07" * 200):
        with pytest.raises(BagError, match="are no sensor_msgs/msg/Image"):
            decode(IMAGE, data)


@pytest.mark.parametrize("word", ["", "h", "happy", "surprised"])
def test_the_text_behind_a_header_is_a_label_whatever_follows(bag_making, word):
    topic = Topic("/expression", "their_msgs/msg/Mood", 1, bag_making.EXPRESSION)
    assert says_labels(topic)
    stamp = bag_making.BEGIN + 123
    assert label_of(topic, 5, bag_making.expression(word, stamp)) == Label(stamp, word)


def test_a_text_without_a_stamp_is_of_the_time_of_its_recording(bag_making):
    data = bytes(typestore().serialize_cdr(bag_making.string("sad"), STRING))
    assert label_of(Topic("/truth", STRING, 1), 42, data) == Label(42, "sad")


@pytest.mark.parametrize(("kind", "definition", "expected"), [
    ("hri_msgs/msg/Expression", "", True),
    ("a/msg/B", "# a comment\nstd_msgs/Header header\nstring<=8 word\n", True),
    ("a/msg/B", "string word\nstd_msgs/Header header\n", False),
    ("a/msg/B", "std_msgs/Header header\nstring[] words\n", False),
    ("a/msg/B", "std_msgs/Header header\n====================\nMSG: std_msgs/Header\nstring frame_id\n", False),
    ("a/msg/B", "", False),
])
def test_which_types_say_labels(kind, definition, expected):
    assert says_labels(Topic("/t", kind, 1, definition)) is expected


def test_a_label_that_is_cut_off_is_refused(bag_making):
    topic = Topic("/expression", "hri_msgs/msg/Expression", 1)
    whole = bag_making.expression("happy", bag_making.BEGIN)
    for length in (0, 3, 11, 20, 30):
        with pytest.raises(BagError, match="do not begin with a header and a text"):
            label_of(topic, 0, whole[:length])


def test_our_messages_go_there_and_back(bag_making):
    types = typestore().types
    roi = types["sensor_msgs/msg/RegionOfInterest"](x_offset=1, y_offset=2, height=3, width=4, do_rectify=False)
    sent = types["siamese_emotion_ros/msg/EmotionStamped"](
        header=bag_making.header(bag_making.BEGIN), face_id=3, face_count=1, roi=roi, detection_score=0.5,
        label="fear", confidence=0.75, classes=["anger", "fear"], class_scores=np.float32([0.25, 0.75]),
        class_distances=np.float32([1, 2]), neighbor_labels=["fear"], neighbor_distances=np.float32([2]),
        neighbor_names=["x"], model_id="m", gallery_id="g", gallery_version=1, personal_offset=0.5,
        latency=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=9),
    )
    kind = "siamese_emotion_ros/msg/EmotionStamped"
    got = decode(kind, bytes(typestore().serialize_cdr(sent, kind)))
    assert (got.label, got.face_id, got.roi.width, got.latency.nanosec) == ("fear", 3, 4, 9)


def test_the_only_image_topic_is_taken_and_among_several_one_has_to_be_chosen(tmp_path, bag_making, picture):
    one = bag_making.pictures_bag(tmp_path / "one", [picture], labels=[(0, "sad")])
    with Bag(one) as bag:
        assert choose_image_topic(bag, None).name == "/camera/image_raw"
        assert choose_image_topic(bag, "camera/image_raw").name == "/camera/image_raw"
        with pytest.raises(BagError, match="no images on /truth: choose one of /camera/image_raw"):
            choose_image_topic(bag, "/truth")
    messages = [(f"/{side}/image", IMAGE, 1, bag_making.image(picture, 1)) for side in ("left", "right")]
    with Bag(bag_making.write_bag(tmp_path / "two", messages)) as bag:
        with pytest.raises(BagError, match=r"images on 2 topics: choose one of /left/image \(1\), /right/image"):
            choose_image_topic(bag, None)
        assert choose_image_topic(bag, "/right/image").name == "/right/image"
    messages = [("/eye/image_raw/compressed", COMPRESSED_IMAGE, 1, bag_making.compressed(picture, 1))]
    with Bag(bag_making.write_bag(tmp_path / "small", messages)) as bag:
        for name in ("/eye/image_raw", "eye/image_raw", "/eye/image_raw/compressed"):
            assert choose_image_topic(bag, name).name == "/eye/image_raw/compressed", "the transport may be left out"
    none = bag_making.write_bag(tmp_path / "none", [("/t", STRING, 1, bag_making.string("x"))])
    with Bag(none) as bag, pytest.raises(BagError, match="has no images"):
        choose_image_topic(bag, None)
