"""`siamese-emotion evaluate-bag`: what does a robot's recording show, and how much of it is seen rightly?"""
from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.shipped import DEFAULT_GALLERIES, DEFAULT_MODEL

#: Frames per second of the video of a recording with one image, which has no rate.
STILL_RATE = 10.0


def evaluate_bag(
    bag: Path = typer.Argument(..., help="Folder of a rosbag2 recording, or a .db3 or .mcap file of one."),
    image: Optional[str] = typer.Option(None, help="Topic of the images. Default: the only one there is."),
    truth: Optional[str] = typer.Option(
        None, metavar="TOPIC|FILE.csv",
        help="What the faces really showed: a recorded topic (EmotionStamped, String, or any type that begins with a "
        "header and a text), or a CSV file with the columns start,end,label[,face_id], times in seconds since the "
        "first image or since 1970. Default: nothing is said about right and wrong.",
    ),
    model: Optional[Path] = typer.Option(None, help="Model file. Default: the shipped one."),
    gallery: Optional[Path] = typer.Option(None, help="Gallery file. Default: the shipped one with seven emotions."),
    k: Optional[int] = typer.Option(None, help="Neighbours that vote. Default: the gallery's."),
    threshold: Optional[float] = typer.Option(
        None, help="Distance beyond which a face is unknown; inf = never. Default: the gallery's."
    ),
    detector: str = typer.Option("auto", help="auto, libfacedetection, yunet or haar."),
    detector_model: str = typer.Option("", help="YuNet .onnx file, which the detector yunet needs."),
    detection_width: int = typer.Option(320, help="Longer side of the copy of the image that is searched, pixels."),
    seed: int = typer.Option(0, help="Seed of intervals, pairs and the map."),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:<n>."),
    json: Optional[Path] = typer.Option(None, help="Write every figure to this file."),
    html: Optional[Path] = typer.Option(
        None, help="Write a page with plots and timelines to this file. With a truth it shows faces of the recording."
    ),
    video: Optional[Path] = typer.Option(None, help="Write the images with what was seen to this mp4 file."),
    results: Optional[Path] = typer.Option(
        None, help="Write a copy of the recording with the answers added to this new folder (mcap)."
    ),
    results_topic: str = typer.Option("/evaluation/emotion", help="Topic of the answers in that copy."),
) -> None:
    """Replay a recording through the robot's own pipeline, without ROS, and measure it against the truth."""
    with reported():
        _evaluate_bag(
            bag, image, truth, model, gallery, k, threshold, (detector, detector_model, detection_width), seed, device,
            json, html, video, results, results_topic,
        )


def _evaluate_bag(
    bag_path: Path, image: Optional[str], truth_name: Optional[str], model_path: Optional[Path],
    gallery_path: Optional[Path], k: Optional[int], threshold: Optional[float], detection: Tuple[str, str, int],
    seed: int, device: str, json_path: Optional[Path], html_path: Optional[Path], video_path: Optional[Path],
    results_path: Optional[Path], results_topic: str,
) -> None:
    from rich.console import Console

    from siamese_emotion_ros.bags.decoding import choose_image_topic, decode, stamp_of
    from siamese_emotion_ros.bags.reading import Bag, BagError
    from siamese_emotion_ros.bags.writing import emotion_message, write_with_results
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation.bag_answers import recorded_answers
    from siamese_emotion_ros.evaluation.bag_observations import Observations
    from siamese_emotion_ros.evaluation.bag_replay import Replay
    from siamese_emotion_ros.evaluation.bag_report import bag_report, notices_of, render_bag_sections, render_bare_page
    from siamese_emotion_ros.evaluation.bag_truth import read_truth
    from siamese_emotion_ros.evaluation.measurement import measure
    from siamese_emotion_ros.evaluation.page import render_page
    from siamese_emotion_ros.evaluation.report import build_report, write_report
    from siamese_emotion_ros.evaluation.terminal import bag_summary, summary
    from siamese_emotion_ros.faces.detectors import make_detector
    from siamese_emotion_ros.faces.finder import FaceFinder, FinderSettings
    from siamese_emotion_ros.recognition.artifacts import read_gallery, write_atomically
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings
    from siamese_emotion_ros.shipped import shipped_path

    console = Console(highlight=False)
    model_path = model_path or shipped_path("models", DEFAULT_MODEL)
    gallery_path = gallery_path or shipped_path("models", DEFAULT_GALLERIES.format("seven"))
    settings = Settings(k, threshold)
    embedder = EmbeddingModel.load(model_path, device)
    anchors = read_gallery(gallery_path)
    recognizer = Recognizer(embedder, anchors, settings)
    face_detector = make_detector(detection[0], model_path=detection[1] or None)
    finder = FaceFinder(face_detector, FinderSettings(detection_width=detection[2]))
    if results_path is not None and results_path.exists():
        raise BagError(f"{results_path} exists already: choose another name for --results, or remove it")

    observations = Observations()
    answers: List[Tuple[int, Any]] = []
    with Bag(bag_path) as bag, ExitStack() as closing:
        topic = choose_image_topic(bag, image)
        truth = None
        if truth_name is not None:
            first = next((stamp_of(decode(topic.type, data)) for _, _, data in bag.messages([topic.name])), 0)
            truth = read_truth(truth_name, bag, first)
        replay = Replay(bag, topic, finder, recognizer)
        film = closing.enter_context(_Film(video_path, bag, topic)) if video_path is not None else None
        ids = (embedder.fingerprint, anchors.fingerprint)
        began = time.monotonic()
        with face_progress("replaying") as progress:
            for frame in replay.frames():
                observations.add(frame, truth)
                if film is not None:
                    film.add(frame, recognizer.classes)
                if results_path is not None:
                    answers += [
                        (frame.recorded, emotion_message(
                            frame.stamp, frame.frame_id, face, len(frame.faces), answer, recognizer.classes, ids))
                        for face, answer in frame.faces
                    ]
                progress(len(observations.stamps), topic.count)
        took = time.monotonic() - began
        if not observations.stamps:
            raise BagError(f"{bag_path}: none of the {topic.count} images on {topic.name} can be read: " + (
                next(iter(replay.unreadable), "there is none")))
        figures: Dict[str, Any] = {
            "images": {
                "topic": topic.name, "type": topic.type, **observations.stream_figures(),
                "unreadable": dict(sorted(replay.unreadable.items())), "jumps_back": replay.jumps_back,
            },
            "faces": observations.face_figures(),
            "recorded": recorded_answers(bag, observations.stamps, observations.sightings, leave_out=truth_name or ""),
            "damage": list(bag.damage),
        }
        facts = {
            "data": str(bag_path), "images": topic.name, "truth": truth_name or "none", "model file": str(model_path),
            "gallery file": str(gallery_path), "detector": face_detector.name, "detection width": detection[2],
            "seed": seed,
        }
        without_truth = 0
        if truth is not None:
            queries = observations.queries()
            without_truth = len(queries.left_out)
            if not len(queries):
                raise BagError(
                    f"no face was seen at a time for which {truth_name} names an emotion: do its times and the images' "
                    "stamps belong together?"
                )
        notices = notices_of(figures, truth.ignored if truth is not None else {}, without_truth)
        evaluation = measurement = None
        if truth is not None:
            with console.status("measuring"):
                measurement = measure(
                    embedder, anchors, settings, queries, seed, embeddings=observations.embeddings()
                )
            evaluation = build_report(
                measurement, bag_path.resolve().name, f"against {truth_name}", queries, facts, notices=notices
            )
        report = bag_report(figures, evaluation, notices, facts)
        if evaluation is not None:
            console.print(summary(report))
        console.print(bag_summary(report))
        count = len(observations.stamps)
        console.print(f"{count} images in {took:.1f} s: {count / max(took, 1e-6):.0f} a second")
        if json_path is not None:
            write_report(json_path, report)
            console.print(f"wrote {json_path}")
        if html_path is not None:
            with console.status("drawing the page"):
                if measurement is not None:
                    page = render_page(measurement, report, seed, render_bag_sections(report["bag"]))
                else:
                    page = render_bare_page(report, bag_path.resolve().name)
                write_atomically(html_path, page.encode())
            console.print(f"wrote {html_path}")
        if film is not None:
            console.print(f"wrote {film.finish()}")
        if results_path is not None:
            with console.status("copying the recording"):
                left_out = write_with_results(results_path, bag, results_topic, answers)
            for sentence in left_out:
                console.print(f"! {sentence}", style="yellow")
            console.print(f"wrote {results_path}")


class _Film:
    """The annotated video; its rate is that of the recording, which the first images tell."""

    def __init__(self, path: Path, bag: Any, topic: Any) -> None:
        from itertools import islice

        from siamese_emotion_ros.bags.decoding import decode, stamp_of

        self._path = path
        self._writer: Any = None
        stamps = []
        for _, _, data in islice(bag.messages([topic.name]), 50):
            try:
                stamps.append(stamp_of(decode(topic.type, data)))
            except ValueError:
                continue
        steps = sorted(later - sooner for sooner, later in zip(stamps, stamps[1:]) if later > sooner)
        rate = 1e9 / steps[len(steps) // 2] if steps else STILL_RATE
        self._rate = round(min(max(rate, 1.0), 120.0), 2)

    def __enter__(self) -> _Film:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._writer is not None:
            self._writer.release()

    def add(self, frame: Any, classes: Tuple[str, ...]) -> None:
        """One image with its faces."""
        from siamese_emotion_ros.drawing.overlay import EmotionMark, draw_emotions
        from siamese_emotion_ros.drawing.video import VideoWriter
        from siamese_emotion_ros.faces.image_messages import drawable

        drawn = drawable(frame.image)
        draw_emotions(drawn, [
            EmotionMark(tuple(face.roi), answer.label, answer.confidence, face.face_id, classes, answer.class_scores)
            for face, answer in frame.faces
        ])
        if self._writer is None:
            self._writer = VideoWriter(self._path, self._rate, (drawn.shape[1], drawn.shape[0]))
        self._writer.write(drawn)

    def finish(self) -> Path:
        """Close the file and see that it plays."""
        path: Path = self._writer.close()
        return path
