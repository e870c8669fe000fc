"""Every node through every transition, as a lifecycle manager or nobody at all takes it there."""
import os
import signal
import subprocess
import sys
import threading
import time

import cv2
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import Bool

from siamese_emotion_ros.nodes.emotion_overlay import EmotionOverlay
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.image_source import ImageSource
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion

ERROR = 40


@pytest.fixture
def working(artifacts, tmp_path, portrait):
    """Parameters with which each node can be configured."""
    cv2.imwrite(str(tmp_path / "image.png"), portrait)
    return {
        ImageSource: {"source": str(tmp_path / "image.png"), "source_dir": str(tmp_path)},
        FaceCrop: {"detector": "haar"},
        SiameseEmotion: {
            "model_path": "model_a.safetensors", "gallery_path": "gallery_a3.safetensors",
            "artifact_dirs": [str(artifacts)], "device": "cpu",
        },
        EmotionOverlay: {},
    }


NODES = [ImageSource, FaceCrop, SiameseEmotion, EmotionOverlay]

#: A value with which each node refuses to be configured, and what puts it right.
BROKEN = {
    ImageSource: ("source", "/no/such/video.mp4"),
    FaceCrop: ("detector_model", "/no/such/yunet.onnx"),
    SiameseEmotion: ("gallery_path", "missing.safetensors"),
}


@pytest.mark.parametrize("make", NODES)
def test_a_node_starts_by_itself(graph, working, make):
    graph.until_state(graph.start(make, **working[make]), "active")


@pytest.mark.parametrize("make", NODES)
def test_a_node_goes_through_every_transition_and_round_again(graph, working, make):
    node = graph.start(make, autostart=False, **working[make])
    for _ in range(2):
        assert graph.state(node) == "unconfigured"
        assert graph.transition(node, "configure") and graph.state(node) == "inactive"
        for _ in range(2):
            assert graph.transition(node, "activate") and graph.state(node) == "active"
            assert graph.transition(node, "deactivate") and graph.state(node) == "inactive"
        assert graph.transition(node, "cleanup")


@pytest.mark.parametrize("make", NODES)
@pytest.mark.parametrize("path", [[], ["configure"], ["configure", "activate"]])
def test_a_node_can_be_shut_down_from_every_state(graph, working, make, path):
    node = graph.start(make, autostart=False, **working[make])
    assert all(graph.transition(node, name) for name in path)
    state = ["unconfigured", "inactive", "active"][len(path)]
    assert graph.transition(node, f"{state}_shutdown")
    assert graph.state(node) == "finalized"


@pytest.mark.parametrize("make", [ImageSource, FaceCrop, SiameseEmotion])
def test_a_node_that_is_destroyed_while_it_works_ends_its_threads(working, capfd, make):
    """As whoever spins our nodes together with their own does it."""
    context = rclpy.context.Context()
    rclpy.init(context=context)
    before = set(threading.enumerate())
    values = {**working[make], "loop": True}  # what other nodes do not know leaves them alone
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = make(context=context, namespace=f"/destroyed_{os.getpid()}", parameter_overrides=overrides)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    end = time.monotonic() + 30
    while node.statistics.state != "active" and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    assert node.statistics.state == "active"
    executor.remove_node(node)
    node.destroy_node()
    assert not set(threading.enumerate()) - before
    executor.shutdown()
    context.try_shutdown()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("make", list(BROKEN))
def test_a_refused_configuration_is_one_log_line_and_can_be_tried_again(graph, log, working, make):
    name, value = BROKEN[make]
    parameters = {**working[make], name: value}
    if make is FaceCrop:
        parameters["detector"] = "yunet"
    node = graph.start(make, **parameters)
    graph.until(lambda: log, "a log line")
    assert graph.state(node) == "unconfigured"
    ((level, text),) = log
    assert level == ERROR and value in text and "configure" in text and "\n" not in text
    for key, right in {name: "", **working[make]}.items():
        if key in (name, "detector"):
            assert graph.set(node, **{key: right}).successful
    assert graph.transition(node, "configure") and graph.transition(node, "activate")


@pytest.mark.parametrize(
    ("make", "values", "reasons"),
    [
        (SiameseEmotion, {"k": "many", "smoothing__window": 0}, ["k is 'many'", "smoothing.window is 0"]),
        (SiameseEmotion, {"device": "gpu"}, ["device", "'gpu'"]),
        (SiameseEmotion, {"distance_threshold": float("nan")}, ["distance_threshold is nan"]),
        (FaceCrop, {"detector": "eyes", "score_threshold": 2.0}, ["detector is 'eyes'", "score_threshold is 2.0"]),
        (ImageSource, {"rate": "fast"}, ["rate is 'fast'"]),
        (EmotionOverlay, {"image_transport": 7}, ["image_transport is 7"]),
    ],
)
def test_wrong_values_in_a_parameter_file_refuse_the_configuration_and_leave_the_node_alive(
    graph, log, working, make, values, reasons
):
    node = graph.start(make, **{**working[make], **values})
    graph.until(lambda: log, "a log line")
    assert all(reason in log[0][1] for reason in reasons), log
    assert graph.state(node) == "unconfigured"
    assert not graph.transition(node, "configure"), "it must not start with defaults that nobody asked for"
    for name in values:
        default = node._table.specs[name.replace("__", ".")].default_value()
        assert graph.set(node, **{name: working[make].get(name, default)}).successful
    assert graph.transition(node, "configure")


def test_parameters_that_need_a_reload_change_only_while_unconfigured(graph, working):
    node = graph.start(FaceCrop, **working[FaceCrop])
    graph.until_state(node, "active")
    refusal = graph.set(node, detector="libfacedetection")
    assert not refusal.successful and "unconfigured" in refusal.reason
    assert node.get_parameter("detector").value == "haar"
    assert graph.transition(node, "deactivate") and graph.transition(node, "cleanup")
    assert graph.set(node, detector="auto").successful


def test_parameters_of_the_start_are_read_only(graph, working):
    node = graph.start(SiameseEmotion, autostart=False, **working[SiameseEmotion])
    assert not graph.set(node, artifact_dirs=["/"]).successful
    assert node.get_parameter("artifact_dirs").value == working[SiameseEmotion]["artifact_dirs"]


def test_descriptions_types_and_ranges_are_there_for_ros2_param_describe(graph, working):
    from rcl_interfaces.srv import DescribeParameters, ListParameters

    node = graph.start(SiameseEmotion, autostart=False, **working[SiameseEmotion])
    names = graph.call(ListParameters, "siamese_emotion/list_parameters", ListParameters.Request()).result.names
    assert set(node._table.specs) <= set(names)
    request = DescribeParameters.Request(names=sorted(node._table.specs))
    for descriptor in graph.call(DescribeParameters, "siamese_emotion/describe_parameters", request).descriptors:
        spec = node._table.specs[descriptor.name]
        assert descriptor.description == spec.description
        assert descriptor.type == spec.descriptor().type
        assert descriptor.integer_range == spec.descriptor().integer_range
        assert descriptor.floating_point_range == spec.descriptor().floating_point_range


def test_a_node_on_simulated_time_starts_without_a_clock(graph, working):
    node = graph.start(ImageSource, use_sim_time=True, **working[ImageSource])
    graph.until_state(node, "active")


# --- as a process ---


def executable(module, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; from siamese_emotion_ros.nodes.{module} import main; sys.exit(main())",
         *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_process_cleanly_while_it_works(graph, working, number):
    source = working[ImageSource]["source"]
    process = executable(
        "image_source", "--ros-args", "-r", f"__ns:={graph.namespace}", "-p", f"source:={source}", "-p", "loop:=true"
    )
    ended = graph.listen(Bool, "image_source/ended", latched())
    graph.until(lambda: ended or process.poll() is not None, "the source to begin")
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "Traceback" not in output and "rror" not in output, output


def test_a_broken_parameter_file_is_one_line_and_an_exit_status(tmp_path):
    (tmp_path / "bad.yaml").write_text("image_source:\n  ros__parameters:\n  - : :\n")
    process = executable("image_source", "--ros-args", "--params-file", str(tmp_path / "bad.yaml"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot start:" in output and "bad.yaml" in output and "Traceback" not in output


def test_the_process_outlives_a_refused_configuration(graph):
    process = executable(
        "image_source", "--ros-args", "-r", f"__ns:={graph.namespace}", "-p", "source:=/no/such/file"
    )
    try:
        # Before it, Jazzy's rcl says which of the variables that keep the tests to this machine is an old one.
        line = next(line for line in process.stdout if "[rcl]" not in line)
        assert "/no/such/file" in line and "cannot configure" in line
        time.sleep(0.2)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def latched():
    from rclpy.qos import QoSDurabilityPolicy, QoSProfile

    return QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
