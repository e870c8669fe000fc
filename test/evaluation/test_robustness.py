"""Corruptions do what they say and no more, and the table compares them with the faces as they are."""
from __future__ import annotations

import csv
import io
import warnings
from dataclasses import replace

import numpy as np
import pytest

from siamese_emotion_ros.datasets.splits import LeakWarning
from siamese_emotion_ros.evaluation.corruptions import CORRUPTIONS, corrupted
from siamese_emotion_ros.evaluation.robustness import CLEAN, NO_FACE, plot, robustness
from siamese_emotion_ros.evaluation.tables import as_csv
from siamese_emotion_ros.recognition.gallery import build_gallery
from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings

RAMP = np.tile(np.arange(60, 60 + 4 * 40, 4, dtype=np.uint8), (40, 1))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_a_face_again_and_grows_with_its_strength(name):
    random = np.random.default_rng(1)
    face = np.clip(RAMP + random.normal(0, 25, RAMP.shape), 0, 255).astype(np.uint8)
    before = face.copy()
    changed = [corrupted(face, name, strength, seed=0, row=5) for strength in CORRUPTIONS[name].strengths]
    assert all(each.dtype == np.uint8 and each.shape == face.shape for each in changed)
    differences = [np.abs(each.astype(int) - face).mean() for each in changed]
    assert 0 < differences[0] < differences[2]
    np.testing.assert_array_equal(face, before)
    again = corrupted(face, name, CORRUPTIONS[name].strengths[0], seed=0, row=5)
    np.testing.assert_array_equal(changed[0], again)


def test_boxes_miss_by_the_share_they_say():
    shift = corrupted(RAMP, "box shifted", 0.1, seed=0, row=0).astype(int) - RAMP
    assert 0 < abs(shift[20, 20]) <= 4 * 0.1 * 40 + 1
    for name, sign in (("box too large", 1), ("box too small", -1)):
        middle = corrupted(RAMP, name, 0.1, seed=0, row=0)[20, 10:30].astype(int)
        steps = np.diff(middle).mean() / 4
        assert steps == pytest.approx(1 + sign * 0.1, abs=0.03), "a larger box holds more of the scene"


def test_a_mask_hides_the_lower_part_and_nothing_else():
    masked = corrupted(RAMP, "mask", 0.4, seed=0, row=0)
    assert (masked[24:] == 200).all()
    np.testing.assert_array_equal(masked[:24], RAMP[:24])


def gallery_reach(model, gallery, queries):
    """The distance within which every query has an anchor, and no texture has."""
    reach = [result.neighbor_distances[0] for result in Recognizer(model, gallery).recognize(queries.faces)]
    return float(max(reach)) * 1.0001


def test_anchors_among_the_faces_are_told_of_before_anything_is_measured(model, make_faces):
    anchors = make_faces(3, seed=1)
    gallery = build_gallery(model, anchors.faces, anchors.labels, anchors.classes, anchors.names, k=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakWarning)
        with pytest.raises(LeakWarning, match="9 of the 9 faces are anchors of the gallery themselves"):
            robustness(model, gallery, Settings(), anchors)


def test_the_table_has_every_strength_and_says_what_is_lost(model, make_faces):
    anchors, queries = make_faces(4, seed=1), make_faces(1, seed=2)
    gallery = build_gallery(model, anchors.faces, anchors.labels, anchors.classes, anchors.names, k=3)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakWarning)
        rows = robustness(model, gallery, Settings(), queries, progress=lambda done, total: seen.append((done, total)))
    assert [row.corruption for row in rows] == [CLEAN] + [name for name in CORRUPTIONS for _ in range(3)] + [NO_FACE]
    assert seen[-1][0] == seen[-1][1] == 3 * len(rows)
    assert rows[0].top1 == 1.0 and rows[0].drop is None
    assert all(row.drop == pytest.approx(1.0 - row.top1) for row in rows[1:-1])
    assert any(row.drop > 0 for row in rows[1:-1]), "stripes do not survive everything"
    assert all(row.unknown == 0 for row in rows), "no threshold, nobody unknown"
    strict = robustness(model, replace(gallery, threshold=gallery_reach(model, gallery, queries)), Settings(), queries)
    assert strict[0].unknown == 0 and strict[-1].unknown == 1.0 and strict[-1].top1 is None
    table = list(csv.DictReader(io.StringIO(as_csv(rows).decode())))
    assert len(table) == len(rows)
    assert table[3]["corruption"] == "box shifted" and table[3]["strength"] == "15% of its side"
    assert plot(rows, "a title").startswith(b"\x89PNG")
