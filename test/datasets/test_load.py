from __future__ import annotations

import pytest

from siamese_emotion_ros.datasets import DATASETS, DataSetError, load


def test_unknown_data_set(tmp_path):
    with pytest.raises(DataSetError, match="unknown data set 'rafdb'.*fer2013, ckplus, kdef, folder"):
        load("rafdb", tmp_path)


@pytest.mark.parametrize("dataset", DATASETS)
def test_unknown_option_is_answered_with_the_known_ones(dataset, tmp_path):
    with pytest.raises(DataSetError, match=f"{dataset} has no option colour: it has .*progress"):
        load(dataset, tmp_path, colour=True)


def test_root_may_be_text(tmp_path, write_image):
    write_image(tmp_path / "happy" / "1.png", 1)
    assert len(load("folder", str(tmp_path))) == 1
