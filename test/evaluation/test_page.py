"""The report: it parses, says what was measured, stays self-contained, and shows names as they are."""
from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.evaluation.anchors import gallery_of_faces
from siamese_emotion_ros.evaluation.answers import Answers
from siamese_emotion_ros.evaluation.charts import confusion_chart, curve_chart
from siamese_emotion_ros.evaluation.measurement import measure
from siamese_emotion_ros.evaluation.mistakes import thumbnail, worst_mistakes
from siamese_emotion_ros.evaluation.page import render_page
from siamese_emotion_ros.evaluation.projection import MOST_POINTS, project
from siamese_emotion_ros.evaluation.report import build_report, write_report
from siamese_emotion_ros.evaluation.terminal import summary
from siamese_emotion_ros.recognition.recognizer import Settings

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The elements of a page with their attributes; fails on a tag that is closed out of turn."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.open = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module")
def measured(model, make_faces):
    """An evaluation that goes wrong for some faces, with a threshold that calls some unknown."""
    anchors = make_faces(6, seed=1)
    confused = np.random.default_rng(0).permutation(anchors.labels)
    anchors = dataclasses.replace(anchors, labels=confused)
    queries = dataclasses.replace(make_faces(6, seed=2), names=tuple(f"<script>{i}</script>" for i in range(18)))
    gallery = gallery_of_faces(model, anchors, k=3)
    free = measure(model, gallery, Settings(), queries, replicates=50, pairs=200)
    threshold = float(np.quantile(free.answers.nearest, 0.8))
    return measure(model, gallery, Settings(distance_threshold=threshold), queries, replicates=50, pairs=200)


@pytest.fixture(scope="module")
def report(measured):
    return build_report(measured, "folder", "all", measured.faces, {"data": "~/faces & co"}, notices=["Mind <this>."])


def test_report_is_json_with_what_was_measured(report, tmp_path):
    write_report(tmp_path / "report.json", report)
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["n"] == 18
    for key in ("top1", "macro_f1", "mean_one_vs_rest", "per_class", "unknown_rate", "confidence_intervals", "split",
                "dataset", "classes", "model_id", "gallery_id", "k", "threshold"):
        assert key in read
    assert read["unknown_rate"] == pytest.approx(4 / 18)
    assert set(read["per_class"]["anger"]) >= {"TP", "TN", "FP", "FN", "one_vs_rest"}


def test_anchors_among_the_queries_are_pointed_out(model, make_faces):
    faces = make_faces(3, seed=1)
    measured = measure(model, gallery_of_faces(model, faces, k=1), Settings(), faces, replicates=10, pairs=10)
    assert "9 of the 9 faces are anchors" in build_report(measured, "folder", "all", faces, {})["notices"][0]


def test_page_is_well_formed_and_loads_nothing(measured, report):
    text = render_page(measured, report)
    page = Page(text)
    names = {tag for tag, _ in page.elements}
    assert not names & {"script", "link", "iframe"}
    for _, attributes in page.elements:
        for key in ("src", "href"):
            assert attributes.get(key, "data:").startswith("data:")
    assert "url(" not in text
    assert "@import" not in text


def test_page_shows_the_figures_and_names_as_text(measured, report):
    page = Page(render_page(measured, report))
    assert f"{100 * report['top1']:.1f} %" in page.text
    assert "Mind <this>." in page.text
    assert "~/faces & co" in page.text
    assert "<script>" in page.text


def test_worst_mistakes_are_on_the_page(measured, report):
    page = Page(render_page(measured, report))
    images = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    mistakes = worst_mistakes(measured.faces, measured.answers)
    assert len(images) == len(mistakes) > 0
    encoded = np.frombuffer(base64.b64decode(images[0].split(",")[1]), np.uint8)
    shown = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(shown, measured.faces.faces[mistakes[0].row])


def test_one_face_does_not_take_all_the_room_for_mistakes(make_faces):
    faces = make_faces(10)
    answers = Answers(
        classes=faces.classes, truth=faces.labels, decided=(faces.labels + 1) % 3,
        confidence=np.linspace(0.3, 0.9, 30, dtype=np.float32), nearest=np.zeros(30, np.float32), threshold=np.inf,
    )
    everyone = worst_mistakes(faces, answers)
    assert len(everyone) == 30
    of_two = dataclasses.replace(faces, subjects=("Ann",) * 15 + ("Bob",) * 15)
    mistakes = worst_mistakes(of_two, answers)
    # Bob errs in sadness and in half of happiness, Ann in anger and in the other half.
    assert [mistake.row for mistake in mistakes] == [29, 28, 27, 19, 18, 17, 14, 13, 12, 9, 8, 7]
    assert [mistake.row for mistake in worst_mistakes(of_two, answers, count=5)] == [29, 28, 27, 19, 18]
    assert mistakes[0] == everyone[0]


def test_page_without_pairs_mistakes_or_several_methods(model, make_faces):
    # One face a class: no pair of the same class, nothing wrong, too few points for a map of neighbours.
    faces = make_faces(1, seed=2)
    measured = measure(model, gallery_of_faces(model, make_faces(2, seed=1), k=1), Settings(), faces, replicates=10)
    report = build_report(measured, "folder", "all", faces, {})
    assert report["verification"] is None
    text = Page(render_page(measured, report)).text
    assert "No face was given a wrong label" in text
    assert "thresholdnone" in text, "the gallery has no threshold"


def test_terminal_tables_hold_every_emotion(report):
    from rich.console import Console

    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary(report))
    text = console.export_text()
    for label in report["classes"]:
        assert re.search(rf"^{label} ", text, re.MULTILINE)
    assert f"{100 * report['top1']:.1f}" in text
    assert "Mind <this>." in text


@pytest.mark.parametrize("promised, said", [(0.9, True), (0.52, False)])
def test_the_emotion_for_which_confidence_promises_too_much_is_named(report, promised, said):
    rows = {label: {**row, "precision": 0.5, "confidence": 0.4} for label, row in report["per_class"].items()}
    first, second, *_ = rows
    rows[first].update(precision=None, confidence=None)  # never answered
    rows[second]["confidence"] = promised
    lines = summary({**report, "per_class": rows}).renderables
    told = f"confidence promises too much for {second}: {100 * promised:.1f} % on average, 50.0 % right"
    assert any(told in str(line) for line in lines) == said


def test_mistakes_are_the_surest_first_and_unknown_is_none():
    answers = Answers(("anger", "fear"), np.array([0, 0, 0, 1, 0]), np.array([1, 1, 0, 0, 1]),
                      np.float32([0.6, 0.9, 1.0, 0.9, 1.0]), np.float32([1, 2, 1, 1, 9]), threshold=5)
    from siamese_emotion_ros.datasets.face_set import FaceSet

    faces = FaceSet(np.zeros((5, 8, 8), np.uint8), answers.truth, answers.classes, tuple("abcde"))
    assert [mistake.name for mistake in worst_mistakes(faces, answers)] == ["d", "b", "a"]
    assert [mistake.name for mistake in worst_mistakes(faces, answers, count=1)] == ["d"]


def test_thumbnails_of_large_faces_are_small():
    data = thumbnail(np.zeros((300, 150), np.uint8))
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data.split(",")[1]), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (96, 48)


def test_map_keeps_clusters_apart_and_repeats():
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    embeddings = (random.normal(size=(60, 16)) + 40 * np.eye(16)[labels]).astype(np.float32)
    rows, places = project(embeddings)
    assert rows.tolist() == list(range(60))
    assert places.min() >= -1e-6
    assert places.max() <= 1 + 1e-6
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(60)
    assert (labels[distances.argmin(axis=1)] == labels).all()
    np.testing.assert_array_equal(project(embeddings)[1], places)


@pytest.mark.parametrize("embeddings", [
    np.ones((1, 4)), np.ones((20, 4)), np.eye(2), np.eye(5), np.arange(20.0)[:, None],
])
def test_map_of_very_few_or_equal_embeddings(embeddings):
    rows, places = project(embeddings.astype(np.float32))
    assert places.shape == (len(embeddings), 2)
    assert np.isfinite(places).all()
    assert len(rows) == len(embeddings)


def test_map_is_of_a_bounded_number_of_faces(monkeypatch):
    monkeypatch.setattr("siamese_emotion_ros.evaluation.projection.MOST_POINTS", 15)
    rows, places = project(np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32))
    assert len(rows) == len(places) == 15 < MOST_POINTS
    assert (np.diff(rows) > 0).all()


def test_confusion_chart_says_counts_and_shares():
    svg = confusion_chart([[3, 1], [0, 2]], ("anger", "fear"), ("anger", "fear"))
    assert "anger taken for fear: 1 of 4 (25.0%)" in svg
    assert "fear taken for fear: 2 of 2 (100.0%)" in svg


def test_curve_passes_through_its_points():
    svg = curve_chart([(0.0, 0.0), (1.0, 1.0)], "x", "y", "name")
    curve = re.search(r'points="([^"]+)" class="curve"', svg).group(1)
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in curve.split())
    assert x1 - x0 == pytest.approx(y0 - y1) == pytest.approx(260)


def test_the_label_of_a_mark_stands_below_the_curve_beside_it():
    def height(points):
        svg = curve_chart(points, "x", "y", "name", mark=(1.0, 0.8), mark_label="here")
        return float(re.search(r'y="([\d.]+)"[^>]*>here<', svg).group(1))

    flat = height([(0.0, 0.8), (0.95, 0.8), (1.0, 0.8)])
    assert height([(0.0, 0.8), (0.95, 0.5), (1.0, 0.8)]) > flat + 20
    assert height([(0.0, 0.1), (0.5, 0.1), (1.0, 0.8)]) == flat, "what is farther left is not in its way"
