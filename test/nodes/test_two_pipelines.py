"""Two cameras, two pipelines, two namespaces: nothing of the one reaches the other."""
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray
from std_msgs.msg import Header

from siamese_emotion_ros.nodes.conversions import image_message
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion


class Pipeline:
    """The two nodes in a namespace of their own, and what they publish."""

    def __init__(self, graph, artifacts, gallery):
        self.graph = graph
        self.faces = graph.listen(FaceCropArray, "faces", 100)
        self.emotions = graph.listen(EmotionStamped, "emotion", 100)
        self.nodes = [
            graph.start(FaceCrop, detector="haar"),
            graph.start(SiameseEmotion, model_path="model_a.safetensors", gallery_path=gallery, device="cpu",
                        artifact_dirs=[str(artifacts)]),
        ]
        self.camera = graph.publisher(Image, "image_raw")
        for node in self.nodes:
            graph.until_state(node, "active")
        graph.until(lambda: self.camera.get_subscription_count() == 1, "a listener to the camera")
        self.sent = 0

    def see(self, picture, frame_id):
        """One image through the pipeline; its faces and their emotions."""
        self.sent += 1
        header = Header(frame_id=frame_id)
        header.stamp.sec = self.sent
        before = len(self.faces)

        def answered():
            if len(self.faces) > before:
                return True
            self.camera.publish(image_message(header, picture))  # best effort: it may have to be sent again
            return False

        self.graph.until(answered, f"faces of {frame_id}")
        array = self.faces[before]
        self.graph.until(
            lambda: len([e for e in self.emotions if e.header == array.header]) >= len(array.faces), "their emotions"
        )
        return array, [emotion for emotion in self.emotions if emotion.header == array.header]


@pytest.fixture
def pipelines(graph, artifacts):
    other = type(graph)()
    yield Pipeline(graph, artifacts, "gallery_a3.safetensors"), Pipeline(other, artifacts, "gallery_a2.safetensors")
    other.close()


def test_each_camera_gets_its_own_answers(pipelines, portrait):
    left, right = pipelines
    nobody = np.zeros_like(portrait)
    for _ in range(3):
        faces, emotions = left.see(portrait, "left_eye")
        assert len(faces.faces) == 1 and set(emotions[0].classes) == {"happiness", "neutral", "sadness"}
        faces, emotions = right.see(nobody, "right_eye")
        assert not faces.faces and not emotions
    assert {message.header.frame_id for message in left.faces + left.emotions} == {"left_eye"}
    assert {message.header.frame_id for message in right.faces} == {"right_eye"} and not right.emotions


def test_a_swap_in_one_leaves_the_other_alone(pipelines, portrait):
    left, right = pipelines
    assert left.graph.set(left.nodes[1], gallery_path="gallery_a2.safetensors", k=3)[0].successful
    (_, (first,)), (_, (second,)) = left.see(portrait, "left_eye"), right.see(portrait, "right_eye")
    assert (first.gallery_version > 1, second.gallery_version) == (True, 1)
    assert (len(first.neighbor_labels), len(second.neighbor_labels)) == (3, 5)


def test_diagnostics_tell_the_two_apart(pipelines):
    left, right = pipelines
    arrays = left.graph.listen(DiagnosticArray, "/diagnostics", 100)
    wanted = {node.get_fully_qualified_name() for pipeline in pipelines for node in pipeline.nodes}
    assert len(wanted) == 4
    left.graph.until(
        lambda: wanted <= {status.name for array in arrays for status in array.status}, "a word of all four"
    )
