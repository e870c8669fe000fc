"""The SROS2 policy allows what the nodes do on the graph, and nothing else."""
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ament_index_python.packages import get_package_share_directory
from sensor_msgs.msg import Image
from siamese_emotion_ros.msg import FaceCropArray

from siamese_emotion_ros.nodes.bag_player import BagPlayer
from siamese_emotion_ros.nodes.emotion_evaluator import EmotionEvaluator
from siamese_emotion_ros.nodes.emotion_overlay import EmotionOverlay
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.hri_mirror import HriMirror
from siamese_emotion_ros.nodes.image_source import ImageSource
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion

NODES = {
    "face_crop": FaceCrop, "siamese_emotion": SiameseEmotion, "emotion_overlay": EmotionOverlay,
    "hri_mirror": HriMirror, "image_source": ImageSource, "bag_player": BagPlayer,
    "emotion_evaluator": EmotionEvaluator,
}

#: Allowed, but not there in every distribution, configuration or moment.
SOMETIMES = {"/clock", "/parameter_events", "image_raw/compressed", "get_type_description"}


@pytest.fixture(scope="module")
def enclaves():
    """path -> the profiles of one process."""
    file = Path(get_package_share_directory("siamese_emotion_ros"), "config", "sros2_policies.xml")
    root = ElementTree.parse(str(file)).getroot()
    return {enclave.get("path"): enclave.findall("profiles/profile") for enclave in root.iter("enclave")}


def allowed(profile, kind, direction):
    """The names under <topics publish="ALLOW"> and its like."""
    return {
        element.text for group in profile.findall(kind) if group.get(direction) == "ALLOW" for element in group
    }


def test_every_process_has_an_enclave_with_the_profiles_of_its_nodes(enclaves):
    assert {path: [profile.get("node") for profile in profiles] for path, profiles in enclaves.items()} == {
        **{f"/{name}": [name] for name in NODES},
        "/emotion_pipeline": ["face_crop", "siamese_emotion", "emotion_overlay"],
    }
    for profile in enclaves["/emotion_pipeline"]:
        (alone,) = enclaves[f"/{profile.get('node')}"]
        assert ElementTree.tostring(profile).split() == ElementTree.tostring(alone).split()


@pytest.mark.parametrize("name", list(NODES))
def test_the_policy_allows_what_a_node_does_and_nothing_else(
    graph, artifacts, enclaves, tmp_path, bag_making, faces, portrait, request, name
):
    import cv2

    cv2.imwrite(str(tmp_path / "image.png"), portrait)
    parameters = {
        "face_crop": {"detector": "haar"},
        "siamese_emotion": {"model_path": "model_a.safetensors", "gallery_path": "gallery_a3.safetensors",
                            "artifact_dirs": [str(artifacts)], "device": "cpu"},
        "image_source": {"source": str(tmp_path / "image.png")},
    }
    if name == "bag_player":
        path = bag_making.pictures_bag(tmp_path / "bag", [portrait])
        parameters[name] = {"bag": str(path), "clock_rate": 10.0, "wait_for_subscribers": 9}
    if name == "hri_mirror":
        request.getfixturevalue("hri_msgs")
    graph.listen(Image, "image_overlay")  # an overlay subscribes only while somebody watches
    node = graph.start(NODES[name], **parameters.get(name, {}))
    graph.until_state(node, "active")
    if name == "hri_mirror":  # it has topics for each face
        publisher = graph.publisher(FaceCropArray, "faces")
        graph.until(publisher.get_subscription_count, "the mirror to subscribe")
        publisher.publish(faces.of(1000))
    (profile,) = enclaves[f"/{name}"]
    patterns = [pattern for pattern in allowed(profile, "topics", "publish") if "*" in pattern]

    def relative(entries):
        names = {topic[len(graph.namespace) + 1:] if topic.startswith(graph.namespace) else topic
                 for topic, _ in entries}
        return {next((pattern for pattern in patterns if fnmatch(topic, pattern)), topic) for topic in names}

    def differences():
        found = {
            ("topics", "publish"): graph.node.get_publisher_names_and_types_by_node(name, graph.namespace),
            ("topics", "subscribe"): graph.node.get_subscriber_names_and_types_by_node(name, graph.namespace),
            ("services", "reply"): graph.node.get_service_names_and_types_by_node(name, graph.namespace),
        }
        return {
            (kind, direction): {
                entry for entry in relative(entries) ^ allowed(profile, kind, direction)
                if entry not in SOMETIMES and entry.rpartition("/")[2] not in SOMETIMES
                or entry in relative(entries) - allowed(profile, kind, direction)
            }
            for (kind, direction), entries in found.items()
        }

    graph.until(lambda: not any(differences().values()), f"only what is allowed; now: {differences()}")
