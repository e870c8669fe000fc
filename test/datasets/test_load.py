from __future__ import annotations

import pytest

from siamese_emotion_ros.datasets.face_set import DataSetError
from siamese_emotion_ros.datasets.load import DATASETS, load


def test_unknown_data_set(tmp_path):
    with pytest.raises(DataSetError, match="unknown data set 'rafdb'.*fer2013, ckplus, kdef, folder"):
        load("rafdb", tmp_path)


@pytest.mark.parametrize("dataset", DATASETS)
def test_unknown_option_is_answered_with_the_known_ones(dataset, tmp_path):
    with pytest.raises(DataSetError, match=f"{dataset} has no option colour: it has [^.]*$") as refusal:
        load(dataset, tmp_path, colour=True)
    assert "progress" not in str(refusal.value), "a function, which no text can say"


@pytest.mark.parametrize(
    "dataset, options, reason",
    [
        ("fer2013", {"min_agreement": "abc"}, "min_agreement is 'abc': expected a number"),
        ("fer2013", {"min_agreement": True}, "min_agreement is True: expected a number"),
        ("fer2013", {"keep_repeats": "maybe"}, "keep_repeats is 'maybe': expected true or false"),
        ("fer2013", {"exclude_file": 5}, "exclude_file is 5: expected text"),
        ("ckplus", {"neutral": 1}, "neutral is 1: expected true or false"),
        ("kdef", {"angles": "HL"}, "angles is 'HL': expected a list of text"),
        ("kdef", {"angles": [1]}, r"angles is \[1\]: expected a list of text"),
        ("folder", {"progress": 1}, "progress is 1: expected a function"),
        ("folder", {"root": "elsewhere"}, "folder has no option root: it has crop$"),
    ],
)
def test_an_option_of_another_type_is_refused(dataset, options, reason, tmp_path):
    with pytest.raises(DataSetError, match=reason):
        load(dataset, tmp_path, **options)


def test_root_may_be_text(tmp_path, write_image):
    write_image(tmp_path / "happy" / "1.png", 1)
    assert len(load("folder", str(tmp_path))) == 1
