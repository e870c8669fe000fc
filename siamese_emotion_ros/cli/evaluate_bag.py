"""`siamese-emotion evaluate-bag`: what does a robot's recording show, and how much of it is seen rightly?"""
from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DEVICE, MODEL, THRESHOLD, K, seed_option
from siamese_emotion_ros.cli.output import plain_console, refuse_unwritable
from siamese_emotion_ros.shipped import default_gallery, default_model

if TYPE_CHECKING:
    from siamese_emotion_ros.evaluation.bag_replay import Frame
    from siamese_emotion_ros.faces.finder import FaceFinder
    from siamese_emotion_ros.recognition.recognizer import Recognizer


@reported()
def evaluate_bag(
    bag: Path = typer.Argument(..., help="Folder of a rosbag2 recording, or a .db3 or .mcap file of one."),
    image: Optional[str] = typer.Option(None, help="Topic of the images. Default: the only one there is."),
    truth: Optional[str] = typer.Option(
        None, metavar="TOPIC|FILE.csv",
        help="What the faces really showed: a recorded topic (EmotionStamped, String, or any type that begins with a "
        "header and a text), or a CSV file with the columns start,end,label[,face_id], times in seconds since the "
        "first image or since 1970. Default: none, and accuracy is not measured.",
    ),
    model: Optional[Path] = MODEL,
    gallery: Optional[Path] = typer.Option(None, help="Gallery file. Default: the shipped one with seven emotions."),
    k: Optional[int] = K,
    threshold: Optional[float] = THRESHOLD,
    detector: str = typer.Option("auto", help="auto, libfacedetection, yunet or haar."),
    detector_model: str = typer.Option("", help="YuNet .onnx file, which the detector yunet needs."),
    detection_width: int = typer.Option(
        320, help="Longer side, in pixels, of the scaled copy of the image in which faces are detected."
    ),
    seed: int = seed_option("Seed of intervals, pairs and the map."),
    device: str = DEVICE,
    json: Optional[Path] = typer.Option(None, help="Write every figure to this file."),
    html: Optional[Path] = typer.Option(
        None, help="Write a page with plots and timelines to this file. With --truth it shows faces of the recording."
    ),
    video: Optional[Path] = typer.Option(None, help="Write the images, annotated with the results, to this mp4 file."),
    results: Optional[Path] = typer.Option(
        None, help="Write a copy of the recording, with the results added, to this new folder (mcap)."
    ),
    results_topic: str = typer.Option("/evaluation/emotion", help="Topic of the results in that copy."),
) -> None:
    """Replay a recording through the robot's own pipeline, without ROS, and measure it against the truth."""
    from siamese_emotion_ros.bags.decoding import choose_image_topic
    from siamese_emotion_ros.bags.reading import Bag, BagError
    from siamese_emotion_ros.bags.writing import emotion_message, write_with_results
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation.bag_evaluation import evaluate, replay
    from siamese_emotion_ros.evaluation.bag_video import AnnotatedVideo
    from siamese_emotion_ros.evaluation.report import write_report
    from siamese_emotion_ros.evaluation.terminal import bag_summary, summary
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    if results is not None and results.exists():
        raise ValueError(f"{results} exists already: choose another name for --results, or remove it")
    refuse_unwritable(json, html, video, results)
    finder = _finder(detector, detector_model, detection_width)
    recognizer = _recognizer(model, gallery, k, threshold, device)
    facts = {
        "data": str(bag), "truth": truth or "none", "model file": str(model or "shipped"),
        "gallery file": str(gallery or "shipped"), "detector": finder.detector.name,
        "detection width": detection_width, "seed": seed,
    }
    _one_thread_each()
    console, title = plain_console(), bag.resolve().name
    ids = (recognizer.model.fingerprint, recognizer.gallery.fingerprint)
    answers: List[Tuple[int, bytes]] = []
    with ExitStack() as closing:
        recording = closing.enter_context(Bag(bag))
        topic = choose_image_topic(recording, image)
        if results is not None and results_topic in recording.topics:
            raise BagError(f"{bag} has a topic {results_topic} already: name another with --results-topic")
        if video is not None:
            video.parent.mkdir(parents=True, exist_ok=True)
        annotated = closing.enter_context(AnnotatedVideo(video, recording, topic)) if video is not None else None
        done, began = 0, time.monotonic()
        with face_progress("replaying") as progress:

            def each(frame: Frame) -> None:
                nonlocal done
                done += 1
                progress(done, topic.count)
                if annotated is not None:
                    annotated.add(frame, recognizer.classes)
                if results is not None:
                    answers.extend(
                        (frame.recorded, emotion_message(
                            frame.stamp, frame.frame_id, face, len(frame.faces), answer, recognizer.classes, ids))
                        for face, answer in frame.faces
                    )

            replayed = replay(recording, topic, finder, recognizer, truth, each)
        took = time.monotonic() - began
        with console.status("measuring"):
            evaluated = evaluate(replayed, recognizer, title, truth, {**facts, "images": topic.name}, seed)
        if evaluated.measurement is not None:
            console.print(summary(evaluated.report))
        console.print(bag_summary(evaluated.report))
        console.print(f"{done} images in {took:.1f} s: {done / max(took, 1e-6):.0f} a second")
        if json is not None:
            write_report(json, evaluated.report)
            console.print(f"wrote {json}", soft_wrap=True)
        if html is not None:
            with console.status("drawing the page"):
                write_atomically(html, evaluated.page(title, seed).encode())
            console.print(f"wrote {html}", soft_wrap=True)
        if annotated is not None:
            annotated.finish()
            console.print(f"wrote {video}", soft_wrap=True)
        if results is not None:
            results.parent.mkdir(parents=True, exist_ok=True)
            with console.status("copying the recording"):
                left_out = write_with_results(results, recording, results_topic, answers)
            for sentence in left_out:
                console.print(f"! {sentence}", style="yellow")
            console.print(f"wrote {results}", soft_wrap=True)


def _finder(detector: str, detector_model: str, detection_width: int) -> FaceFinder:
    from siamese_emotion_ros.faces.detectors import make_detector
    from siamese_emotion_ros.faces.finder import FaceFinder, FinderSettings

    settings = FinderSettings(detection_width=detection_width)
    return FaceFinder(make_detector(detector, model_path=detector_model or None), settings)


def _recognizer(
    model: Optional[Path], gallery: Optional[Path], k: Optional[int], threshold: Optional[float], device: str
) -> Recognizer:
    from siamese_emotion_ros.cli.loading import load_gallery
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings

    settings = Settings(k, threshold)
    model = model or default_model()
    embedder = EmbeddingModel.load(model, device, backend="auto")
    return Recognizer(embedder, load_gallery(gallery or default_gallery(), embedder, model), settings)


def _one_thread_each() -> None:
    """Have OpenCV and torch work in the threads that call them: the steps of a replay keep the cores busy already."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
