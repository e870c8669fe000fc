"""From the pixels of a camera to emotions, through all our nodes at once."""
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray

from siamese_emotion_ros.nodes.emotion_overlay import EmotionOverlay
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.image_source import ImageSource
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion

FRAMES = 12


@pytest.fixture
def clip(tmp_path, portrait):
    """A folder: the face moving to the right for some frames, then nobody."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(FRAMES):
        frame = np.roll(portrait, 6 * number, axis=1) if number < FRAMES - 3 else np.full_like(portrait, 90)
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    return folder


def test_every_image_is_answered_with_its_own_stamp_and_one_face_keeps_one_id(graph, artifacts, clip):
    """Reliable topics and queues deep enough: not one image is lost, whatever the machine does."""
    reliable = [
        Parameter(f"qos_overrides.{graph.topic('image_raw')}.{side}.{name}", value=value)
        for side in ("publisher", "subscription") for name, value in (("reliability", "reliable"), ("depth", 50))
    ]
    emotions, faces = graph.listen(EmotionStamped, "emotion", 100), graph.listen(FaceCropArray, "faces", 100)
    images, overlays = graph.listen(Image, "image_raw", 100), graph.listen(Image, "image_overlay", 100)
    nodes = [
        graph.start_with(FaceCrop, [Parameter("detector", value="haar"), *reliable]),
        graph.start(SiameseEmotion, model_path="model_a.safetensors", gallery_path="gallery_a3.safetensors",
                    artifact_dirs=[str(artifacts)], device="cpu"),
        graph.start_with(EmotionOverlay, reliable),
    ]
    for node in nodes:
        graph.until_state(node, "active")
    source = [Parameter("source", value=str(clip)), Parameter("rate", value=20.0),
              Parameter("wait_for_subscribers", value=3)]
    graph.start_with(ImageSource, [*source, *reliable])
    graph.until(lambda: len(faces) == FRAMES and len(emotions) == FRAMES - 3, "all answers")
    assert [array.header for array in faces] == [image.header for image in images]
    assert [len(array.faces) for array in faces] == [1] * (FRAMES - 3) + [0] * 3
    assert [emotion.header for emotion in emotions] == [image.header for image in images[:-3]]
    assert {emotion.face_id for emotion in emotions} == {1}
    assert {emotion.face_count for emotion in emotions} == {1}
    lefts = [emotion.roi.x_offset for emotion in emotions]
    assert lefts == sorted(lefts) and lefts[-1] - lefts[0] > 30
    graph.until(lambda: len(overlays) == FRAMES, "all overlays")
    assert [image.header for image in overlays] == [image.header for image in images]


@pytest.mark.parametrize("overlay", [True, False])
def test_the_composed_process_runs_the_nodes_and_ends_on_ctrl_c(graph, artifacts, overlay):
    arguments = [] if overlay else ["--no-overlay"]
    process = subprocess.Popen(
        [sys.executable, "-m", "siamese_emotion_ros.nodes.emotion_pipeline", *arguments, "--ros-args",
         "-r", f"__ns:={graph.namespace}", "-p", f"artifact_dirs:=[{artifacts}]", "-p", "detector:=haar",
         "-p", "model_path:=model_a.safetensors", "-p", "gallery_path:=gallery_a3.safetensors"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ),
    )
    try:
        expected = {"tester", "face_crop", "siamese_emotion"} | ({"emotion_overlay"} if overlay else set())

        def present():
            names = graph.node.get_node_names_and_namespaces()
            return {name for name, namespace in names if namespace == graph.namespace}

        graph.until(lambda: present() == expected and graph.node.count_publishers(graph.topic("emotion")),
                    f"{expected} and their topics", deadline=90)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in output, output
