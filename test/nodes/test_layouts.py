"""What the layouts for RViz and Foxglove show comes from a running pipeline, in the type that the panel draws."""
import importlib
import json
import re
from pathlib import Path

import cv2
import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from rclpy.qos import QoSProfile, QoSReliabilityPolicy

from siamese_emotion_ros.nodes.emotion_overlay import EmotionOverlay
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.image_source import ImageSource

CONFIG = Path(get_package_share_directory("siamese_emotion_ros"), "config")

IMAGE, DIAGNOSTICS = "sensor_msgs/msg/Image", "diagnostic_msgs/msg/DiagnosticArray"


def shown():
    """(topic, field or nothing, type that the panel takes or None for any) of each panel and display."""
    rviz = yaml.safe_load((CONFIG / "emotion.rviz").read_text(encoding="utf-8"))
    paths = [(display["Topic"]["Value"], IMAGE) for display in rviz["Visualization Manager"]["Displays"]]
    for name, panel in json.loads((CONFIG / "foxglove.json").read_text(encoding="utf-8"))["configById"].items():
        kind = {"Image": IMAGE, "DiagnosticSummary": DIAGNOSTICS}.get(name.partition("!")[0])
        paths += [(panel[key], kind) for key in ("topicPath", "topicToRender") if key in panel]
        paths += [(path["value"], kind) for path in panel.get("paths", [])]
        paths += [(panel["imageMode"]["imageTopic"], kind)] if "imageMode" in panel else []
    return sorted({(*path.partition(".")[::2], kind) for path, kind in paths}, key=str)


def message_class(kind):
    package, _, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def value_at(message, field):
    """What `label` or `neighbor_distances[0]` is in a message."""
    name, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", field).groups()
    value = getattr(message, name)
    return value if index is None else value[int(index)]


@pytest.fixture
def pipeline(graph, start, tmp_path, portrait):
    cv2.imwrite(str(tmp_path / "image.png"), portrait)
    start()
    graph.start(FaceCrop, detector="haar")
    graph.start(EmotionOverlay)
    graph.start(ImageSource, source=str(tmp_path / "image.png"), loop=True)


def test_every_panel_gets_messages_with_what_it_shows(graph, pipeline):
    best_effort = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    assert len(shown()) == 7
    for topic, field, kind in shown():
        # The layouts are for the root namespace, where /diagnostics is for everybody.
        name = topic if topic == "/diagnostics" else graph.namespace + topic

        def type_of(name=name):
            return dict(graph.node.get_topic_names_and_types()).get(name)

        graph.until(type_of, f"somebody to offer {topic}")
        (found,) = type_of()
        assert kind in (None, found), topic
        messages = graph.listen(message_class(found), name, best_effort)
        graph.until(lambda messages=messages: messages, f"a message on {topic}")
        if field:
            assert isinstance(value_at(messages[0], field), (float, str)), field
