"""`siamese-emotion benchmark`: how fast a face is recognised here, alone and from camera frame to ROS 2 message."""
from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DEVICE
from siamese_emotion_ros.shipped import PACKAGE, default_model


@reported()
def benchmark(
    json_file: Optional[Path] = typer.Option(None, "--json", help="Write the figures to this file as well."),
    model_file: Optional[Path] = typer.Option(
        None, "--model", help="Model file to recognise with (default: the shipped one)."
    ),
    anchors: int = typer.Option(1000, min=1, help="Anchors in the gallery that is searched."),
    repeats: int = typer.Option(500, min=10, help="Faces to recognise."),
    fps: float = typer.Option(30.0, min=1.0, help="Frames per second that are sent to the pipeline."),
    seconds: float = typer.Option(60.0, min=0.0, help="How long frames are sent; 0 leaves the pipeline out."),
    image: Optional[Path] = typer.Option(None, help="Picture with one face (default: scikit-image's astronaut)."),
    device: str = DEVICE,
    backend: str = typer.Option("auto", help="auto (ONNX Runtime where it is installed), torch or onnx."),
    threads: int = typer.Option(2, min=1, help="CPU threads that recognise a face."),
) -> None:
    """Measure recognition, then the composed pipeline over ROS 2 with 640x480 frames of one face."""
    import torch
    from rich.table import Table

    from siamese_emotion_ros.cli.output import plain_console, refuse_unwritable
    from siamese_emotion_ros.evaluation.speed import gallery_of, percentiles, recognize_times
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.recognizer import Recognizer
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    refuse_unwritable(json_file)
    if image is not None and not seconds:
        raise ValueError("--image is sent to the pipeline, which --seconds 0 leaves out: give one of them")
    console = plain_console()
    model = EmbeddingModel.load(model_file or default_model(), device, backend=backend, threads=threads)
    torch.set_num_threads(threads)
    with console.status(f"recognising {repeats} faces among {anchors} anchors"):
        times = recognize_times(Recognizer(model, gallery_of(model, anchors)), repeats)
    figures: Dict[str, Any] = {
        "recognize_ms": percentiles(times),
        "frame_to_message_ms": None,
        "frames_sent": 0,
        "frames_dropped": 0,
        "rss_mb": None,
        "backend": f"{model.backend} {model.device} {model.precision}",
        "threads": threads,
        "model": model.fingerprint,
        "anchors": anchors,
    }
    if seconds > 0:
        with console.status(f"streaming {fps:g} frames a second for {seconds:g} s through the pipeline"):
            figures.update(_pipeline_figures(image, fps, seconds, device))
    if json_file is not None:
        write_atomically(json_file, (json.dumps(figures, indent=2) + "\n").encode())

    table = Table(title=f"{model.spec.architecture} on {figures['backend']}, {anchors} anchors")
    for column in ("", "median", "99 %"):
        table.add_column(column, justify="right" if column else "left")
    for name, key in (("recognise a face", "recognize_ms"), ("frame to message", "frame_to_message_ms")):
        if figures[key]:
            table.add_row(name, *(f"{figures[key][p]:.2f} ms" for p in ("p50", "p99")))
    console.print(table)
    if seconds > 0:
        console.print(
            f"{figures['frames_sent']} frames sent, {figures['frames_dropped']} without an answer; "
            f"the pipeline's resident memory is {figures['rss_mb']:.0f} MB"
        )


def _pipeline_figures(image: Optional[Path], fps: float, seconds: float, device: str) -> Dict[str, Any]:
    """Run the installed pipeline_benchmark: nodes live on the other side of a process, where ROS 2 is."""
    with tempfile.TemporaryDirectory() as scratch:
        picture = image or _astronaut(Path(scratch) / "face.png")
        arguments = ["--image", str(picture.resolve()), f"--fps={fps}", f"--seconds={seconds}", f"--device={device}"]
        run = subprocess.run(_ros_command("pipeline_benchmark", arguments), stdout=subprocess.PIPE, check=False)
    if run.returncode:
        raise ValueError("the pipeline could not be measured; its output is above (--seconds 0 leaves it out)")
    return json.loads(run.stdout.decode().splitlines()[-1])


def _ros_command(executable: str, arguments: List[str]) -> List[str]:
    """The command line of an installed executable, in an environment that has ROS 2."""
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        candidate = Path(prefix) / "lib" / PACKAGE / executable
        if candidate.is_file():
            return [str(candidate), *arguments]
    install = Path(__file__).resolve().parents[2] / "install"
    if not (install / "setup.bash").is_file():
        raise ValueError(
            "the ROS 2 package is not built: run `make build`, or source the workspace that has it "
            "(--seconds 0 measures recognition only)"
        )
    start = 'source "$1/setup.bash"; shift; exec "$@"'
    program = install / PACKAGE / "lib" / PACKAGE / executable
    return ["bash", "-c", start, "bash", str(install), str(program), *arguments]


def _astronaut(path: Path) -> Path:
    import cv2

    try:
        from skimage import data
    except ImportError as error:
        raise ValueError("scikit-image is not installed: give a picture with a face as --image") from error
    cv2.imwrite(str(path), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    return path
