"""What the robot answered while it was recorded, also where some of it cannot be read."""
from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from siamese_emotion_ros.bags.decoding import EMOTION, FACES, typestore
from siamese_emotion_ros.bags.reading import Bag
from siamese_emotion_ros.evaluation.anchors import gallery_of_faces
from siamese_emotion_ros.evaluation.bag_answers import recorded_answers
from siamese_emotion_ros.evaluation.bag_evaluation import replay
from siamese_emotion_ros.evaluation.bag_observations import Sighting
from siamese_emotion_ros.recognition.recognizer import Recognizer

STAMPS = (10, 20, 30)


class Blind:
    """Finds nobody."""

    def find(self, frame):
        return []

    def reset(self):
        pass


@pytest.fixture
def path(bag_making, tmp_path):
    """Answers to the images at 10 and 20 after 5 and 7 ms, and looks at all three."""
    types = typestore().types
    messages = []
    for stamp in STAMPS:
        header = bag_making.header(stamp)
        faces = types[FACES](header=header, image_width=9, image_height=9, faces=[], images_replaced=4)
        messages.append(("/faces", FACES, stamp, faces))
    for stamp, milliseconds in ((10, 5), (20, 7)):
        answer = types[EMOTION](
            header=bag_making.header(stamp), face_id=1, face_count=1,
            roi=types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=9, width=9, do_rectify=False),
            detection_score=1.0, label="anger", confidence=1.0, classes=["anger"], class_scores=np.float32([1]),
            class_distances=np.float32([0]), neighbor_labels=[], neighbor_distances=np.float32([]), neighbor_names=[],
            model_id=f"m{stamp}", gallery_id="g", gallery_version=1, personal_offset=0.0,
            latency=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=milliseconds * 1_000_000),
        )
        messages.append(("/emotion", EMOTION, stamp + 1, answer))
    return bag_making.write_bag(tmp_path / "bag", messages)


def test_answers_are_counted_and_held_against_those_of_now(path):
    sightings = [Sighting(10, 1, "anger", 1.0, None), Sighting(20, 1, "sadness", 1.0, None)]
    with Bag(path) as bag:
        emotion, faces = recorded_answers(bag, [*STAMPS, 40], sightings)
        assert recorded_answers(bag, STAMPS, sightings, leave_out=bag.topics["/emotion"]) == [
            {**faces, "not_looked_at": 0}
        ]
    assert (faces["messages"], faces["images"], faces["not_looked_at"], faces["images_replaced"]) == (3, 3, 1, 4)
    assert (emotion["messages"], emotion["images"], emotion["agreement"], emotion["compared"]) == (2, 2, 0.5, 2)
    assert emotion["latency_ms"] == {"p50": 6.0, "p99": 6.98, "max": 7.0}
    assert (emotion["model_id"], emotion["gallery_id"]) == ("m20", "g")


@pytest.mark.parametrize("name", ["/emotion", "emotion"])
def test_the_truth_is_no_answer_of_the_robots_however_it_is_named(bag_making, path, model, make_faces, name):
    picture = bag_making.image(np.zeros((48, 48), np.uint8), 10)
    messages = [("/image", bag_making.IMAGE, 10, picture)]
    with Bag(path) as bag:
        kinds = {topic.name: topic.type for topic in bag.topics.values()}
        messages += [(topic, kinds[topic], time, data) for topic, time, data in bag.messages()]
    recognizer = Recognizer(model, gallery_of_faces(model, make_faces(1), k=1))
    with Bag(bag_making.write_bag(path.with_name("seen"), messages)) as bag:
        replayed = replay(bag, bag.topics["/image"], Blind(), recognizer, name, lambda frame: None)
    assert [row["topic"] for row in replayed.figures["recorded"]] == ["/faces"]


@pytest.mark.parametrize("broken, left", [((21,), ["/emotion", "/faces"]), ((11, 21), ["/faces"])])
def test_answers_of_another_version_are_noted_and_cost_no_others(path, broken, left):
    database = sqlite3.connect(path / "bag.db3")
    for time in broken:
        database.execute("UPDATE messages SET data = substr(data, 1, 40) WHERE timestamp = ?", (time,))
    database.commit()
    database.close()
    with Bag(path) as bag:
        figures = recorded_answers(bag, STAMPS, [])
        assert [row["topic"] for row in figures] == left
        assert [text.split(":")[0] for text in bag.damage] == [f"{len(broken)} message(s) on /emotion left out"]
