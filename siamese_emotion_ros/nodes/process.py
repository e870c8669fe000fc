"""A process of our nodes: middleware that shares images whole, and Ctrl-C or SIGTERM that ends all in order."""
from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any, Callable, List, Optional, Sequence

import rclpy
from rclpy.signals import SignalHandlerOptions

from siamese_emotion_ros.nodes.executors import NodeThreads
from siamese_emotion_ros.nodes.lifecycle import StreamNode

#: One Ctrl-C may come twice, from the terminal and passed on by ros2 launch, this far apart at most [s].
SAME_PRESS = 2.0


def run(factories: Sequence[Callable[[], StreamNode]], args: Optional[List[str]] = None) -> int:
    """Spin nodes in one process until Ctrl-C or SIGTERM; the process's exit status."""
    stop = threading.Event()
    ask_to_stop = _stopper(stop)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    make_room_for_images()
    try:
        # The signals are ours: rclpy's own handlers would take the context away under the nodes that still work.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        nodes = [make() for make in factories]
    except Exception as error:
        print(f"cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    threads = NodeThreads()
    for node in nodes:
        threads.add(node)
    while rclpy.ok() and not stop.wait(0.5):
        pass
    threads.stop()
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()
    return 0


def make_room_for_images() -> None:
    """Have Fast DDS share images between processes whole.

    Its shared memory holds 512 kB by default, less than one 640x480 image, of which best-effort subscribers then get
    about one in thirty (measured with Fast DDS 3.2) and reliable ones each 14 ms late. Other middleware, older Fast DDS
    and whoever has configured theirs are left alone, and listeners with the default configuration still hear us.
    """
    configured = {"FASTDDS_BUILTIN_TRANSPORTS", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"}
    if not configured & set(os.environ):
        os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "DEFAULT?max_msg_size=64KB&sockets_size=4MB"


def _stopper(stop: threading.Event) -> Callable[[int, Any], None]:
    """A signal handler that sets `stop`, and ends the process at once when somebody asks again."""
    asked: List[float] = []

    def handle(received: int, frame: Any) -> None:
        stop.set()
        asked.append(time.monotonic())
        if asked[-1] - asked[0] > SAME_PRESS:
            signal.signal(received, signal.SIG_DFL)
            os.kill(os.getpid(), received)

    return handle
