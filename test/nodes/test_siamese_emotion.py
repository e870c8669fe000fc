
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock
from siamese_emotion_ros.msg import EmotionStamped

from siamese_emotion_ros.nodes.conversions import nanoseconds
from siamese_emotion_ros.nodes.qos import emotion_qos
from siamese_emotion_ros.recognition.model import EmbeddingModel

# --- answers ---


def test_each_face_gets_the_recognizers_answer_with_the_images_header(graph, start, artifacts, faces):
    _, publisher, emotions = start()
    got = faces.answers(graph, emotions, publisher, faces.of(5_250, faces.CROPS, first_id=7))
    recognizer = faces.expected(artifacts)
    assert len(got) == 3
    for number, (message, answer) in enumerate(zip(got, recognizer.recognize(faces.CROPS))):
        assert nanoseconds(message.header.stamp) == 5_250_000_000 and message.header.frame_id == "eye"
        assert (message.face_id, message.face_count) == (7 + number, 3)
        assert (message.roi.x_offset, message.roi.width, message.roi.height) == (10 * number, 20, 30)
        assert message.detection_score == pytest.approx(0.5 + number / 8)
        assert message.label == answer.label and message.confidence == pytest.approx(answer.confidence)
        assert tuple(message.classes) == recognizer.classes
        np.testing.assert_allclose(message.class_scores, answer.class_scores, rtol=1e-5)
        np.testing.assert_allclose(message.class_distances, answer.class_distances, rtol=1e-4)
        np.testing.assert_allclose(message.neighbor_distances, answer.neighbor_distances, rtol=1e-4)
        assert tuple(message.neighbor_labels) == answer.neighbor_labels
        assert tuple(message.neighbor_names) == answer.neighbor_names
        assert message.model_id == recognizer.model.fingerprint
        assert message.gallery_id == recognizer.gallery.fingerprint
        assert message.gallery_version == 1
        assert message.latency.sec > 10**9, "the stamp is of 1970 and the clock is not"


def test_all_faces_of_a_frame_are_embedded_in_one_batch(graph, start, monkeypatch, faces):
    batches, embed = [], EmbeddingModel.embed
    monkeypatch.setattr(EmbeddingModel, "embed", lambda self, faces: batches.append(len(faces)) or embed(self, faces))
    _, publisher, emotions = start()
    batches.clear()
    faces.answers(graph, emotions, publisher, faces.of(1, faces.CROPS))
    assert batches == [3]


def test_every_face_of_a_crowd_is_answered(graph, start, faces):
    _, publisher, _ = start()
    heard = []
    graph.node.create_subscription(EmotionStamped, "emotion", heard.append, emotion_qos())
    graph.until(lambda: publisher.get_subscription_count(), "the node to listen")
    for stamp in range(1, 6):
        publisher.publish(faces.of(stamp, faces.CROPS * 16))
        graph.until(lambda stamp=stamp: len(heard) == 48 * stamp, "an answer for each face")


def test_a_frame_without_a_face_has_no_answer(graph, start, faces):
    _, publisher, emotions = start()
    publisher.publish(faces.of(1, []))
    answered = faces.answers(graph, emotions, publisher, faces.of(2))
    assert [message.header.stamp.nanosec for message in answered] == [2_000_000]


def test_a_bad_crop_costs_one_line_and_the_next_frame_is_answered(graph, log, start, faces):
    _, publisher, emotions = start()
    bad = faces.of(1)
    bad.faces[0].crop.data = bad.faces[0].crop.data[:7]
    publisher.publish(bad)
    (message,) = faces.answers(graph, emotions, publisher, faces.of(2))
    assert message.header.stamp.nanosec == 2_000_000
    graph.until(lambda: any("7 bytes of data" in text for _, text in log), "a line about it")


def test_beside_a_bad_crop_the_other_faces_are_answered(graph, log, start, faces):
    node, publisher, emotions = start()
    array = faces.of(1, faces.CROPS)
    array.faces[1].crop.step += 1
    got = faces.answers(graph, emotions, publisher, array, count=2)
    assert [(message.face_id, message.face_count) for message in got] == [(1, 3), (3, 3)]
    graph.until(lambda: any("the crop of face 2: " in text for _, text in log), "a line about it")
    assert node.statistics.report().values["messages refused"] == "0", "it was answered, but for one face"
    for face in array.faces:
        face.crop.step = 1
    array.header.stamp.nanosec += 1
    publisher.publish(array)
    graph.until(lambda: node.statistics.report().values["messages refused"] == "1", "the count")


def test_latency_is_from_the_images_stamp_to_now(graph, start, faces):
    node, publisher, emotions = start(use_sim_time=True)
    ticks = graph.publisher(Clock, "/clock")
    graph.until(ticks.get_subscription_count, "the node to hear the clock")
    ticks.publish(Clock(clock=Time(sec=10)))
    graph.until(lambda: node.get_clock().now().nanoseconds == 10 * 10**9, "the node to know the time")
    array = faces.of(1)
    array.header.stamp = Time(sec=7, nanosec=500_000_000)
    (message,) = faces.answers(graph, emotions, publisher, array)
    assert nanoseconds(message.latency) == 2_500_000_000


def test_threshold_and_k_decide_the_answer(graph, start, faces):
    _, publisher, emotions = start(distance_threshold=1e-6, k=2)
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert (message.label, message.confidence, len(message.neighbor_labels)) == ("unknown", 0.0, 2)
    assert sum(message.class_scores) == pytest.approx(1)


def test_smoothing_holds_on_to_a_label_until_time_jumps_back(graph, start, artifacts, faces):
    recognizer = faces.expected(artifacts, k=1)
    crops = [faces.RANDOM.integers(0, 256, (48, 48), np.uint8) for _ in range(60)]
    labels = [answer.label for answer in recognizer.recognize(crops)]
    first = crops[0]
    other = next(crop for crop, label in zip(crops, labels) if label != labels[0])
    _, publisher, emotions = start(smoothing__window=9, k=1)
    for stamp in range(1010, 1015):
        assert faces.answers(graph, emotions, publisher, faces.of(stamp, [first]))[0].label == labels[0]
    held = faces.answers(graph, emotions, publisher, faces.of(1015, [other]))[0]
    assert held.label == labels[0] and held.confidence < 1
    after = faces.answers(graph, emotions, publisher, faces.of(3, [other]))[0]
    assert after.label != labels[0] and after.confidence == 1
