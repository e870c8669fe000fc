"""The launch file: what it names is installed, every argument does what it says, and it runs where launch_ros is."""
import ast
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

PACKAGE = "siamese_emotion_ros"

pytest.importorskip("rclpy")
from ament_index_python.packages import (  # noqa: E402 - not without rclpy's distribution
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)

try:
    PREFIX = Path(get_package_prefix(PACKAGE))
except PackageNotFoundError:
    pytest.skip("the package is not installed: these tests look at the installed tree", allow_module_level=True)

LAUNCH_FILE = Path(get_package_share_directory(PACKAGE), "launch", "emotion.launch.py")


# --- without launch: what the file names, read from its source ---


@pytest.fixture(scope="module")
def constants():
    """The literals that the launch file assigns at its top."""
    values = {}
    for statement in ast.parse(LAUNCH_FILE.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign):
            (target,) = statement.targets
            names = [name.id for name in (target.elts if isinstance(target, ast.Tuple) else [target])]
            value = ast.literal_eval(statement.value)
            values.update(zip(names, value if isinstance(target, ast.Tuple) else [value]))
    return values


@pytest.fixture(scope="module")
def tables():
    from siamese_emotion_ros.nodes.reference import TABLES

    return {table.node_name: table for table in TABLES}


def executables(constants):
    single = {constants[name] for name in ("SOURCE", "RECORDING", "COMPOSED", "OVERLAY", "HRI")}
    return single | set(constants["SEPARATE"])


def test_every_executable_that_is_launched_is_installed_and_can_be_run(constants):
    assert constants["PACKAGE"] == PACKAGE
    for name in executables(constants):
        file = PREFIX / "lib" / PACKAGE / name
        assert file.is_file() and os.access(file, os.X_OK), name
        assert importlib.util.find_spec(f"{PACKAGE}.nodes.{name}"), name


#: Started with ros2 run.
BY_HAND = {"emotion_evaluator"}


def test_every_node_of_ours_can_be_launched_but_those_that_measure(constants, tables):
    assert set(tables) - BY_HAND <= executables(constants)
    assert all((PREFIX / "lib" / PACKAGE / name).is_file() for name in BY_HAND)


def test_every_parameter_that_an_argument_sets_is_declared_by_a_node(constants, tables):
    declared = {name for table in tables.values() for name in table.specs} | {"use_sim_time"}
    for argument, (_, _, _, parameter) in constants["ARGUMENTS"].items():
        assert not parameter or parameter in declared, argument


def test_every_argument_has_a_description_and_its_default_is_among_its_choices(constants):
    for name, (default, description, choices, _) in constants["ARGUMENTS"].items():
        assert len(description) > 10 and description.endswith("."), name
        assert not choices or default in choices, name


def test_the_parameter_file_is_installed_and_holds_the_nodes_defaults(constants, tables):
    """Each value in the file is the declared default, and nothing but folders and autostart is left out."""
    file = Path(get_package_share_directory(PACKAGE), constants["PARAMS_FILE"])
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(content) == {f"/**/{name}" for name in tables}
    for node, section in content.items():
        specs = tables[node.rpartition("/")[2]].specs
        values = flat(section["ros__parameters"])
        assert values == {name: specs[name].default_value() for name in values}
        assert set(specs) - set(values) <= {"artifact_dirs", "gallery_dir", "source_dir", "bag_dir", "autostart"}


def flat(values, prefix=""):
    result = {}
    for name, value in values.items():
        if isinstance(value, dict):
            result.update(flat(value, f"{prefix}{name}."))
        else:
            result[prefix + name] = value
    return result


# --- with launch: what each argument comes to ---

def reliably(topic):
    """What has the pipeline get every image of a source that is started with it."""
    return {f"qos_overrides.{topic}.subscription.reliability": "reliable"}


#: How a source that has a beginning is started.
FROM_ITS_BEGINNING = {"wait_for_subscribers": 1, "wait_for_emotions": True}

with_launch = pytest.mark.skipif(importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed")


def given_by_name(executable, files):
    """What the arguments set of each node that an executable runs: of all the same, and of each by its name."""
    if not files:
        return {}
    (file,) = files
    sections = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    names = ("face_crop", "siamese_emotion", "emotion_overlay") if executable == "emotion_pipeline" else (executable,)
    assert set(sections) == {f"/**/{name}" for name in names}
    first, *others = (section["ros__parameters"] for section in sections.values())
    assert all(other == first for other in others)
    return first


def described(pushed="", **arguments):
    """What would be started: by executable, the parameters (merged), remappings, namespace and command line.

    `pushed`: the namespace that a launch file which includes this one has pushed.
    """
    from launch_ros.utilities import evaluate_parameters

    import launch

    spec = importlib.util.spec_from_file_location("emotion_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = launch.LaunchContext()
    if pushed:
        context.launch_configurations["ros_namespace"] = pushed
    description = module.generate_launch_description()
    for action in description.entities[:-1]:
        context.launch_configurations[action.name] = arguments.get(action.name, action.default_value[0].text)
    nodes = {}
    for node in module.start_nodes(context):
        file, *given = evaluate_parameters(context, node._Node__parameters)
        nodes[node.node_executable] = {
            "file": str(file), "arguments_files": given, "parameters": given_by_name(node.node_executable, given),
            "namespace": node._Node__node_namespace,
            "remappings": [tuple(part[0].text for part in pair) for pair in node._Node__remappings],
            "arguments": list(node._Node__arguments),
        }
    return nodes


@with_launch
def test_by_default_the_composed_pipeline_listens_to_a_camera():
    nodes = described()
    assert list(nodes) == ["emotion_pipeline"]
    pipeline = nodes["emotion_pipeline"]
    assert pipeline["file"] == f"{get_package_share_directory(PACKAGE)}/config/emotion.yaml"
    assert pipeline["parameters"] == {}, "what is not asked for stays as the parameter file says"
    assert pipeline["remappings"] == [("image_raw", "image_raw")]
    assert "--no-overlay" not in pipeline["arguments"]


@with_launch
def test_separate_nodes_and_their_overlay():
    assert list(described(composed="false")) == ["face_crop", "siamese_emotion", "emotion_overlay"]
    assert list(described(composed="false", overlay="false")) == ["face_crop", "siamese_emotion"]
    assert "--no-overlay" in described(overlay="false")["emotion_pipeline"]["arguments"]


@with_launch
def test_the_mirror_for_ros4hri_is_started_on_request():
    assert list(described(hri="true")) == ["hri_mirror", "emotion_pipeline"]
    assert "hri_mirror" in described(hri="true", composed="false")


@with_launch
def test_a_source_is_started_with_what_concerns_it(tmp_path):
    clip = str(tmp_path / "clip.mp4")
    Path(clip).touch()
    nodes = described(source=clip, loop="true", autostart="false", use_sim_time="true", model="m")
    assert list(nodes) == ["image_source", "emotion_pipeline"]
    assert nodes["image_source"]["parameters"] == {
        "source": clip, "loop": True, "autostart": False, "use_sim_time": True, **FROM_ITS_BEGINNING
    }
    assert nodes["emotion_pipeline"]["parameters"] == {
        "model_path": "m", "autostart": False, "use_sim_time": True, **reliably("/image_raw")
    }


@with_launch
@pytest.mark.parametrize(
    "arguments, topic",
    [({}, "/image_raw"), ({"namespace": "head"}, "/head/image_raw"), ({"namespace": "/"}, "/image_raw"),
     ({"pushed": "/robot"}, "/robot/image_raw"), ({"pushed": "/robot", "namespace": "head"}, "/robot/head/image_raw"),
     ({"pushed": "/robot", "namespace": "/head"}, "/head/image_raw"),
     ({"pushed": "/robot", "image": "/camera/image"}, "/camera/image"),
     ({"pushed": "/robot", "image": "camera/image"}, "/robot/camera/image")],
)
def test_a_source_is_heard_reliably_in_every_namespace(arguments, topic):
    assert described(source="0", **arguments)["emotion_pipeline"]["parameters"] == reliably(topic)


@with_launch
@pytest.mark.parametrize("alone", [False, True])
def test_a_recording_is_played_with_its_own_clock(tmp_path, alone):
    (tmp_path / "party.mcap").touch()
    bag = str(tmp_path / "party.mcap" if alone else tmp_path)
    nodes = described(source=bag, loop="true", namespace="head", composed="false", hri="true")
    assert list(nodes) == ["bag_player", "hri_mirror", "face_crop", "siamese_emotion", "emotion_overlay"]
    assert nodes["bag_player"]["parameters"] == {
        "bag": bag, "loop": True, "clock_rate": 100.0, "use_sim_time": True, **FROM_ITS_BEGINNING
    }
    for name, node in nodes.items():
        assert node["remappings"] == [("image_raw", "image_raw"), ("/clock", "clock")]
        assert name == "bag_player" or node["parameters"] == {"use_sim_time": True, **reliably("/head/image_raw")}


@with_launch
def test_a_webcam_waits_for_nobody():
    assert described(source="0")["image_source"]["parameters"] == {"source": "0"}


@pytest.fixture
def picture():
    return np.full((24, 32, 3), 90, np.uint8)


@with_launch
def test_images_that_come_raw_cannot_be_listened_to_compressed(tmp_path, bag_making, picture):
    with pytest.raises(ValueError, match="clip.mp4 is published raw"):
        described(source="clip.mp4", transport="compressed")
    bag = bag_making.pictures_bag(tmp_path / "raw", [picture])
    with pytest.raises(ValueError, match="has /camera/image_raw raw: leave transport:=compressed out"):
        described(source=str(bag), transport="compressed")


@with_launch
def test_of_a_recording_the_topic_transport_and_clock_may_be_chosen(tmp_path, bag_making, picture):
    bag = bag_making.write_bag(
        tmp_path / "left",
        [("/left/compressed", "sensor_msgs/msg/CompressedImage", 1, bag_making.compressed(picture, 1))],
    )
    nodes = described(source=str(bag), image="/left", transport="compressed", use_sim_time="false")
    assert nodes["bag_player"]["parameters"] == {
        "bag": str(bag), "clock_rate": 100.0, "image": "/left", "decompress": False, "use_sim_time": False,
        **FROM_ITS_BEGINNING,
    }
    assert nodes["emotion_pipeline"]["parameters"] == {
        "image_transport": "compressed", "use_sim_time": False, **reliably("/left/compressed")
    }


@with_launch
@pytest.mark.parametrize("composed", ["true", "false"])
def test_every_other_argument_reaches_every_node(composed, tmp_path):
    mine = tmp_path / "my.yaml"
    mine.write_text("/**:\n  ros__parameters: {}\n")
    nodes = described(
        composed=composed, image="/camera/color", transport="compressed", device="cpu", model="m", gallery="g",
        artifact_dirs="/a:/b", params_file=str(mine), namespace="robot", log_level="debug",
    )
    for node in nodes.values():
        assert node["file"] == str(mine)
        assert node["parameters"] == {
            "image_transport": "compressed", "device": "cpu", "model_path": "m", "gallery_path": "g",
            "artifact_dirs": ["/a", "/b"],
        }
        assert node["remappings"] == [("image_raw", "/camera/color")]
        assert node["namespace"] == "robot"
        assert node["arguments"][-2:] == ["--log-level", "debug"]


@with_launch
def test_a_parameter_file_is_found_at_home_or_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match="params_file:=.*/my.yaml: no such file"):
        described(params_file="~/my.yaml")
    (tmp_path / "my.yaml").write_text("/**:\n  ros__parameters: {}\n")
    assert described(params_file="~/my.yaml")["emotion_pipeline"]["file"] == str(tmp_path / "my.yaml")


@with_launch
def test_nothing_but_the_description_comes_of_it(tmp_path):
    before = dict(os.environ)
    for source in ("0", "/dev/video0", str(tmp_path), "none.mp4"):
        described(source=source)
    assert dict(os.environ) == before


@with_launch
def test_arguments_win_over_what_a_parameter_file_says_of_all_nodes_and_of_each(tmp_path):
    """rcl's own reading of the files that a node is started with."""
    import rclpy
    from rclpy.node import Node

    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "/**:\n  ros__parameters: {use_sim_time: false}\n"
        "/**/siamese_emotion:\n  ros__parameters: {device: auto, k: 3}\n"
    )
    context = rclpy.Context()
    pipeline = described(params_file=str(mine), device="cpu", use_sim_time="true")["emotion_pipeline"]
    files = [pipeline["file"], *map(str, pipeline["arguments_files"])]
    rclpy.init(args=["--ros-args", *(part for file in files for part in ("--params-file", file))], context=context)
    try:
        node = Node("siamese_emotion", context=context, automatically_declare_parameters_from_overrides=True)
        values = {name: node.get_parameter(name).value for name in ("device", "k", "use_sim_time")}
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    assert values == {"device": "cpu", "k": 3, "use_sim_time": True}


@with_launch
def test_the_launch_file_runs_and_ends_on_ctrl_c(tmp_path):
    """ros2 launch's own engine, our real executables: every process comes up and ends cleanly."""
    program = (
        "import sys, launch\n"
        "from launch.launch_description_sources import PythonLaunchDescriptionSource\n"
        "service = launch.LaunchService()\n"
        "arguments = [tuple(text.split(':=')) for text in sys.argv[2:]]\n"
        "service.include_launch_description(launch.LaunchDescription([launch.actions.IncludeLaunchDescription(\n"
        "    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments)]))\n"
        "sys.exit(service.run())\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(LAUNCH_FILE), f"source:={tmp_path}/none.mp4", "composed:=false",
             "namespace:=launched", "gallery:=missing.safetensors"],
            stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "ROS_LOG_DIR": str(tmp_path)},
        )
    wanted = ("launched.image_source]: cannot configure", "launched.siamese_emotion]: cannot configure",
              "launched.face_crop]: finds faces")
    try:
        end = time.monotonic() + 90
        while not all(text in log.read_text("utf-8", "replace") for text in wanted):
            assert time.monotonic() < end and process.poll() is None, log.read_text("utf-8", "replace")
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    text = log.read_text("utf-8", "replace")
    assert text.count("process has finished cleanly") == 4, text
