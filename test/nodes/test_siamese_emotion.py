import threading
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from siamese_emotion_ros.msg import EmotionStamped, FaceCrop, FaceCropArray
from std_msgs.msg import Header

from siamese_emotion_ros.nodes import siamese_emotion
from siamese_emotion_ros.nodes.conversions import image_message, nanoseconds
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion
from siamese_emotion_ros.recognition.artifacts import read_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings

RANDOM = np.random.default_rng(3)
CROPS = [RANDOM.integers(0, 256, (side, side), np.uint8) for side in (48, 90, 128)]


@pytest.fixture
def pair(artifacts):
    """Parameters for model `model` and gallery `gallery` of the artifacts."""
    def make(model="a", gallery="a3"):
        return {"model_path": f"model_{model}.safetensors", "gallery_path": f"gallery_{gallery}.safetensors"}

    return make


@pytest.fixture
def start(graph, artifacts, pair):
    """A running node and a publisher of faces that it hears."""
    def make(**parameters):
        values = {**pair(), "artifact_dirs": [str(artifacts)], "device": "cpu", **parameters}
        # Queues that hold whatever a busy machine has not come to: what these tests say holds at any speed.
        values.update({f"qos_overrides.{graph.topic('faces')}.subscription.depth": 2000,
                       f"qos_overrides.{graph.topic('emotion')}.publisher.depth": 2000})
        node = graph.start(SiameseEmotion, **values)
        graph.until_state(node, "active")
        publisher = graph.publisher(FaceCropArray, "faces", 2000)
        emotions = graph.listen(EmotionStamped, "emotion", 2000)
        graph.until(lambda: publisher.get_subscription_count(), "siamese_emotion to subscribe")
        graph.until(lambda: graph.node.count_publishers(graph.topic("emotion")), "siamese_emotion to publish")
        return node, publisher, emotions

    return make


def faces_of(stamp, crops=CROPS[:1], first_id=1):
    header = Header(stamp=Time(sec=stamp // 1000, nanosec=stamp % 1000 * 1_000_000), frame_id="eye")
    array = FaceCropArray(header=header, image_width=640, image_height=480)
    for number, crop in enumerate(crops):
        face = FaceCrop(face_id=first_id + number, score=0.5 + number / 8, crop=image_message(header, crop))
        face.roi.x_offset, face.roi.width, face.roi.height = 10 * number, 20, 30
        array.faces.append(face)
    return array


def answers(graph, emotions, publisher, array):
    """The emotions that one array of faces is answered with."""
    before = len(emotions)
    publisher.publish(array)
    graph.until(lambda: len(emotions) >= before + len(array.faces), "an answer")
    return emotions[before:]


def expected(artifacts, model="a", gallery="a3", **settings):
    return Recognizer(
        EmbeddingModel.load(artifacts / f"model_{model}.safetensors", "cpu"),
        read_gallery(artifacts / f"gallery_{gallery}.safetensors"), Settings(**settings),
    )


# --- answers ---


def test_each_face_gets_the_recognizers_answer_with_the_images_header(graph, start, artifacts):
    _, publisher, emotions = start()
    got = answers(graph, emotions, publisher, faces_of(5_250, CROPS, first_id=7))
    recognizer = expected(artifacts)
    assert len(got) == 3
    for number, (message, answer) in enumerate(zip(got, recognizer.recognize(CROPS))):
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


def test_all_faces_of_a_frame_are_embedded_in_one_batch(graph, start, monkeypatch):
    batches, embed = [], EmbeddingModel.embed
    monkeypatch.setattr(EmbeddingModel, "embed", lambda self, faces: batches.append(len(faces)) or embed(self, faces))
    _, publisher, emotions = start()
    batches.clear()
    answers(graph, emotions, publisher, faces_of(1, CROPS))
    assert batches == [3]


def test_a_frame_without_a_face_has_no_answer(graph, start):
    _, publisher, emotions = start()
    publisher.publish(faces_of(1, []))
    assert [message.header.stamp.nanosec for message in answers(graph, emotions, publisher, faces_of(2))] == [2_000_000]


def test_a_bad_crop_costs_one_line_and_the_next_frame_is_answered(graph, log, start):
    _, publisher, emotions = start()
    bad = faces_of(1)
    bad.faces[0].crop.data = bad.faces[0].crop.data[:7]
    publisher.publish(bad)
    (message,) = answers(graph, emotions, publisher, faces_of(2))
    assert message.header.stamp.nanosec == 2_000_000
    graph.until(lambda: any("7 bytes of data" in text for _, text in log), "a line about it")


def test_latency_is_from_the_images_stamp_to_now(graph, start):
    _, publisher, emotions = start()
    array = faces_of(1)
    earlier = graph.node.get_clock().now().nanoseconds - 2_500_000_000
    array.header.stamp = Time(sec=earlier // 10**9, nanosec=earlier % 10**9)
    (message,) = answers(graph, emotions, publisher, array)
    assert 2.5 <= nanoseconds(message.latency) / 1e9 < 30


def test_threshold_and_k_decide_the_answer(graph, start):
    _, publisher, emotions = start(distance_threshold=1e-6, k=2)
    (message,) = answers(graph, emotions, publisher, faces_of(1))
    assert (message.label, message.confidence, len(message.neighbor_labels)) == ("unknown", 0.0, 2)
    assert sum(message.class_scores) == pytest.approx(1)


def test_smoothing_holds_on_to_a_label_until_time_jumps_back(graph, start, artifacts):
    recognizer = expected(artifacts, k=1)
    crops = [RANDOM.integers(0, 256, (48, 48), np.uint8) for _ in range(60)]
    labels = [answer.label for answer in recognizer.recognize(crops)]
    first = crops[0]
    other = next(crop for crop, label in zip(crops, labels) if label != labels[0])
    _, publisher, emotions = start(smoothing__window=9, k=1)
    for stamp in range(10, 15):
        assert answers(graph, emotions, publisher, faces_of(stamp, [first]))[0].label == labels[0]
    held = answers(graph, emotions, publisher, faces_of(15, [other]))[0]
    assert held.label == labels[0] and held.confidence < 1
    after = answers(graph, emotions, publisher, faces_of(3, [other]))[0]
    assert after.label != labels[0] and after.confidence == 1


# --- swaps ---


def test_k_threshold_and_gallery_are_swapped_by_the_parameter_service_and_counted(graph, start, artifacts):
    node, publisher, emotions = start()
    assert graph.set(node, k=2).successful
    (message,) = answers(graph, emotions, publisher, faces_of(1))
    assert (len(message.neighbor_labels), message.gallery_version) == (2, 2)
    assert graph.set(node, gallery_path="gallery_a2.safetensors").successful
    (message,) = answers(graph, emotions, publisher, faces_of(2))
    assert (list(message.classes), message.gallery_version) == (["anger", "fear"], 3)
    assert message.gallery_id == read_gallery(artifacts / "gallery_a2.safetensors").fingerprint
    assert graph.set(node, smoothing__window=5).successful
    (message,) = answers(graph, emotions, publisher, faces_of(3))
    assert message.gallery_version == 3, "smoothing swaps neither model nor gallery"


def test_model_and_gallery_are_swapped_together_atomically(graph, start, pair, artifacts):
    node, publisher, emotions = start()
    alone = graph.set(node, model_path="model_b.safetensors")
    assert not alone.successful and "set model_path and gallery_path together" in alone.reason
    assert graph.set(node, atomically=True, **pair("b", "b3")).successful
    (message,) = answers(graph, emotions, publisher, faces_of(1))
    recognizer = expected(artifacts, "b", "b3")
    assert (message.model_id, message.gallery_id) == (recognizer.model.fingerprint, recognizer.gallery.fingerprint)
    assert message.gallery_version == 2, "one swap, not two"


def test_a_gallery_with_images_follows_its_model(graph, start, artifacts):
    node, publisher, emotions = start(gallery_path="gallery_a3_images.safetensors")
    assert graph.set(node, model_path="model_b.safetensors").successful
    (message,) = answers(graph, emotions, publisher, faces_of(1))
    assert message.model_id == expected(artifacts, "b", "b3").model.fingerprint


REFUSED = [
    ({"gallery_path": "missing.safetensors"}, "no such file"),
    ({"gallery_path": "truncated.safetensors"}, "truncated"),
    ({"gallery_path": "text.safetensors"}, "not a whole safetensors file"),
    ({"gallery_path": "model_a.safetensors"}, "expected a gallery file"),
    ({"gallery_path": "gallery_b3.safetensors"}, "made for model"),
    ({"gallery_path": "../../../etc/passwd"}, "outside artifact_dirs"),
    ({"model_path": "/etc/passwd"}, "outside artifact_dirs"),
    ({"model_path": ""}, "model_path is empty"),
    ({"k": 13}, "k is 13: expected 1 to 12"),
    ({"k": 10001}, "range"),
    ({"k": "five"}, "type"),
    ({"distance_threshold": -1.0}, "range"),
    ({"distance_threshold": float("nan")}, ""),
    ({"smoothing__window": 0}, "range"),
    ({"smoothing__hysteresis": 1.5}, "range"),
    ({"device": "cpu"}, "unconfigured"),
    ({"artifact_dirs": ["/"]}, "read-only"),
]


@pytest.mark.parametrize(("values", "reason"), REFUSED)
def test_a_refused_change_says_why_and_leaves_value_and_answer_as_they_were(graph, start, values, reason):
    node, publisher, emotions = start()
    (name,) = (name.replace("__", ".") for name in values)
    value = node.get_parameter(name).value
    (before,) = answers(graph, emotions, publisher, faces_of(1))
    result = graph.set(node, **values)
    assert not result.successful and reason in result.reason
    assert node.get_parameter(name).value == value
    (after,) = answers(graph, emotions, publisher, faces_of(2))
    for field in ("label", "classes", "neighbor_names", "model_id", "gallery_id", "gallery_version"):
        assert getattr(after, field) == getattr(before, field)


def test_one_wrong_value_refuses_a_whole_atomic_change(graph, start, pair):
    node, publisher, emotions = start()
    result = graph.set(node, atomically=True, **pair("b", "b3"), k=99)
    assert not result.successful and "k is 99" in result.reason
    assert node.get_parameter("model_path").value == "model_a.safetensors"
    assert answers(graph, emotions, publisher, faces_of(1))[0].gallery_version == 1


def test_a_change_before_configuration_is_used_by_it_and_counts_as_no_swap(graph, artifacts, pair):
    node = graph.start(SiameseEmotion, autostart=False, artifact_dirs=[str(artifacts)], device="cpu", **pair("b", "a3"))
    assert graph.set(node, model_path="model_a.safetensors", k=3)[1].successful
    assert graph.transition(node, "configure")
    assert graph.set(node, k=4).successful, "an inactive node swaps as well"
    assert not graph.set(node, k=99).successful
    assert graph.transition(node, "activate")
    publisher, emotions = graph.publisher(FaceCropArray, "faces"), graph.listen(EmotionStamped, "emotion")
    graph.until(lambda: publisher.get_subscription_count() and graph.node.count_publishers(graph.topic("emotion")))
    (message,) = answers(graph, emotions, publisher, faces_of(1))
    assert (len(message.neighbor_labels), message.gallery_version) == (4, 2)


def test_frames_flow_while_a_swap_loads(graph, start, monkeypatch):
    """A build that takes its time holds up no frame: those meanwhile are answered by the old recognizer."""
    node, publisher, emotions = start()
    build, building, go_on = siamese_emotion.build_snapshot, threading.Event(), threading.Event()

    def slow(*arguments):
        building.set()
        assert go_on.wait(30)
        return build(*arguments)

    monkeypatch.setattr(siamese_emotion, "build_snapshot", slow)
    result = []
    asking = threading.Thread(target=lambda: result.append(graph.set(node, k=3)))
    asking.start()
    assert building.wait(20)
    for stamp in range(1, 6):
        (message,) = answers(graph, emotions, publisher, faces_of(stamp))
        assert (message.gallery_version, len(message.neighbor_labels)) == (1, 5)
    assert not result
    go_on.set()
    asking.join()
    assert result[0].successful
    (message,) = answers(graph, emotions, publisher, faces_of(9))
    assert (message.gallery_version, len(message.neighbor_labels)) == (2, 3)


def test_through_many_swaps_every_frame_is_answered_and_no_answer_mixes_two_recognizers(graph, start, pair, artifacts):
    """Two faces at 30 frames a second through swaps of model, gallery and k, some refused."""
    node, publisher, emotions = start()
    choices = [("a", "a3"), ("b", "b3"), ("a", "a2"), ("b", "a3"), ("b", "b2")]
    together = {
        (recognizer.model.fingerprint, recognizer.gallery.fingerprint): recognizer
        for model, gallery in choices if model == gallery[0] for recognizer in [expected(artifacts, model, gallery)]
    }
    stop, sent = threading.Event(), []

    def stream():
        stamp = 0
        while not stop.wait(1 / 30):
            stamp += 33
            sent.append(stamp)
            publisher.publish(faces_of(stamp, CROPS[:2]))

    streaming = threading.Thread(target=stream)
    streaming.start()
    accepted = 0
    try:
        for number in range(10):
            model, gallery = choices[number % len(choices)]
            result = graph.set(node, atomically=True, **pair(model, gallery), k=1 + number % 4)
            assert result.successful == (model == gallery[0]), result.reason
            accepted += result.successful
    finally:
        time.sleep(0.2)
        stop.set()
        streaming.join()
    graph.until(lambda: len(emotions) >= 2 * len(sent), "every face's answer")
    assert [nanoseconds(message.header.stamp) // 10**6 for message in emotions] == [s for s in sent for _ in "12"]
    versions = [message.gallery_version for message in emotions]
    assert versions == sorted(versions) and versions[-1] == 1 + accepted
    for message in emotions:
        recognizer = together[message.model_id, message.gallery_id]
        assert tuple(message.classes) == recognizer.classes
        assert set(message.neighbor_names) <= set(recognizer.gallery.names)
        assert set(message.neighbor_labels) <= set(recognizer.classes)
        assert len(message.class_scores) == len(message.class_distances) == len(recognizer.classes)
