"""Intervals that a file gives as the truth."""
from __future__ import annotations

from types import SimpleNamespace

import pytest

from siamese_emotion_ros.bags.reading import BagError
from siamese_emotion_ros.evaluation.bag_truth import Interval, Intervals, LabelChanges, LabelledBoxes, read_intervals
from siamese_emotion_ros.faces.geometry import Box

SECOND = 1_000_000_000


@pytest.mark.parametrize(("text", "reason"), [
    ("start,end,label\n0,1e300,sad\n", "line 2: end is '1e300': expected seconds"),
    ("start,end,label,face_id\n0,1,sad," + "1" * 5000 + "\n", "line 2: face_id is '1{40}': expected a whole number"),
    ("start,end,label,face_id\n0,1,sad,\u00b2\n", "line 2: face_id is .*: expected a whole number"),
    ("start,end,label\n0,1,happy,2\n", "line 2: more values than the first line has columns: is face_id missing"),
    ("start,end,label,who\n0,1,sad,2\n", "its first line is 'start,end,label,who': expected"),
    ("start,end,face_id\n0,1,2\n", "its first line is 'start,end,face_id': expected"),
    ("x" * 200000 + "\n", "no CSV .field larger than field limit"),
    ("x" * 100000 + "\n", "its first line is 'x{80}': expected start,end,label"),
])
def test_what_is_too_large_is_refused_in_a_line(tmp_path, text, reason):
    (tmp_path / "truth.csv").write_text(text, encoding="utf-8")
    with pytest.raises(BagError, match=reason):
        read_intervals(tmp_path / "truth.csv", 0)


@pytest.mark.parametrize("face", [0, 1])
def test_intervals_of_all_faces_may_not_overlap_whatever_one_face_has_between_them(tmp_path, face):
    truth = tmp_path / "truth.csv"
    truth.write_text(f"start,end,label,face_id\n0,10,happy,\n1,2,fear,{face}\n5,6,sad,\n")
    with pytest.raises(BagError, match="lines 2 and 4 overlap"):
        read_intervals(truth, 0)
    truth.write_text(f"start,end,label,face_id\n0,10,happy,\n1,2,fear,{face}\n10,11,sad,\n")
    assert [interval.face_id for interval in read_intervals(truth, 0)].count(face) == 1


@pytest.mark.parametrize(("text", "reason"), [
    ("start,end,label\n", "no intervals: expected lines such as"),
    ("start,end,label\n0,2,sad\n3,3,happy\n", "line 3: end 3 is not after start 3"),
    ("start,end,label\n5,4,sad\n", "line 2: end 4 is not after start 5"),
    ("start,end,label\n0,1,bored\n", "line 2: .*bored"),
])
def test_intervals_that_say_nothing_are_refused(tmp_path, text, reason):
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(BagError, match=reason):
        read_intervals(tmp_path / "truth.csv", 0)


def test_times_count_from_the_first_image_or_are_stamps(tmp_path):
    truth, first = tmp_path / "truth.csv", 1_700_000_000 * SECOND
    truth.write_text("start, end, label, face_id\n0.5, 2, happy, 4294967295\n", encoding="utf-8-sig")
    assert read_intervals(truth, first) == [Interval(first + SECOND // 2, first + 2 * SECOND, "happiness", 4294967295)]
    truth.write_text("start,end,label\n1700000003,1700000004,sad\n")
    assert read_intervals(truth, first) == [Interval(first + 3 * SECOND, first + 4 * SECOND, "sadness", None)]


def test_what_is_said_of_one_face_goes_before_what_is_said_of_all():
    truth = Intervals([Interval(0, 10, "neutral", None), Interval(20, 30, "fear", None), Interval(4, 6, "anger", 2)])
    said = {
        face_id: [truth.label(stamp, SimpleNamespace(face_id=face_id)) for stamp in (-1, 0, 4, 6, 10, 20)]
        for face_id in (1, 2)
    }
    assert said[1] == [None, "neutral", "neutral", "neutral", None, "fear"]
    assert said[2] == [None, "neutral", "anger", "neutral", None, "fear"]


def test_a_spoken_label_holds_for_everybody_until_the_next():
    truth = LabelChanges([(5, "sad"), (1, "happy"), (8, ""), (9, "bored"), (10, "unknown"), (12, "bored")])
    assert [truth.label(stamp, None) for stamp in (0, 1, 4, 5, 8, 9)] == [
        None, "happiness", "happiness", "sadness", None, None,
    ]
    assert truth.ignored == {"bored": 2}


def test_a_recorded_face_is_the_one_that_shares_most_of_its_box():
    one, other = Box(0, 0, 10, 10), Box(4, 0, 10, 10)
    truth = LabelledBoxes([(7, one, "happy"), (7, other, "sad"), (8, one, "fear")])
    for left, expected in ((0, "happiness"), (1, "happiness"), (3, "sadness"), (9, None)):
        assert truth.label(7, SimpleNamespace(roi=(left, 0, 10, 10))) == expected
    assert truth.label(9, SimpleNamespace(roi=(0, 0, 10, 10))) is None
