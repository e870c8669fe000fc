"""Start the emotion pipeline: composed in one process or node by node, with a source of its own or on a robot's camera.

    ros2 launch siamese_emotion_ros emotion.launch.py image:=/camera/image_raw
    ros2 launch siamese_emotion_ros emotion.launch.py source:=0
    ros2 launch siamese_emotion_ros emotion.launch.py source:=~/bags/party
    ros2 launch siamese_emotion_ros emotion.launch.py --show-args
"""
import os
import tempfile

import yaml
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from launch import LaunchDescription

PACKAGE = "siamese_emotion_ros"

# What this file starts and reads, and what its arguments set, as plain literals: the tests compare them with what is
# installed without having to import launch.
PARAMS_FILE = "config/emotion.yaml"
SOURCE, RECORDING = "image_source", "bag_player"
COMPOSED, OVERLAY, HRI = "emotion_pipeline", "emotion_overlay", "hri_mirror"
SEPARATE = ("face_crop", "siamese_emotion")

# A file or recording waits for the pipeline, whose model takes a second to load, rather than play to nobody.
FROM_ITS_BEGINNING = {"wait_for_subscribers": 1, "wait_for_emotions": True}

# argument -> (default, description, choices, parameter it sets unless it is empty)
ARGUMENTS = {
    "source": (
        "", "Webcam (0), video, image, folder or rosbag2 recording to publish; empty: a camera topic that exists.", (),
        "source"),
    "loop": ("", "Begin again at the end of the source; empty: as params_file says.", ("", "true", "false"), "loop"),
    "image": ("image_raw", "Topic of the images, live or recorded, without the transport's name.", (), ""),
    "transport": (
        "", "raw or compressed; empty: as params_file says.", ("", "raw", "compressed"), "image_transport"),
    "device": ("", "auto, cpu, cuda or cuda:<number>; empty: as params_file says.", (), "device"),
    "model": ("", "Model file, in one of artifact_dirs; empty: as params_file says.", (), "model_path"),
    "gallery": ("", "Gallery file, in one of artifact_dirs; empty: as params_file says.", (), "gallery_path"),
    "artifact_dirs": (
        "", "Folders that model and gallery may come from, separated by ':'; empty: the package's models.", (),
        "artifact_dirs"),
    "params_file": ("", "Parameter file for all nodes; empty: the package's config/emotion.yaml.", (), ""),
    "composed": ("true", "true: one process for the pipeline; false: one for each node.", ("true", "false"), ""),
    "overlay": ("true", "Offer the annotated image on image_overlay.", ("true", "false"), ""),
    "hri": ("false", "Publish /humans/faces/... for ROS4HRI (REP-155) too; needs hri_msgs.", ("true", "false"), ""),
    "autostart": ("", "false: leave the transitions to a lifecycle manager; empty: as params_file says.",
                  ("", "true", "false"), "autostart"),
    "use_sim_time": (
        "", "Take the time from /clock (ros2 bag play --clock); empty: as params_file says, true with a recording.",
        ("", "true", "false"), "use_sim_time"),
    "namespace": ("", "Namespace of all nodes and topics.", (), ""),
    "log_level": ("info", "debug, info, warn, error or fatal.", ("debug", "info", "warn", "error", "fatal"), ""),
}


def generate_launch_description():
    declared = []
    for name, (default, description, choices, _) in ARGUMENTS.items():
        limits = {"choices": list(choices)} if choices else {}
        declared.append(DeclareLaunchArgument(name, default_value=default, description=description, **limits))
    return LaunchDescription([*declared, OpaqueFunction(function=start_nodes)])


def start_nodes(context):
    """The nodes that the arguments ask for, each with the parameters that the arguments set."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    params_file = os.path.expanduser(given["params_file"] or shipped_file(PARAMS_FILE))
    if not os.path.isfile(params_file):  # launch_ros would start the nodes without it
        raise ValueError(f"params_file:={params_file}: no such file")
    parameters = {
        parameter: value_of(name, given[name])
        for name, (_, _, _, parameter) in ARGUMENTS.items() if parameter and given[name]
    }
    player_parameters = {name: parameters.pop(name) for name in ("source", "loop") if name in parameters}
    recorded = is_recording(given["source"])
    if given["source"]:
        parameters.update(heard_reliably(context, given))
    if recorded:
        # Recorded stamps are of another day: everyone goes by the recording's clock, each namespace by its own.
        parameters.setdefault("use_sim_time", True)
        player_parameters.update(recording_parameters(given, player_parameters.pop("source")))
    elif given["source"] and given["transport"] == "compressed":
        raise ValueError(f"source:={given['source']} is published raw: leave transport:=compressed out")
    elif given["source"] and has_beginning(given["source"]):
        player_parameters.update(FROM_ITS_BEGINNING)

    def node(executable, parameters, arguments=()):
        return Node(
            package=PACKAGE,
            executable=executable,
            namespace=given["namespace"],
            parameters=[params_file, *argument_files(nodes_of(executable), parameters)],
            remappings=[("image_raw", given["image"]), *([("/clock", "clock")] if recorded else [])],
            arguments=[*arguments, "--ros-args", "--log-level", given["log_level"]],
            output="screen",
        )

    nodes = []
    if given["source"]:
        shared = {name: parameters[name] for name in ("autostart", "use_sim_time") if name in parameters}
        nodes.append(node(RECORDING if recorded else SOURCE, {**player_parameters, **shared}))
    if given["hri"] == "true":
        nodes.append(node(HRI, parameters))
    if given["composed"] == "true":
        nodes.append(node(COMPOSED, parameters, () if given["overlay"] == "true" else ("--no-overlay",)))
        return nodes
    nodes += [node(executable, parameters) for executable in SEPARATE]
    if given["overlay"] == "true":
        nodes.append(node(OVERLAY, parameters))
    return nodes


def nodes_of(executable):
    """The names of the nodes that an executable of ours runs."""
    return (*SEPARATE, OVERLAY) if executable == COMPOSED else (executable,)


def argument_files(nodes, parameters):
    """The parameter file, if any, that sets what the arguments ask for, of each node by its name.

    launch_ros would write them for "/**"; where params_file has that section too, its sections of nodes would win.
    """
    if not parameters:
        return []
    with tempfile.NamedTemporaryFile("w", prefix="emotion_launch_", suffix=".yaml", delete=False) as file:
        for node in nodes:
            yaml.safe_dump({f"/**/{node}": {"ros__parameters": parameters}}, file)
    return [file.name]


def heard_reliably(context, given):
    """What has the pipeline get every image of a source that is started with it.

    With the best effort that suits a camera, most are lost on their way to another process where ROS is kept to this
    machine (ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST): Fast DDS then shares 512 kB at most, less than one image.
    """
    # With the namespace of whoever includes this file: an override goes by the whole name or has no effect.
    namespace = prefix_namespace(context.launch_configurations.get("ros_namespace"), given["namespace"])
    topic = make_namespace_absolute(prefix_namespace(namespace, given["image"]))
    transport = "/compressed" if given["transport"] == "compressed" else ""
    return {f"qos_overrides.{topic}{transport}.subscription.reliability": "reliable"}


def has_beginning(source):
    """Whether a source has a beginning to be missed: a file or folder, no webcam."""
    path = os.path.expanduser(source)
    return os.path.isfile(path) or os.path.isdir(path)


def is_recording(source):
    """Whether a source is a rosbag2 recording."""
    from siamese_emotion_ros.bags.reading import is_bag

    return bool(source) and is_bag(source)


def recording_parameters(given, bag):
    """What has a recording played, with its clock, under the topic and transport that the pipeline listens to."""
    parameters = {"bag": bag, "clock_rate": 100.0, **FROM_ITS_BEGINNING}
    if given["image"] != ARGUMENTS["image"][0]:
        parameters["image"] = given["image"]
    if given["transport"] == "compressed":
        check_compressed(bag, parameters.get("image"))
        parameters["decompress"] = False
    return parameters


def check_compressed(bag, image):
    """Refuse a recording whose images are not compressed: nothing would ever come."""
    from siamese_emotion_ros.bags.decoding import COMPRESSED_IMAGE, choose_image_topic
    from siamese_emotion_ros.bags.reading import Bag

    with Bag(bag) as recording:
        topic = choose_image_topic(recording, image)
    if topic.type != COMPRESSED_IMAGE:
        raise ValueError(f"source:={bag} has {topic.name} raw: leave transport:=compressed out")


def value_of(name, text):
    """An argument's text as the parameter's type."""
    if text in ("true", "false"):
        return text == "true"
    return text.split(":") if name == "artifact_dirs" else text


def shipped_file(name):
    """A file in the package's share folder."""
    from ament_index_python.packages import get_package_share_directory

    return f"{get_package_share_directory(PACKAGE)}/{name}"
