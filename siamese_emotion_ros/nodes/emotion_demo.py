"""emotion_demo: runs a source through the whole pipeline over real ROS 2, shows it live and leaves a recording."""
from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

import rclpy
from lifecycle_msgs.msg import Transition
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from sensor_msgs.msg import Image
from std_msgs.msg import Bool

from siamese_emotion_ros.bags.reading import BagError, is_bag
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray
from siamese_emotion_ros.nodes import live_table
from siamese_emotion_ros.nodes.bag_player import RecordedImages
from siamese_emotion_ros.nodes.children import Child, ChildError, complaints_of, start_node
from siamese_emotion_ros.nodes.demo_recorder import DemoRecorder
from siamese_emotion_ros.nodes.qos import CROWD, latched_qos, result_qos
from siamese_emotion_ros.nodes.recorder import Recording, RecordingError
from siamese_emotion_ros.nodes.sources import Source, SourceError, open_source
from siamese_emotion_ros.nodes.stream import Mailbox
from siamese_emotion_ros.nodes.terminal import quit_by_key, quit_by_signal, shown
from siamese_emotion_ros.nodes.transitions import take_through
from siamese_emotion_ros.shipped import shipped_models

#: Memory that images on their way to the answers may take [bytes]: a slow machine loses no frame of a short clip.
QUEUE_BYTES = 600 * 1024 * 1024

#: Without any message for so long the demo is given up [s].
SILENCE_LIMIT = 60.0

#: Ticks of a recording's clock per second: latencies are told to this precision.
CLOCK_RATE = 200.0

#: A third of a second at 30 frames per second: single frames of a talking face flicker too fast to be read.
SMOOTHING, HYSTERESIS = 9, 0.1


class DemoError(ChildError):
    """The demo cannot go on; the message says why."""


class DemoNode(Node):
    """Hears what the pipeline says."""

    def __init__(self, namespace: str, player: str, depth: int, heard: Mailbox) -> None:
        """`player`: name of the node that publishes the images and says when they end."""
        super().__init__("emotion_demo", namespace=namespace)
        reliable = result_qos(depth)
        self.create_subscription(Image, "image_raw", lambda message: heard.put(("image", message)), reliable)
        self.create_subscription(FaceCropArray, "faces", lambda message: heard.put(("faces", message)), reliable)
        self.create_subscription(
            EmotionStamped, "emotion", lambda message: heard.put(("emotion", message)), result_qos(answers_of(depth))
        )
        self.create_subscription(Bool, f"{player}/ended", lambda message: heard.put(("ended", message)), latched_qos())


def main(args: Optional[List[str]] = None) -> int:
    """Run the demo; 0 when every part of it worked."""
    options = _parser().parse_args(args)
    console = Console(highlight=False)
    try:
        summary = run_demo(options, console)
    except (ChildError, SourceError, BagError, RecordingError) as error:
        console.print(f"[bold red]the demo stopped:[/] {_plain(error)}")
        return 1
    console.print(live_table.summary(summary, options.output))
    return 0 if summary["frames"] else 1


def run_demo(options: argparse.Namespace, console: Console) -> Dict[str, Any]:
    """Start source and pipeline, listen until the source ends or the user says so, and return the summary."""
    from_bag = is_bag(options.source)
    player = "bag_player" if from_bag else "image_source"
    source = RecordedImages(options.source, options.image or None) if from_bag else open_source(options.source)
    frame = source.read()
    source.close()
    if frame is None:
        raise SourceError(f"{options.source}: no images in it")
    recording = Recording(Path(options.output), options.rate or round(source.rate, 2))
    depth = 5 if source.live else max(30, min(source.total or 10**6, QUEUE_BYTES // (2 * frame.nbytes)))
    namespace = f"/emotion_demo_{os.getpid()}"
    # The demo is for this machine alone, unless the user's environment says otherwise.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    view = live_table.View(source=options.source, total=source.total, note="starting …")
    # Twice what the pipeline's own queues hold, of the camera and of its three topics.
    heard = Mailbox(capacity=2 * (3 * depth + answers_of(depth)))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = DemoNode(namespace, player, depth, heard)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, name="executor", daemon=True)
    spinning.start()
    recorder = DemoRecorder(recording, view, heard, 2 * depth)
    children: List[Child] = []
    quitting = threading.Event()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="emotion_demo_") as scratch, quit_by_signal(quitting):
        try:
            with shown(view, console), quit_by_key(quitting):
                children += _start(options, player, source, namespace, depth, Path(scratch))
                # On a machine that cannot do everything at once the answers come first, and the recording after them.
                os.nice(5)
                for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
                    for name in ("face_crop", "siamese_emotion", player):
                        take_through(node, name, transition, children)
                view.note = "waiting for the first image …"
                recorder.heard_last = time.monotonic()
                _listen(recorder, children, quitting, options.seconds)
            if recorder.ended:
                recorder.finish()
        finally:
            for child in reversed(children):
                child.end()
            recorder.stop()
            executor.shutdown()
            spinning.join()
            node.destroy_node()
            rclpy.try_shutdown()
    return recording.finish({
        "stamps_equal": recorder.stamps_equal and recording.frames > 0,
        "images_replaced": view.replaced,
        "smoothing": options.smoothing,
        "source": options.source,
        "model": recorder.model_id or None,
        "gallery": recorder.gallery_id or None,
        "seconds": round(time.monotonic() - started, 1),
    })


def _listen(recorder: DemoRecorder, children: Sequence[Child], quitting: threading.Event, seconds: float) -> None:
    """Until the source has ended and every image is answered, somebody quits, or something breaks."""
    end = time.monotonic() + seconds if seconds else float("inf")
    while not quitting.wait(0.05) and time.monotonic() < end:
        for child in children:
            child.check()
        if recorder.failure is not None:
            raise DemoError(f"recording failed: {recorder.failure}") from recorder.failure
        silence = time.monotonic() - recorder.heard_last
        if recorder.ended and silence > (1.0 if recorder.waiting == 0 else 10.0):
            return
        if silence > SILENCE_LIMIT:
            raise DemoError(f"nothing was heard for {SILENCE_LIMIT:.0f} s:\n{complaints_of(children)}")


def queue(depth: int) -> Dict[str, Any]:
    """What a parameter file says of a topic of which nothing may get lost."""
    return {"reliability": "reliable", "history": "keep_last", "depth": depth}


def answers_of(images: int) -> int:
    """How many answers may wait where so many images may: one each, or all of one image with a crowd."""
    return max(images, CROWD)


def folders_of(files: Sequence[str]) -> List[str]:
    """The folders, each once, of those of `files` that exist: not of what was not given, or a shipped file's name."""
    return sorted({str(Path(file).resolve().parent) for file in files if file and Path(file).exists()})


def _start(
    options: argparse.Namespace, player: str, source: Source, namespace: str, depth: int, scratch: Path
) -> Iterator[Child]:
    """The source and the pipeline, unconfigured; what the user chose is in parameter files."""
    pipeline: Dict[str, Any] = {
        "autostart": False, "device": options.device, "detector": options.detector,
        "smoothing": {"window": options.smoothing, "hysteresis": HYSTERESIS if options.smoothing > 1 else 0.0},
    }
    if options.detector_model:
        pipeline["detector_model"] = options.detector_model
    for name in ("model", "gallery"):
        given = getattr(options, name)
        if given:
            pipeline[f"{name}_path"] = str(Path(given).resolve()) if Path(given).exists() else given
    folders = folders_of((options.model, options.gallery))
    if folders:
        pipeline["artifact_dirs"] = folders + shipped_models()
    if not source.live:
        # Every frame of a file counts: reliable topics, and queues that hold what a slow machine has not come to.
        pipeline["qos_overrides"] = {
            f"{namespace}/image_raw": {"subscription": queue(depth)},
            f"{namespace}/faces": {"publisher": queue(depth), "subscription": queue(depth)},
            f"{namespace}/emotion": {"publisher": queue(answers_of(depth))},
        }
    camera: Dict[str, Any] = {"autostart": False, "wait_for_subscribers": 2}
    if player == "image_source":
        camera.update(source=options.source, rate=float(options.rate))
    else:
        # Recorded stamps are of another day: latencies are told by the recording's own clock.
        camera.update(bag=options.source, image=options.image, clock_rate=CLOCK_RATE)
        camera["rate"] = options.rate / source.rate if options.rate else 1.0
        pipeline["use_sim_time"] = True
    if not source.live:
        camera["qos_overrides"] = {f"{namespace}/image_raw": {"publisher": queue(depth)}}
    for executable, parameters in ((player, camera), ("emotion_pipeline", pipeline)):
        arguments = ["--no-overlay"] if executable == "emotion_pipeline" else []
        remappings = ["-r", f"__ns:={namespace}", "-r", f"/clock:={namespace}/clock"]
        yield start_node(executable, parameters, scratch, arguments, remappings)


def _plain(error: Exception) -> str:
    """An error's text with rich's own brackets kept as text."""
    return str(error).replace("[", "\\[")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emotion_demo", description=__doc__)
    parser.add_argument("--source", required=True, help="webcam (0), video, image, folder of images or rosbag2")
    parser.add_argument("--image", default="", help="recorded topic of the images (default: the only one)")
    parser.add_argument("--output", default="demo_output", help="folder for the recording (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=0.0, help="images per second; 0 is the source's own")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long; 0 is at the end of the source")
    parser.add_argument("--model", default="", help="model file (default: the shipped one)")
    parser.add_argument("--gallery", default="", help="gallery file (default: the shipped one)")
    parser.add_argument(
        "--smoothing", type=int, default=SMOOTHING, metavar="FRAMES",
        help="frames over which the vote of each face is averaged; 1 is off (default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number>")
    parser.add_argument("--detector", default="auto", help="auto, libfacedetection, yunet or haar")
    parser.add_argument("--detector-model", default="", help="YuNet .onnx file for --detector yunet")
    return parser


if __name__ == "__main__":
    sys.exit(main())
