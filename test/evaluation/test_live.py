"""Answers and truths that come one by one, in loops too."""
from __future__ import annotations

import json

import pytest

from siamese_emotion_ros.evaluation.live import LiveEvaluation
from siamese_emotion_ros.faces.geometry import Box

SECOND = 1_000_000_000
#: Tenths of a second of a round's answers; from the last back to the first is no longer an overtaken image.
ROUND = range(1, 12, 5)
LEFT, RIGHT = Box(0, 0, 50, 50), Box(200, 0, 50, 50)


def answer(live, tenth, label, face_id=1, roi=LEFT, classes=("happiness", "sadness"), shares=None, ids=("m", "g")):
    given = shares or {name: float(name == label) for name in classes}
    confidence = 0.0 if label == "unknown" else given[label]
    live.add_answer(tenth * SECOND // 10, face_id, roi, label, confidence, given, 30_000_000, ids)


@pytest.fixture
def live():
    return LiveEvaluation()


def test_a_label_holds_from_its_stamp_until_the_next(live):
    live.add_label(2 * SECOND // 10, "happy")
    live.add_label(4 * SECOND // 10, "sad")
    live.add_label(6 * SECOND // 10, "")
    for tenth in range(8):
        answer(live, tenth, "happiness")
    report = live.report()
    assert (report["n"], report["top1"], report["without_truth"], report["rounds"]) == (4, 0.5, 4, 1)
    assert report["confusion"]["counts"] == [[2, 0, 0], [2, 0, 0]]
    assert report["latency_ms"]["p50"] == 30.0
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_it_does_not_matter_what_comes_first(live):
    answer(live, 5, "sadness")
    live.add_label(4 * SECOND // 10, "sad")
    assert live.report()["top1"] == 1.0


def test_pictures_of_one_stretch_count_once_in_an_interval(live):
    for second in range(6):
        live.add_label(second * SECOND, "happy" if second % 2 else "sad")
        for tenth in range(10):
            answer(live, 10 * second + tenth, "sadness" if second in (0, 1, 2, 4) else "happiness")
    found = live.report()["confidence_intervals"]
    assert (found["resampled"], found["units"]) == ("subjects", 6)
    low, high = found["top1"]
    assert high - low > 0.3


def test_faces_are_told_apart_by_their_boxes(live):
    live.add_truth(SECOND, RIGHT, "sadness")
    live.add_truth(SECOND, Box(4, 3, 50, 50), "happiness")
    answer(live, 10, "happiness", face_id=7, roi=LEFT)
    answer(live, 10, "happiness", face_id=8, roi=RIGHT)
    answer(live, 10, "happiness", face_id=9, roi=Box(400, 400, 50, 50))
    answer(live, 11, "happiness", face_id=7, roi=LEFT)
    report = live.report()
    assert (report["n"], report["top1"], report["without_truth"]) == (2, 0.5, 2)


def test_a_loop_counts_every_round_with_its_own_truth(live):
    for truth in ("happy", "sad", "happy"):
        live.add_label(0, truth)
        for tenth in ROUND:
            answer(live, tenth, "happiness")
    report = live.report()
    assert (report["rounds"], report["n"]) == (3, 9)
    assert report["top1"] == pytest.approx(6 / 9)


def test_a_label_that_is_said_again_while_time_stands_still_begins_no_round(live):
    for _ in range(2):
        for second, text in ((1, "happy"), (1, "happy"), (5, "sad"), (5, "sad")):
            live.add_label(second * SECOND, text)
        for second in range(1, 11):
            answer(live, 10 * second, "happiness" if second < 5 else "sadness")
    report = live.report()
    assert (report["rounds"], report["n"], report["top1"]) == (2, 20, 1.0)


def test_a_truth_that_comes_late_still_belongs_to_its_round(live):
    for _ in range(2):
        for tenth in ROUND:
            answer(live, tenth, "happiness")
    for truth in ("happiness", "sadness"):
        for tenth in ROUND:
            live.add_truth(tenth * SECOND // 10, LEFT, truth)
    assert live.report()["top1"] == 0.5


def test_what_is_kept_has_an_end(monkeypatch):
    monkeypatch.setattr("siamese_emotion_ros.evaluation.live.MOST_ANSWERS", 6)
    live = LiveEvaluation()
    for _ in range(100):
        for tenth in ROUND:
            live.add_label(tenth * SECOND // 10, "happy")
            live.add_truth(tenth * SECOND // 10, LEFT, "happiness")
            answer(live, tenth, "happiness")
    report = live.report()
    assert (report["rounds"], report["answers"], report["n"], report["top1"]) == (100, 6, 6, 1.0)
    for truths in (live._labels, live._truths):
        assert len(truths) == 100 and sum(map(len, truths)) <= 9
    for _ in range(20):
        live.add_truth(SECOND, LEFT, "happiness")
    assert len(live._truths[-1]) == 6


def test_an_unknown_is_no_answer_and_counts_as_wrong(live):
    live.add_label(0, "sad")
    answer(live, 1, "unknown", shares={"happiness": 0.2, "sadness": 0.8})
    answer(live, 2, "sadness")
    report = live.report()
    assert (report["top1"], report["unknown_rate"], report["top1_without_threshold"]) == (0.5, 0.5, 1.0)


@pytest.mark.parametrize(("label", "confidence"), [("unknown", 0.8), ("happiness", 0.8), ("sadness", 0.2)])
def test_an_answer_is_calibrated_by_its_label_and_an_unknown_by_its_best_class(live, label, confidence):
    live.add_label(0, "sad")
    for number in range(10):
        answer(live, number, label, shares={"happiness": 0.8, "sadness": 0.2})
    report = live.report()
    bins = [part for part in report["calibration"]["bins"] if part["n"]]
    assert [(part["n"], pytest.approx(part["confidence"])) for part in bins] == [(10, confidence)]
    assert report["top1_without_threshold"] == (label == "sadness")
    assert report["unknown_curve"] is None, "thresholds may have changed meanwhile"


def test_a_label_that_is_said_once_holds_in_every_round(live):
    live.add_label(0, "sad")
    for _ in range(3):
        for tenth in ROUND:
            answer(live, tenth, "sadness")
    report = live.report()
    assert (report["rounds"], report["n"], report["top1"]) == (3, 9, 1.0)


def test_a_pause_begins_no_round(live):
    live.add_label(0, "sad")
    for second in (1, 2, 3600, 3601):
        answer(live, 10 * second, "sadness")
    report = live.report()
    assert (report["rounds"], report["n"]) == (1, 4)


def test_a_swap_of_the_gallery_is_told_and_new_classes_are_taken_in(live):
    live.add_label(0, "angry")
    answer(live, 1, "happiness")
    assert live.report()["n"] == 0
    answer(live, 2, "anger", classes=("anger", "happiness"), ids=("m", "h"))
    report = live.report()
    assert report["classes"] == ["happiness", "sadness", "anger"]
    assert (report["n"], report["top1"]) == (2, 0.5)
    assert [recogniser["answers"] for recogniser in report["recognisers"]] == [1, 1]


def test_words_that_are_no_emotions_are_named(live):
    live.add_label(0, "bored")
    answer(live, 1, "happiness")
    report = live.report()
    assert (report["n"], report["ignored"]) == (0, {"bored": 1})


def test_intervals_count_from_the_first_image_of_each_round(tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("start,end,label\n0,0.25,happiness\n")
    live = LiveEvaluation(truth)
    for _ in range(2):
        for tenth in range(50, 55):
            answer(live, tenth, "happiness")
    report = live.report()
    assert (report["n"], report["top1"], report["rounds"]) == (6, 1.0, 2)


def test_intervals_count_from_images_without_a_face_too(tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("start,end,label\n0,5,sadness\n5,10,happiness\n")
    live = LiveEvaluation(truth)
    for _ in range(2):
        for tenth in range(1000, 1100):
            live.add_image(tenth * SECOND // 10)
            if tenth >= 1030:
                answer(live, tenth, "sadness" if tenth < 1050 else "happiness")
    report = live.report()
    assert (report["n"], report["top1"], report["rounds"]) == (140, 1.0, 2)


@pytest.mark.parametrize("told", ["intervals", "messages"])
def test_an_image_that_was_overtaken_begins_no_round(tmp_path, told):
    truth = tmp_path / "truth.csv"
    truth.write_text("start,end,label\n0,3,sadness\n3,10,happiness\n")
    live = LiveEvaluation(truth if told == "intervals" else None)
    for tenth in (*range(10), 11, 10, *range(12, 50)):
        label = "sadness" if tenth < 30 else "happiness"
        live.add_truth(tenth * SECOND // 10, LEFT, label)
        live.add_image(tenth * SECOND // 10)
        answer(live, tenth, label)
    report = live.report()
    assert (report["n"], report["top1"], report["rounds"]) == (50, 1.0, 1)


def test_nothing_heard_is_a_report_too_and_reset_forgets(live):
    assert live.report()["n"] == 0 and live.report()["latency_ms"] is None
    answer(live, 1, "happiness")
    live.reset()
    assert (live.report()["answers"], len(live)) == (0, 0)
