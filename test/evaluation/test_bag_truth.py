"""Intervals that a file gives as the truth."""
from __future__ import annotations

import pytest

from siamese_emotion_ros.bags.reading import BagError
from siamese_emotion_ros.evaluation.bag_truth import read_intervals


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


def test_intervals_of_all_faces_may_not_overlap_whatever_one_face_has_between_them(tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("start,end,label,face_id\n0,10,happy,\n1,2,fear,0\n5,6,sad,\n")
    with pytest.raises(BagError, match="lines 2 and 4 overlap"):
        read_intervals(truth, 0)
    truth.write_text("start,end,label,face_id\n0,10,happy,\n1,2,fear,0\n10,11,sad,\n")
    assert [interval.face_id for interval in read_intervals(truth, 0)].count(0) == 1
