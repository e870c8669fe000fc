import threading
from array import array

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from siamese_emotion_ros.msg import FaceCropArray
from std_msgs.msg import Header

from siamese_emotion_ros.faces.image_messages import frame_from_message, image_from_message
from siamese_emotion_ros.nodes import face_crop
from siamese_emotion_ros.nodes.conversions import image_message, nanoseconds
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.qos import sensor_qos

WARN = 30


class Camera:
    """Publishes pictures to a face_crop node and waits for its answers."""

    def __init__(self, graph, message_type=Image, topic="image_raw", **parameters):
        self.graph = graph
        self.arrays = graph.listen(FaceCropArray, "faces")
        # A camera that a test relies on is reliable, and so is the node that listens to it.
        self.qos = {f"qos_overrides.{graph.topic(topic)}.subscription.{key}": value
                    for key, value in (("reliability", "reliable"), ("depth", 50))}
        self.publisher = graph.publisher(message_type, topic, 50)
        self.node = graph.start(FaceCrop, detector="haar", **{**self.qos, **parameters})
        graph.until_state(self.node, "active")
        graph.until(lambda: self.publisher.get_subscription_count(), "face_crop to subscribe")

    def show(self, message, stamp):
        message.header = Header(stamp=Time(sec=stamp, nanosec=stamp + 7), frame_id="left_eye")
        self.publisher.publish(message)

    def answer(self, message, stamp):
        """The FaceCropArray for one message."""
        before = len(self.arrays)
        self.show(message, stamp)
        self.graph.until(lambda: len(self.arrays) > before, "an answer")
        return self.arrays[-1]


def test_a_face_is_found_cut_out_and_described(graph, portrait):
    camera = Camera(graph)
    found = camera.answer(image_message(Header(), portrait), 5)
    assert (found.header.stamp.sec, found.header.stamp.nanosec, found.header.frame_id) == (5, 12, "left_eye")
    assert (found.image_width, found.image_height) == (640, 480)
    (face,) = found.faces
    roi = face.roi
    # Where the astronaut's face is in scikit-image's picture, moved by our border of 64 pixels.
    assert 230 < roi.x_offset < 260 and 50 < roi.y_offset < 100 and 80 < roi.width < 130
    assert face.face_id == 1 and 0.5 < face.score <= 1.0
    crop = image_from_message(face.crop)
    assert face.crop.encoding == "mono8" and face.crop.header == found.header
    assert crop.shape[0] <= 128 and crop.shape[1] <= 128
    gray = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    seen = gray[roi.y_offset : roi.y_offset + roi.height, roi.x_offset : roi.x_offset + roi.width]
    difference = cv2.resize(seen, crop.shape[::-1]).astype(int) - crop
    assert np.abs(difference).mean() < 10


def test_nobody_is_an_empty_array(graph):
    found = Camera(graph).answer(image_message(Header(), np.full((120, 160, 3), 80, np.uint8)), 3)
    assert found.faces == [] and found.header.stamp.sec == 3


@pytest.mark.parametrize("encoding", ["rgb8", "bgra8", "mono8", "mono16", "nv12", "yuv422_yuy2", "bayer_grbg8"])
def test_other_encodings_with_padded_rows_show_the_same_face(graph, pictures, portrait, encoding):
    camera = Camera(graph)
    expected = camera.answer(image_message(Header(), portrait), 1).faces[0].roi
    rows, _ = pictures.encoded(encoding, portrait, cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY))
    (face,) = camera.answer(pictures.message_of(encoding, rows, 640, 480, padding=64), 2).faces
    assert abs(face.roi.x_offset - expected.x_offset) < 12 and abs(face.roi.width - expected.width) < 16


def test_compressed_images_arrive_under_the_transports_name(graph, portrait):
    camera = Camera(graph, CompressedImage, "image_raw/compressed", image_transport="compressed")
    jpeg = CompressedImage(format="jpeg", data=array("B", cv2.imencode(".jpg", portrait)[1].tobytes()))
    assert len(camera.answer(jpeg, 2).faces) == 1


def test_bad_images_in_a_stream_cost_one_line_each_and_the_next_good_one_is_answered(graph, log, portrait):
    camera = Camera(graph)
    good = image_message(Header(), portrait)
    nan = Image(width=4, height=4, step=16, encoding="32FC1", data=array("B", np.full((4, 4), np.nan, "f4").tobytes()))
    wide = Image(width=20000, height=1, step=60000, encoding="bgr8", data=array("B", bytes(60000)))
    short = image_message(Header(), portrait)
    short.data = short.data[:1000]
    unknown = image_message(Header(), portrait)
    unknown.encoding = "ultraviolet"
    bad = [Image(), nan, wide, short, unknown]
    stamp = 0
    for message in bad:
        for _ in range(3):
            stamp += 1
            camera.show(message, stamp)
        stamp += 1
        assert len(camera.answer(good, stamp).faces) == 1
    assert [array.header.stamp.sec for array in camera.arrays] == [4, 8, 12, 16, 20]
    graph.until(lambda: len([line for line in log if line[0] == WARN]) == len(bad), "a line for each kind of fault")
    lines = [text for level, text in log if level == WARN]
    for text, reason in zip(lines, ("unknown encoding ''", "NaN", "20000x1", "1000 bytes of data", "'ultraviolet'")):
        assert reason in text and "\n" not in text


def test_a_truncated_jpeg_in_a_stream_is_refused_and_the_next_one_answered(graph, log, portrait):
    camera = Camera(graph, CompressedImage, "image_raw/compressed", image_transport="compressed")
    whole = cv2.imencode(".jpg", portrait)[1].tobytes()
    camera.show(CompressedImage(format="jpeg", data=array("B", whole[: len(whole) // 2])), 1)
    answer = camera.answer(CompressedImage(format="jpeg", data=array("B", whole)), 2)
    assert answer.header.stamp.sec == 2
    graph.until(lambda: any("truncated" in text for _, text in log), "the reason")


def test_a_face_keeps_its_id_through_five_missed_frames_and_time_that_jumps_back_gives_a_new_one(graph, log, portrait):
    camera = Camera(graph)
    face, nobody = image_message(Header(), portrait), image_message(Header(), np.zeros_like(portrait))
    assert camera.answer(face, 10).faces[0].face_id == 1
    for stamp in range(11, 16):
        assert camera.answer(nobody, stamp).faces == []
    assert camera.answer(face, 16).faces[0].face_id == 1
    assert camera.answer(face, 3).faces[0].face_id == 2, "ids are not used again"
    assert camera.answer(face, 4).faces[0].face_id == 2
    graph.until(lambda: any("time jumped back" in text for _, text in log), "a line about it")


def test_an_image_that_is_refused_costs_nobody_their_id(graph, log, portrait):
    camera = Camera(graph)
    face = image_message(Header(), portrait)
    assert camera.answer(face, 10).faces[0].face_id == 1
    camera.show(Image(encoding="bgr8"), 0)
    graph.until(lambda: any("expected at least one pixel" in text for _, text in log), "a line about it")
    assert camera.answer(face, 11).faces[0].face_id == 1


def test_whoever_is_there_after_a_pause_has_another_id(graph, log, portrait):
    camera = Camera(graph)
    face = image_message(Header(), portrait)
    assert [camera.answer(face, stamp).faces[0].face_id for stamp in (10, 11, 15, 16)] == [1, 1, 2, 2]
    graph.until(lambda: any("no image for 4.0 s" in text for _, text in log), "a line about it")


@pytest.mark.parametrize("between", [(), ("cleanup", "configure")])
def test_no_id_is_given_twice_in_the_life_of_the_node(graph, portrait, between):
    camera = Camera(graph)
    face = image_message(Header(), portrait)
    assert camera.answer(face, 1).faces[0].face_id == 1
    for transition in ("deactivate", *between, "activate"):
        assert graph.transition(camera.node, transition)
    graph.until(lambda: camera.publisher.get_subscription_count(), "a new subscription")
    graph.until(lambda: graph.node.count_publishers(graph.topic("faces")), "face_crop to publish again")
    assert camera.answer(face, 2).faces[0].face_id == 2


def test_rows_of_an_odd_number_of_bytes_are_read_whatever_a_value_takes(graph, pictures, portrait):
    camera = Camera(graph)
    gray = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    rows, _ = pictures.encoded("mono16", portrait, gray)
    assert len(camera.answer(pictures.message_of("mono16", rows, 640, 480, padding=1), 1).faces) == 1


def test_settings_change_while_images_flow_and_refused_ones_change_nothing(graph, portrait):
    camera = Camera(graph)
    message = image_message(Header(), portrait)
    assert len(camera.answer(message, 1).faces) == 1
    assert graph.set(camera.node, min_size=400).successful
    assert camera.answer(message, 2).faces == []
    refusal = graph.set(camera.node, min_size=-1)
    assert not refusal.successful and camera.node.get_parameter("min_size").value == 400
    assert graph.set(camera.node, min_size=24).successful
    assert camera.answer(message, 3).faces[0].face_id == 1


def answers_to(graph, monkeypatch, portrait, count, depth):
    """Stamp and images_replaced of each answer to images 1, 2, …, `count`, the first of which is in work for long."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(message):
        begun.set()
        go_on.wait(20)
        return frame_from_message(message)

    monkeypatch.setattr(face_crop, "frame_from_message", slow)
    arrived = graph.listen(Image, "image_raw")
    camera = Camera(graph, **{f"qos_overrides.{graph.topic('image_raw')}.subscription.depth": depth})
    message = image_message(Header(), portrait[::8, ::8])
    camera.show(message, 1)
    assert begun.wait(20)
    mailbox = camera.node._images._mailbox
    for stamp in range(2, count + 1):
        camera.show(message, stamp)
        # One at a time, so that none is replaced before it reaches the node.
        graph.until(lambda stamp=stamp: len(arrived) == stamp, "the image")
        graph.until(lambda stamp=stamp: len(mailbox._items) + mailbox.replaced == stamp - 1, "the node to have it")
    go_on.set()
    graph.until(lambda: camera.arrays and camera.arrays[-1].header.stamp.sec == count, "the last answer")
    return [(array.header.stamp.sec, array.images_replaced) for array in camera.arrays]


def test_images_that_come_while_one_takes_long_wait_in_order(graph, portrait, monkeypatch):
    depth = sensor_qos().depth
    assert depth > 1
    answers = answers_to(graph, monkeypatch, portrait, count=1 + depth, depth=depth)
    assert answers == [(stamp, 0) for stamp in range(1, 2 + depth)]


def test_more_than_may_wait_give_way_to_the_newest_and_are_counted(graph, portrait, monkeypatch):
    assert answers_to(graph, monkeypatch, portrait, count=7, depth=2) == [(1, 5), (7, 5)]


def test_qos_can_be_overridden_by_parameters(graph):
    topic = graph.topic("faces")
    parameters = {f"qos_overrides.{topic}.publisher.reliability": "best_effort"}
    camera = Camera(graph, **parameters)
    (info,) = graph.node.get_publishers_info_by_topic(topic)
    assert info.qos_profile.reliability == QoSReliabilityPolicy.BEST_EFFORT
    (info,) = graph.node.get_subscriptions_info_by_topic(graph.topic("image_raw"))
    assert info.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE
    assert camera.node.get_name() == "face_crop"


def test_by_default_the_camera_is_heard_with_sensor_quality(graph):
    node = graph.start(FaceCrop, detector="haar")
    graph.until_state(node, "active")
    (info,) = graph.node.get_subscriptions_info_by_topic(graph.topic("image_raw"))
    assert info.qos_profile.reliability == QoSReliabilityPolicy.BEST_EFFORT
    # A camera with sensor quality is heard; nothing but the match is asked for here.
    publisher = graph.publisher(Image, "image_raw", QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT))
    graph.until(lambda: publisher.get_subscription_count() == 1, "a match")


@pytest.mark.parametrize("policy, value", [("reliability", "mostly"), ("depth", "ten")])
@pytest.mark.parametrize(
    "entity, state, transition",
    [("faces.publisher", "unconfigured", "configure"), ("image_raw.subscription", "inactive", "activate")],
)
def test_a_wrong_qos_override_is_refused_in_one_line(graph, log, policy, value, entity, state, transition):
    topic, side = entity.split(".")
    override = {f"qos_overrides.{graph.topic(topic)}.{side}.{policy}": value}
    node = graph.start(FaceCrop, detector="haar", **override)
    graph.until(lambda: any("cannot" in text for _, text in log), "a refusal")
    text = next(text for _, text in log if "cannot" in text)
    assert f"cannot {transition}: {topic}: " in text and value in text and "\n" not in text
    assert text.endswith("and start the node again"), "it cannot be set while it runs"
    assert graph.state(node) == state


def test_nothing_is_published_while_inactive(graph, portrait):
    camera = Camera(graph)
    message = image_message(Header(), portrait)
    camera.answer(message, 1)
    assert graph.transition(camera.node, "deactivate")
    for stamp in range(2, 6):
        camera.show(message, stamp)
    assert graph.transition(camera.node, "activate")
    graph.until(lambda: camera.publisher.get_subscription_count(), "a new subscription")
    camera.answer(message, 9)
    assert [nanoseconds(array.header.stamp) // 10**9 for array in camera.arrays] == [1, 9]
