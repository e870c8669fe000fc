"""The layouts for RViz and Foxglove show topics that the launch file's nodes publish, and fields that they have."""
import json
from xml.etree import ElementTree

import pytest
import yaml


@pytest.fixture
def published(source):
    """What image_source and the pipeline publish: the policy says it, and test/nodes holds that against the nodes."""
    policy = ElementTree.parse(str(source / "config" / "sros2_policies.xml"))
    started = ("/image_source", "/emotion_pipeline")
    launched = [enclave for enclave in policy.iter("enclave") if enclave.get("path") in started]
    assert len(launched) == 2
    return {
        "/" + topic.text.lstrip("/")
        for enclave in launched for topics in enclave.iter("topics") if topics.get("publish") for topic in topics
    }


def test_rviz_shows_images_that_are_published(source, published):
    layout = yaml.safe_load((source / "config" / "emotion.rviz").read_text(encoding="utf-8"))
    displays = layout["Visualization Manager"]["Displays"]
    assert {display["Class"] for display in displays} == {"rviz_default_plugins/Image"}
    shown = {display["Topic"]["Value"]: display["Enabled"] for display in displays}
    assert shown == {"/image_overlay": True, "/image_raw": False} and set(shown) <= published
    # The camera is best effort, and so is the overlay's reader: a reliable one would wait for a camera in vain.
    assert {display["Topic"]["Reliability Policy"] for display in displays} == {"Best Effort"}


@pytest.fixture
def foxglove(source):
    return json.loads((source / "config" / "foxglove.json").read_text(encoding="utf-8"))


def test_foxglove_has_a_place_for_each_panel_and_a_panel_for_each_place(foxglove):
    def panels(place):
        return [place] if isinstance(place, str) else panels(place["first"]) + panels(place["second"])

    assert sorted(panels(foxglove["layout"])) == sorted(foxglove["configById"])


def test_foxglove_shows_topics_that_are_published_and_fields_that_they_have(source, foxglove, published):
    lines = (source / "msg" / "EmotionStamped.msg").read_text(encoding="utf-8").splitlines()
    fields = {words[1] for words in map(str.split, lines) if len(words) == 2 and not words[0].startswith("#")}
    shown = []
    for panel in foxglove["configById"].values():
        shown += [panel[key] for key in ("topicPath", "topicToRender") if key in panel]
        shown += [path["value"] for path in panel.get("paths", [])]
        shown += [panel["imageMode"]["imageTopic"]] if "imageMode" in panel else []
    assert len(shown) == 6
    for path in shown:
        topic, _, field = path.partition(".")
        assert topic in published
        assert not field or (topic == "/emotion" and field.partition("[")[0] in fields), path
