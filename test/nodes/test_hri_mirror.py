"""The topics of ROS4HRI hold what faces and emotion said, under ids of REP-155, for as long as a face is in view."""
import re
import sys

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray
from std_msgs.msg import Header

from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.faces.tracker import MAX_MISSED
from siamese_emotion_ros.nodes.hri_mirror import HriMirror
from siamese_emotion_ros.recognition.emotions import EIGHT, ROS4HRI


class Humans:
    """What stands under /humans/faces, and publishers of faces and emotions."""

    def __init__(self, graph, hri, faces):
        self.graph, self.hri, self._make = graph, hri, faces
        self.tracked = graph.listen(hri.IdsList, "/humans/faces/tracked")
        self.mirror = graph.start(HriMirror)
        graph.until_state(self.mirror, "active")
        self.faces, self.emotions = graph.publisher(FaceCropArray, "faces"), graph.publisher(EmotionStamped, "emotion")
        for publisher in (self.faces, self.emotions):
            graph.until(publisher.get_subscription_count, "the mirror to subscribe")
        graph.until(lambda: graph.node.count_publishers("/humans/faces/tracked"), "the mirror to publish")

    def see(self, stamp, *face_ids, side=96):
        """One image [ms] with these faces; the list that follows."""
        message = FaceCropArray(image_width=640, image_height=480)
        for face_id in face_ids:
            message.faces += self._make.of(stamp, [np.full((side, side), 200, np.uint8)], face_id).faces
        message.header = Header(stamp=Time(sec=stamp // 1000, nanosec=stamp % 1000 * 1_000_000), frame_id="eye")
        self.faces.publish(message)
        self.graph.until(
            lambda: any(listed.header == message.header for listed in self.tracked), "a list with the image's header"
        )
        return next(list(listed.ids) for listed in self.tracked if listed.header == message.header)

    def feel(self, stamp, face_id, label, confidence=0.75):
        header = Header(stamp=Time(sec=stamp // 1000, nanosec=stamp % 1000 * 1_000_000), frame_id="eye")
        self.emotions.publish(
            EmotionStamped(header=header, face_id=face_id, face_count=1, label=label, confidence=confidence)
        )
        return header

    def topics(self):
        """The topics of faces that the mirror publishes."""
        published = self.graph.node.get_publisher_names_and_types_by_node("hri_mirror", self.graph.namespace)
        return {topic for topic, _ in published if topic.startswith("/humans/faces/") and topic.count("/") == 4}


@pytest.fixture
def humans(graph, hri_msgs, faces):
    return Humans(graph, hri_msgs, faces)


def test_a_face_has_its_place_its_picture_and_its_expression(graph, humans, hri_msgs):
    (face_id,) = humans.see(1000, 7)
    assert re.fullmatch("[a-z][a-z0-9]{4}", face_id)
    base = f"/humans/faces/{face_id}"
    graph.until(lambda: humans.topics() == {f"{base}/{name}" for name in ("roi", "cropped", "expression")}, "topics")
    places = graph.listen(hri_msgs.NormalizedRegionOfInterest2D, f"{base}/roi")
    pictures = graph.listen(Image, f"{base}/cropped")
    expressions = graph.listen(hri_msgs.Expression, f"{base}/expression")
    for name in ("roi", "cropped", "expression"):
        graph.until(lambda name=name: graph.node.count_subscribers(f"{base}/{name}"), name)

    stamp = 2000
    while not (places and pictures and expressions):  # discovery of the new topics takes as long as it takes
        stamp += 40
        assert humans.see(stamp, 7) == [face_id]
        humans.feel(stamp, 7, "happiness", 0.625)
        assert stamp < 60_000
    assert (places[0].xmin, places[0].ymin) == (0.0, 0.0)
    assert (places[0].xmax, places[0].ymax) == pytest.approx((20 / 640, 30 / 480)) and places[0].c == 0.5
    picture = image_from_message(pictures[0])
    assert picture.shape == (128, 128) and picture.min() == 200
    assert (expressions[0].expression, expressions[0].confidence) == ("happy", 0.625)
    for message in (places[0], pictures[0], expressions[0]):
        assert message.header.frame_id == "eye" and message.header.stamp.sec >= 1


def test_every_emotion_is_said_in_their_words_and_what_has_none_is_not_said(graph, humans, hri_msgs):
    for word in ROS4HRI.values():
        assert getattr(hri_msgs.Expression, word.upper()) == word
    (face_id,) = humans.see(1000, 1)
    heard = graph.listen(hri_msgs.Expression, f"/humans/faces/{face_id}/expression")
    topics = humans.mirror._topics[face_id]
    graph.until(topics.expression.get_subscription_count, "a listener")
    for number, label in enumerate([*EIGHT, "unknown", "neutral"]):
        humans.feel(1001 + number, 1, label)
    graph.until(lambda: heard and heard[-1].header.stamp.nanosec == 10_000_000, "the last word")
    assert [message.expression for message in heard] == [ROS4HRI[label] for label in EIGHT if label in ROS4HRI] + [
        "neutral"
    ]


def test_who_is_gone_leaves_neither_an_id_nor_topics(graph, humans):
    both = humans.see(0, 1, 2)
    assert len(set(both)) == 2
    graph.until(lambda: len(humans.topics()) == 6, "the topics of two faces")
    for image in range(1, MAX_MISSED + 1):
        assert humans.see(40 * image, 2) == both, "a face that is missed in a few images is awaited"
    assert humans.see(1000, 2) == both[1:]
    graph.until(lambda: len(humans.topics()) == 3, "the topics of one face")
    graph.transition(humans.mirror, "deactivate")
    graph.until(lambda: not humans.topics(), "no topics")
    graph.until(lambda: humans.tracked and list(humans.tracked[-1].ids) == [], "an empty list")


def test_after_a_cleanup_it_mirrors_again(graph, humans):
    humans.see(5000, 1)
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        assert graph.transition(humans.mirror, transition)
    graph.until(humans.faces.get_subscription_count, "the mirror to subscribe again")
    (face_id,) = humans.see(1000, 1)
    graph.until(lambda: {topic.split("/")[3] for topic in humans.topics()} == {face_id}, "the topics of one face")


def test_time_that_jumps_back_brings_others(graph, humans):
    (before,) = humans.see(5000, 1)
    (after,) = humans.see(1000, 1)
    assert before != after
    graph.until(lambda: {topic.split("/")[3] for topic in humans.topics()} == {after}, "the topics of one face")


def test_who_was_in_view_when_the_images_ended_is_not_for_ever(graph, humans):
    humans.see(1000, 1)
    graph.until(lambda: list(humans.tracked[-1].ids) == [], "an empty list")
    graph.until(lambda: not humans.topics(), "no topics")
    assert len(humans.see(1040, 2)) == 1


def test_a_message_that_makes_no_sense_costs_only_itself(graph, log, humans):
    message = humans._make.of(1000)
    message.image_width = 0
    humans.faces.publish(message)
    graph.until(lambda: any("0x480 pixels" in text for _, text in log), "a complaint")
    assert len(humans.see(1040, 1)) == 1


def test_the_size_of_the_pictures_is_a_parameter(graph, humans):
    assert all(result.successful for result in graph.set(humans.mirror, width=64, height=32))
    (face_id,) = humans.see(1000, 1)
    pictures = graph.listen(Image, f"/humans/faces/{face_id}/cropped")
    graph.until(humans.mirror._topics[face_id].cropped.get_subscription_count, "a listener")
    humans.see(1040, 1)
    graph.until(lambda: pictures, "a picture")
    picture = image_from_message(pictures[0])
    assert picture.shape == (32, 64)
    assert not picture[:, :16].any() and not picture[:, 48:].any() and picture[:, 16:48].min() == 200


def test_without_hri_msgs_it_says_so_and_waits(graph, log, monkeypatch):
    monkeypatch.setitem(sys.modules, "hri_msgs", None)
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", None)
    mirror = graph.start(HriMirror, autostart=False)
    assert not graph.transition(mirror, "configure")
    assert graph.state(mirror) == "unconfigured"
    graph.until(lambda: any("cannot configure: hri_msgs cannot be imported" in text for _, text in log), "a reason")
