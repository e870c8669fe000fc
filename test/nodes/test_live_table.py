import io

from rich.console import Console

from siamese_emotion_ros.nodes.live_table import Row, Timeline, View, plain_line, render, summary


def shown(renderable, width=100):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue()


VIEW = View(
    source="clip.mp4", total=200, labels=["sadness"] * 60 + ["happiness"] * 40, fps=29.7, latency_ms=11.6, replaced=3,
    rows=[
        Row(1, "happiness", 0.8, [("happiness", 0.314), ("happiness", 0.5), ("surprise", 0.62)], 11.7),
        Row(7, "unknown", 0.0, [("fear", 2.5)], 12.2),
    ],
)


def test_the_live_view_shows_face_label_confidence_distances_latency_rate_and_progress():
    text = shown(render(VIEW))
    expected = (
        "clip.mp4", "happiness", "80%", "happiness 0.31 0.50", "surprise 0.62", "12 ms", "unknown", "fear 2.50",
        "100/200", "29.7 fps", "3 replaced",
    )
    for part in expected:
        assert part in text, part


def test_nobody_and_nothing_yet_are_said():
    assert "no face" in shown(render(View(source="0")))
    assert "starting" in shown(render(View(source="0", note="starting …")))
    assert plain_line(View(source="0")).startswith("frame 0  no face")


def test_every_view_fits_its_terminal():
    for width in (60, 80, 200):
        for renderable in (render(VIEW), summary(SUMMARY, "demo_output")):
            assert max(len(line) for line in shown(renderable, width).splitlines()) <= width


def test_the_line_for_no_terminal_names_frame_faces_and_rate():
    assert plain_line(VIEW) == "frame 100/200  face 1 happiness 80%, face 7 unknown 0%  29.7 fps  latency 12 ms"


def test_the_timeline_has_one_block_for_each_frame_then_one_for_several():
    assert Timeline(["fear", None]).line(10).plain == "██········"
    line = Timeline(["fear"] * 30 + ["happiness"] * 70).line(10)
    assert line.plain == "█" * 10
    styles = [str(span.style) for span in line.spans]
    assert len(set(styles[:3])) == 1 and len(set(styles[3:])) == 1 and styles[0] != styles[9]


SUMMARY = {
    "frames": 100, "frames_with_face": 98, "frames_unanswered": 0, "face_ids": [1], "stamps_equal": True,
    "labels": ["happiness"] * 97 + ["fear"] + [None] * 2, "latency_ms": {"p50": 12.34, "p99": 20.1},
    "video": "annotated.mp4", "contact_sheet": None,
}


def test_the_summary_says_what_was_seen_and_where_it_lies():
    text = shown(summary(SUMMARY, "demo_output"))
    expected = (
        "98 with a face (98%)", "happiness 99%", "fear 1%", "in 2 stretches", "12 ms median", "the images' own",
        "demo_output/", "annotated.mp4  summary.json",
    )
    for part in expected:
        assert part in text, part
    assert "None" not in text


def test_the_summary_of_nothing_is_a_summary():
    empty = {**SUMMARY, "frames": 0, "frames_with_face": 0, "labels": [], "face_ids": [], "video": None,
             "latency_ms": {"p50": None, "p99": None}, "stamps_equal": False}
    text = shown(summary(empty, "out"))
    assert "0, 0 with a face" in text and "differ" in text
