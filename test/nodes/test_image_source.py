import threading

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray
from std_msgs.msg import Bool

from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.nodes import image_source
from siamese_emotion_ros.nodes.conversions import nanoseconds
from siamese_emotion_ros.nodes.image_source import ImageSource
from siamese_emotion_ros.nodes.sources import SourceError

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def folder(tmp_path):
    for number in range(1, 6):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((48, 64, 3), 10 * number, np.uint8))
    return tmp_path


@pytest.fixture
def play(graph):
    """Starts a source that waits for us to listen; the images so far, what was said about its end, and the node."""
    def make(source, **parameters):
        images = graph.listen(Image, "image_raw", 100)
        ended = graph.listen(Bool, "image_source/ended", LATCHED)
        values = {"source": str(source), "rate": 100.0, "wait_for_subscribers": 1, **parameters}
        node = graph.start(ImageSource, **values)
        return images, ended, node

    return make


def numbers(images):
    return [round(float(image_from_message(image).mean()) / 10) for image in images]


def has_ended(ended):
    return bool(ended) and ended[-1].data


def test_a_folder_is_published_once_in_order_and_its_end_reported(graph, log, folder, play):
    images, ended, _ = play(folder, frame_id="eye")
    graph.until(lambda: has_ended(ended) and len(images) == 5, "the end")
    assert numbers(images) == [1, 2, 3, 4, 5]
    assert {(image.encoding, image.header.frame_id, image.width, image.height) for image in images} == {
        ("bgr8", "eye", 64, 48)
    }
    stamps = [nanoseconds(image.header.stamp) for image in images]
    assert stamps == sorted(set(stamps))
    assert abs(graph.node.get_clock().now().nanoseconds - stamps[-1]) < 60e9
    graph.until(lambda: any("has ended after 5 images" in text for _, text in log), "a line about the end")


def test_the_end_is_latched_for_those_who_come_later(graph, folder, play):
    _, ended, _ = play(folder)
    graph.until(lambda: has_ended(ended), "the end")
    late = graph.listen(Bool, "image_source/ended", LATCHED)
    graph.until(lambda: late, "the latched end")
    assert late[-1].data


def test_a_loop_begins_again(graph, folder, play):
    images, ended, node = play(folder, loop=True)
    graph.until(lambda: len(images) >= 13, "more than two rounds")
    assert numbers(images)[:13] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3]
    assert not has_ended(ended)
    assert graph.set(node, loop=False).successful
    graph.until(lambda: has_ended(ended), "the end")


def test_a_video_is_published_whole(graph, tmp_path, play):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 50.0, (64, 48))
    for number in range(8):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    images, ended, _ = play(path, rate=0.0)
    graph.until(lambda: has_ended(ended) and len(images) == 8, "the whole video")
    assert numbers(images) == list(range(8))


def test_the_first_image_waits_for_subscribers(graph, folder):
    ended = graph.listen(Bool, "image_source/ended", LATCHED)
    node = graph.start(ImageSource, source=str(folder), rate=100.0, wait_for_subscribers=2)
    first = graph.listen(Image, "image_raw", 100)
    graph.until_state(node, "active")
    graph.until(lambda: ended, "activation")
    assert not has_ended(ended) and not first
    second = graph.listen(Image, "image_raw", 100)
    graph.until(lambda: len(first) == len(second) == 5, "both to get everything")


@pytest.mark.parametrize("name", ["siamese_emotion", "renamed"])
def test_the_first_image_waits_for_siamese_emotion_whatever_its_name(graph, folder, play, name):
    images, ended, node = play(folder, wait_for_emotions=True)
    waiting = "waiting for siamese_emotion to listen to /"
    graph.until(lambda: node.statistics.idle_reason.startswith(waiting), "its reason")
    graph.listen(FaceCropArray, "faces")
    graph.until(lambda: graph.node.count_subscribers(graph.topic("faces")), "another who listens")
    assert not images
    recogniser = rclpy.create_node(name, namespace=graph.namespace, context=graph.context)
    recogniser.create_publisher(EmotionStamped, "emotion", 10)
    recogniser.create_subscription(FaceCropArray, "faces", lambda _: None, 10)
    graph.until(lambda: has_ended(ended) and len(images) == 5, "all of it")
    recogniser.destroy_node()


def test_a_source_that_ended_plays_again_when_activated_again(graph, folder, play):
    images, ended, node = play(folder)
    graph.until(lambda: has_ended(ended) and len(images) == 5, "the end")
    assert graph.transition(node, "deactivate") and graph.transition(node, "activate")
    graph.until(lambda: len(images) == 10, "a second round")
    assert numbers(images) == [1, 2, 3, 4, 5] * 2


def test_a_deactivated_source_goes_on_where_it_was(graph, folder, play):
    images, ended, node = play(folder, rate=2.0)
    graph.until(lambda: len(images) >= 2, "two images")
    assert graph.transition(node, "deactivate")
    assert graph.set(node, rate=100.0).successful
    assert graph.transition(node, "activate")
    graph.until(lambda: has_ended(ended) and len(images) == 5, "the end")
    assert numbers(images) == [1, 2, 3, 4, 5]


def test_another_rate_holds_at_once(graph, folder, play):
    images, ended, node = play(folder, rate=0.001)
    graph.until(lambda: images, "the first image")
    assert graph.set(node, rate=100.0).successful
    graph.until(lambda: has_ended(ended) and len(images) == 5, "the others")


def test_an_unreadable_image_in_a_folder_is_named_and_left_out(graph, log, folder, play):
    (folder / "frame3.png").write_bytes(b"no image")
    images, ended, _ = play(folder)
    graph.until(lambda: has_ended(ended) and len(images) == 4, "the end")
    assert numbers(images) == [1, 2, 4, 5]
    graph.until(lambda: any("frame3.png" in text for _, text in log), "its name")


def test_a_loop_over_nothing_readable_ends_rather_than_spins(graph, folder, play):
    for file in folder.iterdir():
        file.write_bytes(b"no image")
    images, ended, _ = play(folder, loop=True)
    graph.until(lambda: has_ended(ended), "the end")
    assert not images


class Webcam:
    """A camera that is unplugged after each `frames` frames, and gone for the next `gone` tries to open it."""

    live, rate = True, 1000.0
    opened = 0

    def __init__(self, frames, gone):
        self.frames, self.gone, self.left = frames, gone, 0
        self.closed = threading.Event()

    def open(self, source, rate):
        assert source == "0"
        self.opened += 1
        if self.opened > 1 and self.gone > 0:
            self.gone -= 1
            raise SourceError("webcam 0 cannot be opened.")
        self.left = self.frames
        return self

    def read(self):
        if self.left == 0:
            raise SourceError("webcam 0 gives no more frames.")
        self.left -= 1
        return np.full((48, 64, 3), 50, np.uint8)

    def close(self):
        self.closed.set()


def test_an_unplugged_webcam_is_reported_and_tried_again_with_growing_patience(graph, log, monkeypatch, play):
    webcam = Webcam(frames=3, gone=2)
    monkeypatch.setattr(image_source, "open_source", webcam.open)
    monkeypatch.setattr(image_source, "FIRST_WAIT", 0.02)
    images, ended, _ = play("0", rate=0.0)
    graph.until(lambda: len(images) >= 6, "images from after it was plugged in again")
    assert webcam.closed.is_set() and not has_ended(ended)
    graph.until(lambda: len([text for _, text in log if "Trying again" in text]) >= 3, "three lines")
    waits = [text.rpartition(" in ")[2] for _, text in log if "Trying again" in text][:3]
    assert waits == ["0.02 s.", "0.04 s.", "0.08 s."]


def test_a_webcam_is_let_go_while_the_node_is_not_active(graph, monkeypatch, play):
    webcam = Webcam(frames=10**9, gone=0)
    monkeypatch.setattr(image_source, "open_source", webcam.open)
    images, _, node = play("0", rate=50.0)
    graph.until(lambda: images, "an image")
    assert graph.transition(node, "deactivate")
    assert webcam.closed.is_set() and webcam.opened == 1
    seen = len(images)
    assert graph.transition(node, "activate")
    graph.until(lambda: len(images) > seen, "images once more")
    assert webcam.opened == 2


def test_a_webcam_that_is_not_there_yet_does_not_refuse_the_configuration(graph, monkeypatch, play):
    webcam = Webcam(frames=1, gone=0)
    webcam.opened, webcam.gone = 1, 1
    monkeypatch.setattr(image_source, "open_source", webcam.open)
    monkeypatch.setattr(image_source, "FIRST_WAIT", 0.02)
    images, _, node = play("0")
    graph.until_state(node, "active")
    graph.until(lambda: images, "an image once it is there")


def test_another_rate_of_a_webcam_holds_at_once(graph, monkeypatch, play):
    monkeypatch.setattr(image_source, "open_source", Webcam(frames=10**9, gone=0).open)
    images, _, node = play("0", rate=0.001)
    graph.until(lambda: images, "the first image")
    assert graph.set(node, rate=50.0).successful
    graph.until(lambda: len(images) > 3, "more images")


def test_a_webcam_faster_than_the_rate_asked_for_is_thinned(graph, monkeypatch, play):
    webcam = Webcam(frames=10**9, gone=0)
    reads = []
    read = webcam.read

    def paced():
        threading.Event().wait(0.005)
        reads.append(None)
        return read()

    webcam.read = paced
    monkeypatch.setattr(image_source, "open_source", webcam.open)
    images, _, _ = play("0", rate=20.0)
    graph.until(lambda: len(images) >= 10, "ten images")
    assert len(reads) >= 3 * len(images)
