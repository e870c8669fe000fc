"""Small models, galleries and pictures made here, and a ROS graph of its own for each test."""
import importlib.util
import itertools
import os
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

NEEDED = ("rclpy", "siamese_emotion_ros.msg")

if not all(importlib.util.find_spec(name) for name in NEEDED):
    collect_ignore_glob = ["test_*.py"]
    warnings.warn(
        f"test/nodes is left out: {' and '.join(NEEDED)} cannot be imported. Build, source install/setup.bash and run "
        "pytest from another folder than the repository's, whose package has no messages.",
        stacklevel=1,
    )

#: Generous, because a busy machine may need it; a test that passes never waits so long.
DEADLINE = 30.0

_namespaces = itertools.count()


# --- what the recogniser reads ---


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    """A folder with two small models, a gallery for each, one that carries images, and files that are none."""
    import torch

    from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_gallery, write_model
    from siamese_emotion_ros.recognition.gallery import build_gallery
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.networks import build_network

    folder = tmp_path_factory.mktemp("artifacts")
    random = np.random.default_rng(7)
    faces = [random.integers(0, 256, (48, 48), np.uint8) for _ in range(12)]
    spec = ModelSpec("paper", 48, 16, "unit")
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        network = build_network("paper", 48, 16)
        write_model(folder / f"model_{name}.safetensors", network.state_dict(), spec)
        model = EmbeddingModel.load(folder / f"model_{name}.safetensors", "cpu")
        for classes in (("happiness", "neutral", "sadness"), ("anger", "fear")):
            labels = np.arange(len(faces)) % len(classes)
            names = [f"{name}{number}" for number in range(len(faces))]
            for images in (None, 48):
                gallery = build_gallery(model, faces, labels, classes, names, k=5, image_size=images)
                suffix = "_images" if images else ""
                write_gallery(folder / f"gallery_{name}{len(classes)}{suffix}.safetensors", gallery)
    too_large = {name: values * 1e30 for name, values in network.state_dict().items()}
    write_model(folder / "overflow.safetensors", too_large, spec)
    whole = (folder / "gallery_a3.safetensors").read_bytes()
    (folder / "truncated.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "text.safetensors").write_text("not a gallery\n")
    _spoil(folder)
    return folder


def _spoil(folder):
    """Galleries for model a that are whole files and still cannot be used, and a file that nobody should read whole."""
    import safetensors
    from safetensors.numpy import save_file

    def write(name, change):
        with safetensors.safe_open(str(folder / "gallery_a3.safetensors"), "np") as file:
            tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
        change(tensors, metadata)
        save_file(tensors, str(folder / f"{name}.safetensors"), metadata)

    def not_a_number(tensors, metadata):
        tensors["embeddings"][4, 2] = np.nan

    def wider(tensors, metadata):
        tensors["embeddings"] = np.pad(tensors["embeddings"], ((0, 0), (0, 3)))

    def one_class_more(tensors, metadata):
        metadata["classes"] = '["happiness", "neutral", "sadness", "fear"]'

    for name, change in (("nan", not_a_number), ("wider", wider), ("no_anchor", one_class_more)):
        write(name, change)
    with open(folder / "huge.safetensors", "wb") as file:
        file.truncate(2 << 30)
    (folder / "link.safetensors").symlink_to("/etc/passwd")


@pytest.fixture(scope="session")
def pictures():
    """The module beside this one that makes image messages."""
    return _beside("pictures")


def _beside(name):
    """A module of this folder, which importlib mode does not put on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pair():
    """Parameters for model `model` and gallery `gallery` of the artifacts."""
    def make(model="a", gallery="a3"):
        return {"model_path": f"model_{model}.safetensors", "gallery_path": f"gallery_{gallery}.safetensors"}

    return make


@pytest.fixture
def start(graph, artifacts, pair):
    """A running siamese_emotion, a publisher of faces that it hears, and the emotions it publishes."""
    def make(**parameters):
        from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray

        from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion

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


@pytest.fixture(scope="session")
def faces():
    """The module beside this one that makes FaceCropArray messages and knows their answers."""
    return _beside("faces")


@pytest.fixture(scope="session")
def hri_msgs(tmp_path_factory):
    """hri_msgs.msg: the real one where it is installed, else a stand-in that is built once for all tests."""
    import importlib

    if importlib.util.find_spec("hri_msgs") is None:
        stand_in = _beside("hri_stand_in")
        if stand_in.obstacle():
            pytest.skip(stand_in.obstacle())
        stand_in.build(tmp_path_factory.mktemp("hri_msgs"))
    return importlib.import_module("hri_msgs.msg")


# --- the graph ---


class Graph:
    """Nodes of a test in one process, spun in the background, and what they publish."""

    def __init__(self):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from siamese_emotion_ros.nodes.executors import NodeThreads

        self.context = rclpy.context.Context()
        rclpy.init(context=self.context)
        self.namespace = f"/test_{os.getpid()}_{next(_namespaces)}"
        self._nodes = []
        self._executor = SingleThreadedExecutor(context=self.context)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self.node = rclpy.create_node("tester", namespace=self.namespace, context=self.context)
        self._executor.add_node(self.node)
        self._thread.start()
        self._threads = NodeThreads(self.context)

    def start(self, make, **parameters):
        """A node of ours with these parameters (`__` stands for a dot)."""
        from rclpy.parameter import Parameter

        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        return self.start_with(make, overrides)

    def start_with(self, make, overrides):
        node = make(context=self.context, namespace=self.namespace, parameter_overrides=overrides)
        self._nodes.append(node)
        self._threads.add(node)
        return node

    def topic(self, name):
        return f"{self.namespace}/{name}"

    def listen(self, message_type, topic, qos=50):
        """The list that every message of a topic is appended to."""
        heard = []
        self.node.create_subscription(message_type, topic, heard.append, qos)
        return heard

    def publisher(self, message_type, topic, qos=10):
        return self.node.create_publisher(message_type, topic, qos)

    def until(self, condition, what="", deadline=DEADLINE):
        """Wait until `condition()` holds; fails after the deadline."""
        end = time.monotonic() + deadline
        while not condition():
            assert time.monotonic() < end, f"waited {deadline:.0f} s in vain for {what or 'a condition'}"
            time.sleep(0.005)

    def call(self, service_type, name, request):
        """The answer of a service."""
        client = self.node.create_client(service_type, name)
        assert client.wait_for_service(timeout_sec=DEADLINE), f"no service {name}"
        future = client.call_async(request)
        self.until(future.done, f"an answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def state(self, node):
        from lifecycle_msgs.srv import GetState

        return self.call(GetState, f"{node.get_name()}/get_state", GetState.Request()).current_state.label

    def transition(self, node, name):
        """Ask a node for a transition by its name; True when it was carried out."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request(transition=Transition(id=getattr(Transition, f"TRANSITION_{name.upper()}")))
        return self.call(ChangeState, f"{node.get_name()}/change_state", request).success

    def until_state(self, node, state):
        self.until(lambda: self.state(node) == state, f"{node.get_name()} to be {state}")

    def set(self, node, atomically=False, **values):
        """Set parameters by the service, as `ros2 param set` does; the results."""
        from rcl_interfaces.srv import SetParameters, SetParametersAtomically
        from rclpy.parameter import Parameter

        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        if atomically:
            request = SetParametersAtomically.Request(parameters=parameters)
            return self.call(SetParametersAtomically, f"{node.get_name()}/set_parameters_atomically", request).result
        request = SetParameters.Request(parameters=parameters)
        results = self.call(SetParameters, f"{node.get_name()}/set_parameters", request).results
        return results[0] if len(results) == 1 else results

    def close(self):
        self._threads.stop()
        self._executor.shutdown()
        self._thread.join()
        for node in self._nodes:
            node.close()
            node.destroy_node()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def graph():
    graph = Graph()
    yield graph
    graph.close()


another_graph = graph


@pytest.fixture
def log(graph):
    """All log lines of the graph's nodes: (level, text)."""
    from rcl_interfaces.msg import Log

    heard = []
    graph.node.create_subscription(Log, "/rosout", lambda line: heard.append((line.level, line.msg)), 100)
    return heard
