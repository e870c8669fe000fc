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
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from siamese_emotion_ros.msg import EmotionStamped
from siamese_emotion_ros.nodes.children import STARTUP_LIMIT, Child, ChildError, check_all, start_node
from siamese_emotion_ros.nodes.conversions import nanoseconds
from siamese_emotion_ros.nodes.process import make_room_for_images
from siamese_emotion_ros.nodes.qos import result_qos

WIDTH, HEIGHT = 640, 480

#: The first frames find cold caches and an idle processor; they are sent and not counted [s].
WARM_UP = 2.0


class Listener(Node):
    """Notes when the emotion of each frame arrives, by the stamp of the frame."""

    def __init__(self, namespace: str) -> None:
        super().__init__("pipeline_benchmark", namespace=namespace)
        #: Stamp of the frame [ns] -> time from it to the arrival of its first emotion [ms].
        self.latencies_ms: Dict[int, float] = {}
        self.create_subscription(EmotionStamped, "emotion", self._hear, result_qos(100))

    def _hear(self, message: EmotionStamped) -> None:
        stamp = nanoseconds(message.header.stamp)
        self.latencies_ms.setdefault(stamp, (self.get_clock().now().nanoseconds - stamp) / 1e6)


def frame_with_face(picture: np.ndarray) -> np.ndarray:
    """A 640x480 BGR frame that shows `picture` (BGR, with one face) as large as it can."""
    scale = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:HEIGHT, :WIDTH]
    frame = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
    left = (WIDTH - small.shape[1]) // 2
    frame[: small.shape[0], left : left + small.shape[1]] = small
    return frame


def measure(picture: np.ndarray, fps: float, seconds: float, device: str) -> Dict[str, Any]:
    """Stream `picture` from an image_source process through an emotion_pipeline process; times in milliseconds.

    How many frames were sent is read from the stamps of those that were answered and the rate: one that neither
    arrived nor was answered has left a gap.
    """
    namespace = f"/pipeline_benchmark_{os.getpid()}"
    make_room_for_images()
    rclpy.init(args=[])
    listener = Listener(namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    threading.Thread(target=executor.spin, daemon=True).start()
    children: List[Child] = []
    with tempfile.TemporaryDirectory(prefix="pipeline_benchmark_") as scratch:
        frame = Path(scratch) / "frame.png"
        cv2.imwrite(str(frame), frame_with_face(picture))
        try:
            for name, arguments, parameters in (
                ("emotion_pipeline", ["--no-overlay"], {"device": device}),
                ("image_source", [], {"source": str(frame), "loop": True, "rate": fps, "wait_for_subscribers": 1}),
            ):
                in_namespace = ["-r", f"__ns:={namespace}"]
                children.append(start_node(name, parameters, Path(scratch), arguments, in_namespace))
            _wait_for_the_first_answer(listener, children)
            time.sleep(WARM_UP)
            listener.latencies_ms.clear()
            time.sleep(seconds)
            answered = dict(listener.latencies_ms)
            for child in children:
                child.check()
            rss_mb = _resident_mb(children[0].pid)
        finally:
            for child in reversed(children):
                child.end()
            executor.shutdown()
            rclpy.try_shutdown()
    latencies = list(answered.values())
    sent = 1 + round((max(answered) - min(answered)) * 1e-9 * fps)
    return {
        "frame_to_message_ms": {"p50": float(np.percentile(latencies, 50)), "p99": float(np.percentile(latencies, 99))},
        "frames_sent": sent,
        "frames_dropped": max(0, sent - len(answered)),
        "rss_mb": rss_mb,
    }


def _wait_for_the_first_answer(listener: Listener, children: List[Child]) -> None:
    deadline = time.monotonic() + STARTUP_LIMIT
    while not listener.latencies_ms:
        check_all(children, deadline, f"no emotion within {STARTUP_LIMIT:.0f} s: is there a face in the picture?")
        time.sleep(0.05)


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
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number>")
    options = parser.parse_args(args)
    picture = cv2.imread(options.image)
    if picture is None:
        print(f"{options.image}: not an image that OpenCV reads", file=sys.stderr)
        return 2
    try:
        figures = measure(picture, options.fps, options.seconds, options.device)
    except ChildError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
