"""Swaps of model, gallery, k, threshold and smoothing by the parameter services while frames flow."""
import gc
import itertools
import os
import sys
import threading
import time
import weakref

import pytest
import torch
from builtin_interfaces.msg import Time
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray

from siamese_emotion_ros.nodes import siamese_emotion
from siamese_emotion_ros.nodes.conversions import nanoseconds
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion
from siamese_emotion_ros.recognition import approximate
from siamese_emotion_ros.recognition.artifacts import read_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel

#: What an answer is made of.
ANSWER = ("label", "classes", "neighbor_names", "neighbor_distances", "model_id", "gallery_id", "gallery_version")


def test_k_threshold_and_gallery_are_swapped_by_the_parameter_service_and_counted(graph, start, artifacts, faces):
    node, publisher, emotions = start()
    assert graph.set(node, k=2).successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert (len(message.neighbor_labels), message.gallery_version) == (2, 2)
    assert graph.set(node, gallery_path="gallery_a2.safetensors").successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(2))
    assert (list(message.classes), message.gallery_version) == (["anger", "fear"], 3)
    assert message.gallery_id == read_gallery(artifacts / "gallery_a2.safetensors").fingerprint
    assert graph.set(node, smoothing__window=5).successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(3))
    assert message.gallery_version == 3, "smoothing swaps neither model nor gallery"


def test_model_and_gallery_are_swapped_together_atomically(graph, start, pair, artifacts, faces):
    node, publisher, emotions = start()
    alone = graph.set(node, model_path="model_b.safetensors")
    assert not alone.successful and "set model_path and gallery_path together" in alone.reason
    assert graph.set(node, atomically=True, **pair("b", "b3")).successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    recognizer = faces.expected(artifacts, "b", "b3")
    assert (message.model_id, message.gallery_id) == (recognizer.model.fingerprint, recognizer.gallery.fingerprint)
    assert message.gallery_version == 2, "one swap, not two"


def test_who_sets_a_model_without_its_gallery_is_told_both_fingerprints_and_what_to_do(graph, start, artifacts, faces):
    node, _, _ = start()
    others, own = (faces.expected(artifacts, *names).model.fingerprint[:12] for names in (("b", "b3"), ("a", "a3")))
    for change in ({"model_path": "model_b.safetensors"}, {"gallery_path": "gallery_b3.safetensors"}):
        reason = graph.set(node, **change).reason
        assert own in reason and others in reason and "set model_path and gallery_path together" in reason
        assert "it holds embeddings only, so it cannot follow" in reason


def test_a_file_of_parameters_is_loaded_as_ros2_param_load_does(graph, start, tmp_path, faces):
    node, publisher, emotions = start()
    path = tmp_path / "evening.yaml"
    path.write_text(
        f"{node.get_fully_qualified_name()}:\n  ros__parameters:\n    gallery_path: gallery_a2.safetensors\n    k: 3\n"
        "    distance_threshold: 2.5\n    smoothing: {window: 4, hysteresis: 0.1}\n"
    )
    parameter_client = pytest.importorskip("rclpy.parameter_client", reason="ROS 2 Humble has none")
    client = parameter_client.AsyncParameterClient(graph.node, node.get_fully_qualified_name())
    assert client.wait_for_services(20)
    loading = client.load_parameter_file(str(path))
    graph.until(loading.done, "the parameters to be set")
    assert [result.reason for result in loading.result().results if not result.successful] == []
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert (list(message.classes), len(message.neighbor_labels)) == (["anger", "fear"], 3)
    assert message.gallery_version == 4, "the gallery, k and the threshold: each is a swap"
    assert node.get_parameter("smoothing.window").value == 4


def test_a_gallery_with_images_follows_its_model(graph, start, artifacts, faces):
    node, publisher, emotions = start(gallery_path="gallery_a3_images.safetensors")
    assert graph.set(node, model_path="model_b.safetensors").successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert message.model_id == faces.expected(artifacts, "b", "b3").model.fingerprint


REFUSED = [
    ({"gallery_path": "missing.safetensors"}, "no such file"),
    ({"gallery_path": "truncated.safetensors"}, "truncated"),
    ({"gallery_path": "text.safetensors"}, "not a whole safetensors file"),
    ({"gallery_path": "model_a.safetensors"}, "expected a gallery file"),
    ({"gallery_path": "gallery_b3.safetensors"}, "made for model"),
    ({"gallery_path": "nan.safetensors"}, "1 anchor(s) hold NaN or infinity, the first is number 4"),
    ({"gallery_path": "wider.safetensors"}, "have 19 dimensions, the model's 16"),
    ({"gallery_path": "no_anchor.safetensors"}, "no anchor for fear"),
    ({"gallery_path": "huge.safetensors"}, "2147483648 bytes: a gallery file has at most 1073741824"),
    ({"gallery_path": "../../../etc/passwd"}, "outside artifact_dirs"),
    ({"gallery_path": "link.safetensors"}, "outside artifact_dirs"),
    ({"model_path": "/etc/passwd"}, "outside artifact_dirs"),
    ({"model_path": ""}, "model_path is empty"),
    ({"model_path": "overflow.safetensors"}, "gives embeddings with NaN or infinity in fp32: train or export"),
    ({"k": 13}, "k is 13: expected 1 to 12"),
    ({"k": 10001}, "range"),
    ({"k": "five"}, "type"),
    ({"distance_threshold": -1.0}, "range"),
    ({"distance_threshold": float("nan")}, ""),
    ({"smoothing__window": 0}, "range"),
    ({"smoothing__hysteresis": 1.5}, "range"),
    ({"search": "fast"}, "one of exact, ivf, hnsw"),
    ({"device": "cpu"}, "unconfigured"),
    ({"artifact_dirs": ["/"]}, "read-only"),
]


def test_a_file_is_refused_while_it_is_being_written_and_taken_when_it_is_whole(graph, start, artifacts, tmp_path):
    node, _, _ = start(artifact_dirs=[str(artifacts), str(tmp_path)])
    whole = (artifacts / "gallery_a2.safetensors").read_bytes()
    with open(tmp_path / "copied.safetensors", "wb") as file:
        for start_of_part, end in ((0, 0), (0, 5), (5, 200), (200, len(whole) - 1)):
            file.write(whole[start_of_part:end])
            file.flush()
            result = graph.set(node, gallery_path="copied.safetensors")
            assert not result.successful and "still being written" in result.reason
        file.write(whole[-1:])
    assert graph.set(node, gallery_path="copied.safetensors").successful


@pytest.mark.parametrize(("values", "reason"), REFUSED)
def test_a_refused_change_says_why_and_leaves_value_and_answer_as_they_were(graph, start, values, reason, faces):
    node, publisher, emotions = start()
    (name,) = (name.replace("__", ".") for name in values)
    value = node.get_parameter(name).value
    (before,) = faces.answers(graph, emotions, publisher, faces.of(1))
    result = graph.set(node, **values)
    assert not result.successful and reason in result.reason
    assert node.get_parameter(name).value == value
    (after,) = faces.answers(graph, emotions, publisher, faces.of(2))
    assert [getattr(after, field) for field in ANSWER] == [getattr(before, field) for field in ANSWER]


@pytest.mark.parametrize("search", ["ivf", "hnsw"])
def test_an_approximate_search_is_swapped_in_and_its_recall_is_logged(graph, start, log, faces, monkeypatch, search):
    pytest.importorskip("faiss", reason="approximate search needs faiss")
    monkeypatch.setattr(approximate, "FEWEST_TO_APPROXIMATE", 1)
    node, publisher, emotions = start()
    (before,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert graph.set(node, search=search).successful
    (after,) = faces.answers(graph, emotions, publisher, faces.of(2))
    assert (before.gallery_version, after.gallery_version) == (1, 2)
    assert list(after.neighbor_names) == list(before.neighbor_names), "four anchors a class are all looked at"
    graph.until(lambda: any(f"{search} finds 100.0% of the 5 nearest" in text for _, text in log), "the recall")
    assert graph.set(node, search="exact").successful


def test_without_faiss_an_approximate_search_is_refused_and_the_exact_one_goes_on(graph, start, faces, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    node, publisher, emotions = start()
    result = graph.set(node, search="hnsw")
    assert not result.successful and "search is 'hnsw', which needs faiss: pip install" in result.reason
    assert node.get_parameter("search").value == "exact"
    assert faces.answers(graph, emotions, publisher, faces.of(1))[0].gallery_version == 1


def test_one_wrong_value_refuses_a_whole_atomic_change(graph, start, pair, faces):
    node, publisher, emotions = start()
    result = graph.set(node, atomically=True, **pair("b", "b3"), k=99)
    assert not result.successful and "k is 99" in result.reason
    assert node.get_parameter("model_path").value == "model_a.safetensors"
    assert faces.answers(graph, emotions, publisher, faces.of(1))[0].gallery_version == 1


def test_a_change_before_configuration_is_used_by_it_and_counts_as_no_swap(graph, artifacts, pair, faces):
    node = graph.start(SiameseEmotion, autostart=False, artifact_dirs=[str(artifacts)], device="cpu", **pair("b", "a3"))
    assert graph.set(node, model_path="model_a.safetensors", k=3)[1].successful
    assert graph.transition(node, "configure")
    assert graph.set(node, k=4).successful, "an inactive node swaps as well"
    assert not graph.set(node, k=99).successful
    assert graph.transition(node, "activate")
    publisher, emotions = graph.publisher(FaceCropArray, "faces"), graph.listen(EmotionStamped, "emotion")
    graph.until(lambda: publisher.get_subscription_count() and graph.node.count_publishers(graph.topic("emotion")))
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert (len(message.neighbor_labels), message.gallery_version) == (4, 2)


def test_what_an_unconfigured_node_cannot_check_yet_is_refused_by_its_configuration(graph, log, artifacts, pair):
    node = graph.start(SiameseEmotion, autostart=False, artifact_dirs=[str(artifacts)], device="cpu", **pair())
    assert graph.set(node, gallery_path="nan.safetensors").successful
    assert not graph.set(node, k=-1).successful, "what needs no file is checked at once"
    assert not graph.transition(node, "configure")
    graph.until(lambda: any("cannot configure" in text and "NaN" in text for _, text in log), "a line that says why")
    assert graph.set(node, gallery_path="gallery_a3.safetensors").successful
    assert graph.transition(node, "configure")


def test_swaps_asked_for_while_another_loads_are_answered_in_order(graph, start, monkeypatch, faces):
    node, publisher, emotions = start()
    build, go_on = siamese_emotion.build_snapshot, threading.Event()

    def slow(*arguments):
        assert go_on.wait(30)
        return build(*arguments)

    monkeypatch.setattr(siamese_emotion, "build_snapshot", slow)
    client = graph.node.create_client(SetParameters, f"{node.get_name()}/set_parameters")
    assert client.wait_for_service(20)
    answered, wanted = [], (("k", 2), ("k", 99), ("gallery_path", "gallery_a2.safetensors"), ("k", 4))
    for number, (name, value) in enumerate(wanted):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        client.call_async(request).add_done_callback(
            lambda future, number=number: answered.append((number, future.result().results[0].successful))
        )
    time.sleep(0.1)
    assert not answered
    go_on.set()
    graph.until(lambda: len(answered) == len(wanted), "all answers")
    assert answered == [(0, True), (1, False), (2, True), (3, True)]
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert (len(message.classes), len(message.neighbor_labels), message.gallery_version) == (2, 4, 4)


def test_frames_flow_while_a_swap_loads(graph, start, monkeypatch, faces):
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
        (message,) = faces.answers(graph, emotions, publisher, faces.of(stamp))
        assert (message.gallery_version, len(message.neighbor_labels)) == (1, 5)
    assert not result
    go_on.set()
    asking.join()
    assert result[0].successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(9))
    assert (message.gallery_version, len(message.neighbor_labels)) == (2, 3)


# --- fifty swaps under way ---


class Swapper:
    """Asks for one swap after the other, in every way there is, and knows which of them have to be refused."""

    SWAPS = 50

    def __init__(self, graph, node, pair):
        self._graph, self._node, self._pair = graph, node, pair
        self._clients = itertools.cycle((self._together, self._one_by_one, self._by_another_node))
        self._client = graph.node.create_client(SetParameters, f"{node.get_fully_qualified_name()}/set_parameters")
        self.model, self.k, self.version = "a", 5, 1
        self.refused = 0

    def swap(self, number):
        kind = number % 7
        if kind in (0, 1, 4):  # the other model, with its gallery: only both at once
            other, gallery = ("b", "b3") if self.model == "a" else ("a", ("a3", "a2")[number % 2])
            self._ask(self._together, True, **self._pair(other, gallery))
            self.model = other
        elif kind == 2:
            self._ask(next(self._clients), True, k=1 + number % 6)
        elif kind == 3:
            other = "b" if self.model == "a" else "a"
            self._ask(next(self._clients), False, gallery_path=f"gallery_{other}3.safetensors")
        elif kind == 5:
            spoiled = ("nan", "truncated", "missing", "huge", "wider")[number // 7 % 5]
            self._ask(next(self._clients), False, gallery_path=f"{spoiled}.safetensors")
        else:
            self._ask(self._together, False, **self._pair("a", "a3"), k=99)

    def _ask(self, way, accepted, **values):
        before = {name: self._node.get_parameter(name).value for name in values}
        for result in way(values):
            assert result.successful == accepted, (values, result.reason)
            assert accepted or len(result.reason) > 20
        after = {name: self._node.get_parameter(name).value for name in values}
        assert after == (values if accepted else before)
        self.version += accepted
        self.refused += not accepted

    def _together(self, values):
        return [self._graph.set(self._node, atomically=True, **values)]

    def _one_by_one(self, values):
        return [self._graph.set(self._node, **values)]

    def _by_another_node(self, values):
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        future = self._client.call_async(SetParameters.Request(parameters=parameters))
        self._graph.until(future.done, "an answer to another node")
        return future.result().results


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no cuda device here")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_CUDA)])
def test_through_fifty_swaps_every_frame_is_answered_by_one_recognizer(
    graph, start, pair, artifacts, faces, monkeypatch, device
):
    """Two faces at 30 frames a second through swaps between two models and three galleries, some of them refused."""
    node, publisher, emotions = start(device=device)
    together = {
        (recognizer.model.fingerprint, recognizer.gallery.fingerprint): recognizer
        for model, gallery in (("a", "a3"), ("a", "a2"), ("b", "b3"))
        for recognizer in [faces.expected(artifacts, model, gallery)]
    }
    stop, sent = threading.Event(), []

    def stream():
        while not stop.wait(1 / 30):
            if 2 * len(sent) - len(emotions) > 120:
                continue  # on a machine that is too slow for so many: what this test says holds at any speed
            sent.append(33 * (1 + len(sent)))
            publisher.publish(faces.of(sent[-1], faces.CROPS[:2]))

    models, load = [], EmbeddingModel.load

    def remembered(*arguments):
        model = load(*arguments)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(EmbeddingModel, "load", remembered)
    swapper, resident, on_gpu, alive = Swapper(graph, node, pair), {}, {}, {}
    streaming = threading.Thread(target=stream)
    streaming.start()
    began = time.monotonic()
    try:
        for number in range(Swapper.SWAPS):
            swapper.swap(number)
            if number % 10 == 9:
                gc.collect()
                resident[number] = resident_bytes()
                on_gpu[number] = torch.cuda.memory_allocated() if device == "cuda" else 0
                alive[number] = sum(reference() is not None for reference in models)
            stop.wait(max(0.0, began + number * 0.41 - time.monotonic()))  # a good 20 s of streaming
    finally:
        stop.set()
        streaming.join()
    graph.until(lambda: len(emotions) >= 2 * len(sent), "every face's answer")

    assert [nanoseconds(message.header.stamp) // 10**6 for message in emotions] == [s for s in sent for _ in "12"]
    assert [message.face_id for message in emotions] == [1, 2] * len(sent)
    versions = [message.gallery_version for message in emotions]
    assert versions == sorted(versions) and versions[-1] <= swapper.version
    assert len(set(versions)) > swapper.version / 2, "most recognizers came to answer something"
    (last,) = faces.answers(graph, emotions, publisher, faces.of(sent[-1] + 33))
    assert last.gallery_version == swapper.version
    of_version = {}
    for message in emotions:
        recognizer = together[message.model_id, message.gallery_id]
        assert tuple(message.classes) == recognizer.classes
        assert set(message.neighbor_names) <= set(recognizer.gallery.names)
        assert set(message.neighbor_labels) <= set(recognizer.classes)
        assert len(message.class_scores) == len(message.class_distances) == len(recognizer.classes)
        ids = message.model_id, message.gallery_id, len(message.neighbor_names)
        assert of_version.setdefault(message.gallery_version, ids) == ids, "one version is one recognizer"
    assert len(models) > 15 and max(alive.values()) <= 2, "the model that answers, and at most the one before it"
    assert resident[49] - resident[9] < 64 << 20, "40 swaps leave nothing behind"
    assert on_gpu[49] - on_gpu[9] < 16 << 20


def test_simulated_time_goes_on_while_a_swap_loads(graph, start, monkeypatch):
    node, _, _ = start(use_sim_time=True)
    ticks = graph.publisher(Clock, "/clock")
    graph.until(ticks.get_subscription_count, "the node to hear the clock")
    seen = []

    def slow(*arguments):
        for second in (5, 6, 7):
            ticks.publish(Clock(clock=Time(sec=second)))
            graph.until(lambda at=second: node.get_clock().now().nanoseconds == at * 10**9, "the clock to go on")
            seen.append(second)
        return built(*arguments)

    built = siamese_emotion.build_snapshot
    monkeypatch.setattr(siamese_emotion, "build_snapshot", slow)
    assert graph.set(node, k=2).successful
    assert seen == [5, 6, 7]
