"""Arrays of faces as face_crop publishes them, and what siamese_emotion has to answer."""
import numpy as np
from builtin_interfaces.msg import Time
from siamese_emotion_ros.msg import FaceCrop, FaceCropArray
from std_msgs.msg import Header

from siamese_emotion_ros.nodes.conversions import image_message
from siamese_emotion_ros.recognition.artifacts import read_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings

RANDOM = np.random.default_rng(3)
CROPS = [RANDOM.integers(0, 256, (side, side), np.uint8) for side in (48, 90, 128)]


def of(stamp, crops=CROPS[:1], first_id=1, score=0.5):
    """The faces of the image of `stamp` [ms]; the first has this id and score, each further one a little more."""
    header = Header(stamp=Time(sec=stamp // 1000, nanosec=stamp % 1000 * 1_000_000), frame_id="eye")
    array = FaceCropArray(header=header, image_width=640, image_height=480)
    for number, crop in enumerate(crops):
        face = FaceCrop(face_id=first_id + number, score=score + number / 8, crop=image_message(header, crop))
        face.roi.x_offset, face.roi.width, face.roi.height = 10 * number, 20, 30
        array.faces.append(face)
    return array


def answers(graph, emotions, publisher, array, count=None):
    """The emotions that one array of faces is answered with, one for each face or `count`."""
    before = len(emotions)
    publisher.publish(array)
    wanted = before + (len(array.faces) if count is None else count)
    graph.until(lambda: len(emotions) >= wanted, "an answer")
    return emotions[before:]


def expected(artifacts, model="a", gallery="a3", **settings):
    """The recognizer of a model and a gallery of the artifacts."""
    return Recognizer(
        EmbeddingModel.load(artifacts / f"model_{model}.safetensors", "cpu"),
        read_gallery(artifacts / f"gallery_{gallery}.safetensors"), Settings(**settings),
    )
