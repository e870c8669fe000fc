"""pipeline_benchmark: how long the composed pipeline takes from a camera's frame to the message about its face."""
from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import cv2
import numpy as np
import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from siamese_emotion_ros.msg import EmotionStamped
from siamese_emotion_ros.nodes.children import Child, ChildError
from siamese_emotion_ros.nodes.conversions import image_message, nanoseconds
from siamese_emotion_ros.nodes.lifecycle import make_room_for_images, result_qos, sensor_qos

WIDTH, HEIGHT = 640, 480

#: The first frames find cold caches and an idle processor; they are sent and not counted [s].
WARM_UP = 2.0

#: Importing torch on a busy machine takes its time; beyond this something is wrong [s].
STARTUP_LIMIT = 120.0


class Camera(Node):
    """Publishes frames as a camera does, and notes when the emotion of each arrives."""

    def __init__(self, namespace: str) -> None:
        super().__init__("pipeline_benchmark", namespace=namespace)
        self._publisher = self.create_publisher(Image, "image_raw", sensor_qos())
        self.create_subscription(EmotionStamped, "emotion", self._hear, result_qos(100))
        self._sent: Dict[int, float] = {}
        self.latencies_ms: Dict[int, float] = {}

    @property
    def watched(self) -> bool:
        """True once somebody subscribes to the images."""
        return self._publisher.get_subscription_count() > 0

    def send(self, message: Image) -> None:
        """Publish a frame, stamped now."""
        message.header.stamp = self.get_clock().now().to_msg()
        self._sent[nanoseconds(message.header.stamp)] = time.monotonic()
        self._publisher.publish(message)

    def forget(self) -> None:
        """Start counting anew."""
        self._sent.clear()
        self.latencies_ms.clear()

    @property
    def sent(self) -> int:
        """Frames published since the last forget()."""
        return len(self._sent)

    def _hear(self, message: EmotionStamped) -> None:
        now = time.monotonic()
        stamp = nanoseconds(message.header.stamp)
        if stamp in self._sent:
            self.latencies_ms.setdefault(stamp, 1000.0 * (now - self._sent[stamp]))


def frames_with_face(picture: np.ndarray) -> List[Image]:
    """Four 640x480 bgr8 frames that show `picture` (BGR, with one face), each a little further to the right."""
    scale = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:HEIGHT, :WIDTH]
    frame = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
    left = (WIDTH - small.shape[1]) // 2
    frame[: small.shape[0], left : left + small.shape[1]] = small
    return [image_message(Header(frame_id="camera"), np.roll(frame, 2 * step, axis=1)) for step in range(4)]


def measure(picture: np.ndarray, fps: float, seconds: float, parameters: Dict[str, Any]) -> Dict[str, Any]:
    """Stream `picture` through an emotion_pipeline process of its own; the figures, times in milliseconds."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    namespace = f"/pipeline_benchmark_{os.getpid()}"
    make_room_for_images()
    rclpy.init(args=[])
    camera = Camera(namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(camera)
    threading.Thread(target=executor.spin, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="pipeline_benchmark_") as scratch:
        file = Path(scratch) / "pipeline.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}), encoding="utf-8")
        arguments = ["--no-overlay", "--ros-args", "-r", f"__ns:={namespace}", "--params-file", str(file)]
        pipeline = Child("emotion_pipeline", arguments, Path(scratch) / "log")
        try:
            messages = frames_with_face(picture)
            _wait_for_the_first_answer(camera, messages[0], pipeline)
            _stream(camera, messages, fps, WARM_UP)
            camera.forget()
            _stream(camera, messages, fps, seconds)
            time.sleep(1.0)  # the last answers are still on their way
            pipeline.check()
            rss_mb = _resident_mb(pipeline.pid)
        finally:
            pipeline.end()
            executor.shutdown()
            rclpy.try_shutdown()
    latencies = list(camera.latencies_ms.values())
    return {
        "frame_to_message_ms": {"p50": float(np.percentile(latencies, 50)), "p99": float(np.percentile(latencies, 99))},
        "frames_sent": camera.sent,
        "frames_dropped": camera.sent - len(latencies),
        "rss_mb": rss_mb,
    }


def _wait_for_the_first_answer(camera: Camera, message: Image, pipeline: Child) -> None:
    deadline = time.monotonic() + STARTUP_LIMIT
    while not camera.latencies_ms:
        pipeline.check()
        if time.monotonic() > deadline:
            raise ChildError(
                f"no emotion within {STARTUP_LIMIT:.0f} s: is there a face in the picture?\n{pipeline.complaints()}"
            )
        if camera.watched:
            camera.send(message)
        time.sleep(0.1)


def _stream(camera: Camera, messages: List[Image], fps: float, seconds: float) -> None:
    start = time.monotonic()
    for frame in range(round(fps * seconds)):
        time.sleep(max(0.0, start + frame / fps - time.monotonic()))
        camera.send(messages[frame % len(messages)])


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ChildError(f"/proc/{pid}/status does not tell the resident memory")


def main(args: Optional[List[str]] = None) -> int:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="pipeline_benchmark", description=__doc__)
    parser.add_argument("--image", required=True, help="picture with one face")
    parser.add_argument("--fps", type=float, default=30.0, help="frames a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options = parser.parse_args(args)
    picture = cv2.imread(options.image)
    if picture is None:
        print(f"{options.image}: not an image that OpenCV reads", file=sys.stderr)
        return 2
    try:
        figures = measure(picture, options.fps, options.seconds, {"device": options.device})
    except ChildError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
