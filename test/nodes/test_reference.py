"""The README says which parameters, topics and services the nodes have, and it is so."""
import re
from pathlib import Path

import cv2
import pytest

from siamese_emotion_ros.nodes import reference
from siamese_emotion_ros.nodes.bag_player import BagPlayer
from siamese_emotion_ros.nodes.emotion_evaluator import EmotionEvaluator
from siamese_emotion_ros.nodes.emotion_overlay import EmotionOverlay
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.image_source import ImageSource

#: What every lifecycle node has, and every node with parameters.
EVERYWHERE_TOPICS = ("/transition_event", "/parameter_events", "/rosout")
EVERYWHERE_SERVICES = (
    "parameters", "parameters_atomically", "parameter_types", "get_type_description", "change_state", "get_state",
    "get_available_states", "get_available_transitions", "get_transition_graph",
)


@pytest.fixture(scope="module")
def readme():
    """The text of README.md, through the links of an installed tree to the sources."""
    found = [parent / "README.md" for parent in Path(__file__).resolve().parents if (parent / "README.md").is_file()]
    assert found, "no README.md above the tests"
    return found[0].read_text(encoding="utf-8")


def between(text, begin, end):
    return text.partition(begin)[2].partition(end)[0].strip()


def test_parameters_and_services_are_printed_by_the_reference(readme):
    advice = "run python3 -m siamese_emotion_ros.nodes.reference and paste its output"
    assert between(readme, reference.BEGIN, reference.END) == reference.markdown(), advice
    assert between(readme, reference.BEGIN_SERVICES, reference.END_SERVICES) == reference.services(), advice


@pytest.fixture
def running(graph, start, bag_making, tmp_path, portrait):
    """All nodes but the mirror for ROS4HRI, active."""
    cv2.imwrite(str(tmp_path / "image.png"), portrait)
    bag = bag_making.pictures_bag(tmp_path / "bag", [portrait])
    siamese_emotion, _, _ = start()
    nodes = [
        siamese_emotion, graph.start(FaceCrop, detector="haar"), graph.start(EmotionOverlay),
        graph.start(ImageSource, source=str(tmp_path / "image.png"), wait_for_subscribers=100),
        graph.start(BagPlayer, bag=str(bag), clock_rate=10.0, wait_for_subscribers=100), graph.start(EmotionEvaluator),
    ]
    for node in nodes:
        graph.until_state(node, "active")
    return [node.get_name() for node in nodes]


def without_namespace(graph, name):
    return name[len(graph.namespace) + 1 :] if name.startswith(graph.namespace) else name


def found_by(graph, ask, nodes, left_out):
    """What `ask` tells of the nodes: name without the namespace -> type."""
    return {
        without_namespace(graph, name): kinds[0]
        for node in nodes
        for name, kinds in ask(node, graph.namespace)
        if not name.endswith(left_out)
    }


def test_every_service_of_ours_is_offered_and_no_other(graph, running):
    expected = {service.name: service.type for service in reference.SERVICES}

    def offered():
        return found_by(graph, graph.node.get_service_names_and_types_by_node, running, EVERYWHERE_SERVICES)

    graph.until(lambda: set(expected) <= set(offered()), "all services")
    assert offered() == expected


def test_the_topics_of_the_readme_are_those_that_the_nodes_publish(graph, running, readme):
    rows = [line.split("|")[1:3] for line in between(readme, "| Topic | Type | |", "\n\n").splitlines()[1:]]
    types = {}
    for names, kinds in rows:
        found = re.findall(r"`([^`]+)`", kinds)
        types.update(dict.fromkeys(re.findall(r"`([^`]+)`", names), found))
    written = {name for name in types if "/humans/" not in name}

    def published():
        return found_by(graph, graph.node.get_publisher_names_and_types_by_node, running, EVERYWHERE_TOPICS)

    only_heard = {"image_raw/compressed", "truth"}
    graph.until(lambda: set(published()) >= written - only_heard, "all topics")
    assert set(published()) == written - only_heard
    for name, kind in published().items():
        short = kind.replace("/msg/", "/")
        assert any(short.endswith(found) for found in types[name]), f"{name} is a {kind}"
