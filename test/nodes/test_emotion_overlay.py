import threading
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from siamese_emotion_ros.msg import EmotionStamped, FaceCrop, FaceCropArray
from std_msgs.msg import Header

from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.nodes import emotion_overlay
from siamese_emotion_ros.nodes.conversions import image_message
from siamese_emotion_ros.nodes.emotion_overlay import IMAGES_WAITING, WAITING, EmotionOverlay
from siamese_emotion_ros.nodes.qos import emotion_qos


def header(stamp):
    return Header(stamp=Time(sec=stamp), frame_id="eye")


def faces(stamp, *ids):
    return FaceCropArray(header=header(stamp), faces=[FaceCrop(face_id=face_id) for face_id in ids])


def emotion(stamp, face_id, face_count=1):
    message = EmotionStamped(
        header=header(stamp), face_id=face_id, face_count=face_count, label="happiness", confidence=0.8,
        classes=["happiness", "fear"], class_scores=[0.8, 0.2],
    )
    message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height = 60, 40, 50, 50
    return message


@pytest.fixture
def overlay(graph):
    graph.node_under_test = graph.start(EmotionOverlay)
    graph.until_state(graph.node_under_test, "active")
    return graph.node_under_test


@pytest.fixture
def publishers(graph):
    return {
        "image": graph.publisher(Image, "image_raw"), "faces": graph.publisher(FaceCropArray, "faces"),
        "emotion": graph.publisher(EmotionStamped, "emotion"),
    }


def watch(graph, publishers):
    watcher = []
    subscription = graph.node.create_subscription(Image, "image_overlay", watcher.append, 10)
    graph.until(lambda: all(publisher.get_subscription_count() for publisher in publishers.values()), "it to subscribe")
    return watcher, subscription


def test_a_wrong_qos_override_is_told_and_leaves_nothing_behind(graph, log):
    node = graph.start(EmotionOverlay, **{f"qos_overrides.{graph.topic('faces')}.subscription.reliability": "mostly"})
    graph.until_state(node, "active")
    graph.listen(Image, "image_overlay")
    graph.until(lambda: log, "a line about it")
    assert "mostly" in log[0][1] and "\n" not in log[0][1]
    assert "mostly" in node.statistics.report().message
    assert graph.transition(node, "deactivate")
    assert not [thread for thread in threading.enumerate() if thread.name == node.get_name()]
    assert not list(node.subscriptions)


PICTURE = np.full((240, 320, 3), 70, np.uint8)


def test_the_camera_is_subscribed_to_only_while_somebody_watches(graph, overlay, publishers):
    assert publishers["image"].get_subscription_count() == 0
    for _ in range(2):
        _, subscription = watch(graph, publishers)
        graph.node.destroy_subscription(subscription)
        for topic, publisher in publishers.items():
            graph.until(lambda publisher=publisher: not publisher.get_subscription_count(), f"no interest in {topic}")


@pytest.mark.parametrize("order", ["image faces emotion", "emotion faces image", "faces emotion image"])
def test_the_emotions_are_drawn_on_the_image_they_belong_to(graph, overlay, publishers, order):
    watcher, _ = watch(graph, publishers)
    # An older image whose emotions never come must not be drawn in its place.
    publishers["image"].publish(image_message(header(1), PICTURE + 100))
    messages = {"image": image_message(header(2), PICTURE), "faces": faces(2, 1), "emotion": emotion(2, 1)}
    for kind in order.split():
        publishers[kind].publish(messages[kind])
    graph.until(lambda: watcher, "the drawn image")
    assert watcher[0].header == header(2) and watcher[0].encoding == "bgr8"
    drawn = image_from_message(watcher[0])
    assert drawn.shape == PICTURE.shape
    changed = (drawn != PICTURE).any(axis=2)
    assert changed[35:95, 55:115].any(), "something is drawn where the face is"
    assert not changed[200:].any(), "and nothing far from it"


def test_an_image_without_a_face_is_shown_as_it_is(graph, overlay, publishers):
    watcher, _ = watch(graph, publishers)
    publishers["image"].publish(image_message(header(3), PICTURE))
    publishers["faces"].publish(faces(3))
    graph.until(lambda: watcher, "the image")
    np.testing.assert_array_equal(image_from_message(watcher[0]), PICTURE)


def test_a_gray_image_gets_coloured_drawings(graph, overlay, publishers):
    watcher, _ = watch(graph, publishers)
    for kind, message in (
        ("image", image_message(header(4), PICTURE[:, :, 0])), ("faces", faces(4, 1)), ("emotion", emotion(4, 1))
    ):
        publishers[kind].publish(message)
    graph.until(lambda: watcher, "the drawn image")
    drawn = image_from_message(watcher[0])
    assert drawn.shape == (240, 320, 3) and (drawn[:, :, 0] != drawn[:, :, 2]).any()


def test_a_crowd_is_drawn_though_its_emotions_come_all_at_once(graph, overlay, publishers):
    watcher, _ = watch(graph, publishers)
    ids = range(1, 61)
    publishers["emotion"] = graph.publisher(EmotionStamped, "emotion", emotion_qos())
    graph.until(publishers["emotion"].get_subscription_count, "it to subscribe")
    publishers["image"].publish(image_message(header(1), PICTURE))
    publishers["faces"].publish(faces(1, *ids))
    for face_id in ids:
        publishers["emotion"].publish(emotion(1, face_id, len(ids)))
    graph.until(lambda: watcher, "the drawn image")


def test_emotions_may_come_as_many_images_later_as_memory_holds(graph, overlay, publishers):
    watcher, _ = watch(graph, publishers)

    def late(first, images):
        for stamp in range(first, first + images):
            publishers["image"].publish(image_message(header(stamp), PICTURE))
            graph.until(lambda stamp=stamp: overlay._pairing.waiting == stamp - first + 1, "the image to wait")
        publishers["faces"].publish(faces(first))

    late(1, 3 * IMAGES_WAITING)
    graph.until(lambda: watcher, "the first of them")
    assert watcher[0].header.stamp.sec == 1 and overlay.statistics.report().values["messages replaced by newer"] == "0"


def test_images_given_up_are_told_and_none_is_kept_when_nobody_watches(graph, log, monkeypatch, overlay, publishers):
    monkeypatch.setattr(emotion_overlay, "MEMORY", 0)
    _, subscription = watch(graph, publishers)
    for stamp in range(1, IMAGES_WAITING + 4):
        publishers["image"].publish(image_message(header(stamp), PICTURE))
        time.sleep(0.01)
    graph.until(lambda: any("more than 15 images later" in text for _, text in log), "a line about it")
    graph.until(lambda: overlay.statistics.report().values["messages replaced by newer"] == "3", "the count")
    assert overlay._pairing.waiting == IMAGES_WAITING
    graph.node.destroy_subscription(subscription)
    graph.until(lambda: not overlay._pairing.waiting, "the images to be let go")


def test_two_faces_wait_for_each_other_and_a_bad_image_costs_one_line(graph, log, overlay, publishers):
    watcher, _ = watch(graph, publishers)
    publishers["image"].publish(Image(header=header(5), width=4, height=4, step=12, encoding="bgr8"))
    publishers["faces"].publish(faces(5))
    graph.until(lambda: any("0 bytes of data" in text for _, text in log), "a line about it")
    publishers["image"].publish(image_message(header(6), PICTURE))
    publishers["faces"].publish(faces(6, 1, 2))
    publishers["emotion"].publish(emotion(6, 1, 2))
    publishers["image"].publish(image_message(header(7), PICTURE))
    publishers["faces"].publish(faces(7))
    publishers["emotion"].publish(emotion(6, 2, 2))
    graph.until(lambda: len(watcher) == 2, "both images")
    assert [image.header.stamp.sec for image in watcher] == [6, 7]


def test_an_overlay_that_is_too_slow_says_so(graph, monkeypatch, overlay, publishers):
    drawing, go_on = threading.Event(), threading.Event()

    def draw(*_):
        drawing.set()
        go_on.wait(30)

    monkeypatch.setattr(emotion_overlay, "draw_emotions", draw)
    watch(graph, publishers)
    publishers["image"].publish(image_message(header(1), PICTURE))
    publishers["faces"].publish(faces(1))
    assert drawing.wait(30)
    try:
        stamp = 1
        while stamp < 1000 and overlay.statistics.report().values["messages replaced by newer"] == "0":
            stamp += 1
            publishers["faces"].publish(faces(stamp))
            time.sleep(0.002)
        assert WAITING < stamp < 1000
    finally:
        go_on.set()
