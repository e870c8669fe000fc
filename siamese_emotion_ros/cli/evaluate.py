"""`siamese-emotion evaluate`: how good is a model with a gallery on your copy of a data set?"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DEVICE, SHARED_CLASSES, THRESHOLD, K, seed_option
from siamese_emotion_ros.cli.source import Source, named, options_of, source
from siamese_emotion_ros.shipped import default_gallery, default_model

if TYPE_CHECKING:
    from siamese_emotion_ros.datasets.face_set import FaceSet


@reported()
def evaluate(
    dataset: Optional[str] = typer.Option(None, help="Data set: fer2013, ckplus, kdef, folder or bag."),
    root: Optional[Path] = typer.Option(None, help="Your copy of the data set."),
    query: Optional[str] = typer.Option(None, metavar="DATASET:PATH", help="--dataset and --root in one."),
    split: Optional[str] = typer.Option(
        None, metavar="[SCHEME:]PART",
        help="Which faces to evaluate: train, val, test (PublicTest, PrivateTest) or all; SCHEME is official, subject, "
        "stratified or paper. Default: the official test, else val; all without an official split.",
    ),
    anchors: Optional[str] = typer.Option(
        None, metavar="DATASET:PATH",
        help="Build the gallery on the fly from this data set, for results across data sets.",
    ),
    anchors_split: Optional[str] = typer.Option(
        None, metavar="[SCHEME:]PART",
        help="Which of its faces become anchors. Default: all; train when the query faces are of the same copy.",
    ),
    classes: Optional[str] = SHARED_CLASSES,
    model_file: Optional[Path] = typer.Option(None, "--model", help="Model file. Default: the shipped one."),
    gallery_file: Optional[Path] = typer.Option(
        None, "--gallery", help="Gallery file. Default: the shipped one for these classes."
    ),
    k: Optional[int] = K,
    threshold: Optional[float] = THRESHOLD,
    option: Optional[List[str]] = typer.Option(
        None, metavar="KEY=VALUE", help="Option of the query data set's loader, such as labels=ferplus; repeatable."
    ),
    anchors_option: Optional[List[str]] = typer.Option(None, metavar="KEY=VALUE", help="The same for --anchors."),
    personal: bool = typer.Option(
        False, "--personal",
        help="Also measure the gain of subtracting each person's own neutral, as ~/calibrate_neutral does on a robot.",
    ),
    personal_faces: Optional[int] = typer.Option(
        None, min=1, help="How many neutral faces of each person --personal learns from (5); these are not evaluated."
    ),
    seed: int = seed_option("Seed of splits, intervals, pairs and the map."),
    device: str = DEVICE,
    json_file: Optional[Path] = typer.Option(None, "--json", help="Write every figure to this file."),
    html_file: Optional[Path] = typer.Option(
        None, "--html",
        help="Write a page with plots to this file. It shows faces of the data set: protect it as you protect those.",
    ),
) -> None:
    """Measure a model and gallery: top-1, F1, one-vs-rest, confusions, calibration, ROC, with confidence intervals."""
    from siamese_emotion_ros.cli.loading import load_gallery
    from siamese_emotion_ros.cli.output import plain_console, refuse_unwritable
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation.anchors import gallery_of_faces, narrowed, shared_classes
    from siamese_emotion_ros.evaluation.measurement import measure
    from siamese_emotion_ros.evaluation.page import render_page
    from siamese_emotion_ros.evaluation.parts import trained_on
    from siamese_emotion_ros.evaluation.personal import measure_personal
    from siamese_emotion_ros.evaluation.report import build_report, write_report
    from siamese_emotion_ros.evaluation.terminal import summary
    from siamese_emotion_ros.recognition.emotions import parse_label_set
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.recognizer import Settings
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    queried = source(dataset, root, query, split, option)
    anchored = _anchor_source(anchors, anchors_split, anchors_option)
    if anchored is not None and gallery_file is not None:
        raise ValueError("--gallery and --anchors are two sources of anchors: give one of them")
    if personal_faces is not None and not personal:
        raise ValueError("--personal-faces is how many faces --personal learns from: give --personal, too")
    refuse_unwritable(json_file, html_file)
    settings = Settings(k, threshold)
    wanted = None if classes is None else parse_label_set(classes)
    model_file = model_file or default_model()
    embedder = EmbeddingModel.load(model_file, device)
    if anchored is None:  # a file that does not fit is refused before the faces are read
        gallery_file = gallery_file or default_gallery(_set_name(wanted))
        stored = load_gallery(gallery_file, embedder, model_file)
    facts = {"data": str(queried.root), "model file": str(model_file), "seed": seed}
    if queried.options:
        facts["options"] = queried.options_text
    queries, loaded, split_name = queried.load(seed)
    notices = trained_on(embedder.spec.provenance, queried.dataset, loaded, split_name, seed)
    anchors_name = None
    if anchored is None:
        gallery = narrowed(stored, wanted or shared_classes(stored.classes, queries))
        facts["gallery file"] = str(gallery_file)
    else:
        pool, part, left = _anchor_faces(anchored, queried, queries, wanted, seed)
        with face_progress("embedding anchors") as progress:
            gallery = gallery_of_faces(embedder, pool, k, progress)
        if left:
            notices.append(f"{left} anchors were left out: their pictures are among the evaluated faces.")
        facts["anchors from"] = str(anchored.root)
        if anchored.options:
            facts["anchors' options"] = anchored.options_text
        anchors_name = f"{anchored.dataset}, {part}"
    with face_progress("embedding faces") as progress:
        measurement = measure(embedder, gallery, settings, queries, seed, progress=progress)

    report = build_report(measurement, queried.dataset, split_name, loaded, facts, anchors_name, notices)
    if personal:
        report["personal"] = measure_personal(measurement, embedder, gallery, settings, personal_faces or 5, seed)
    console = plain_console()
    console.print(summary(report))
    if json_file is not None:
        write_report(json_file, report)
        console.print(f"wrote {json_file}", soft_wrap=True)
    if html_file is not None:
        with console.status("drawing the page"):
            write_atomically(html_file, render_page(measurement, report, seed).encode())
        console.print(f"wrote {html_file}", soft_wrap=True)


def _anchor_source(anchors: Optional[str], split: Optional[str], options: Optional[List[str]]) -> Optional[Source]:
    """The faces that --anchors names; None where the gallery is a file."""
    if anchors is not None:
        return Source(*named(anchors, "--anchors"), split, options_of(options))
    if split is not None or options:
        raise ValueError("--anchors-split and --anchors-option are about --anchors: name that data set too")
    return None


def _anchor_faces(
    anchored: Source, queried: Source, queries: FaceSet, wanted: Optional[Tuple[str, ...]], seed: int
) -> Tuple[FaceSet, str, int]:
    """The faces that become anchors, what their part is called, and how many were left out as they are queries."""
    from siamese_emotion_ros.cli.loading import load_faces
    from siamese_emotion_ros.evaluation.anchors import shared_classes, without_queries
    from siamese_emotion_ros.evaluation.parts import choose_part

    faces = load_faces(anchored.dataset, anchored.root, anchored.options)
    natural = "train" if anchored.is_same_copy(queried) else "all"
    chosen, part = choose_part(faces, anchored.split or natural, seed)
    pool, left = without_queries(faces.select(chosen), queries)
    if not len(pool):
        raise ValueError(
            f"all {left} anchors are among the evaluated faces: separate the two by --split and --anchors-split"
        )
    with_faces = tuple(label for label, count in pool.counts().items() if count)
    return pool.restrict(wanted or shared_classes(with_faces, queries)), part, left


def _set_name(classes: Optional[Tuple[str, ...]]) -> str:
    """Which shipped gallery answers for these classes: that of a set of the paper, else the one with all seven."""
    from siamese_emotion_ros.recognition.emotions import LABEL_SETS

    return next((name for name in ("a", "b") if classes is not None and set(classes) == set(LABEL_SETS[name])), "seven")
