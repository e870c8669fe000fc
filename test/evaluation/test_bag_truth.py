"""Intervals that a file gives as the truth."""
from __future__ import annotations

import pytest

from siamese_emotion_ros.bags.reading import BagError
from siamese_emotion_ros.evaluation.bag_truth import read_intervals


@pytest.mark.parametrize(("text", "reason"), [
    ("start,end,label\n0,1e300,sad\n", "line 2: end is '1e300': expected seconds"),
    ("x" * 200000 + "\n", "no CSV .field larger than field limit"),
    ("x" * 100000 + "\n", "its first line is 'x{80}': expected start,end,label"),
])
def test_what_is_too_large_is_refused_in_a_line(tmp_path, text, reason):
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(BagError, match=reason):
        read_intervals(tmp_path / "truth.csv", 0)
