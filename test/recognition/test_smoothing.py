"""A label that does not flicker."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from siamese_emotion_ros.recognition.emotions import UNKNOWN
from siamese_emotion_ros.recognition.recognizer import Recognition
from siamese_emotion_ros.recognition.smoothing import PATIENCE, FaceSmoother

CLASSES = ("anger", "happiness")


def seen(label, share=1.0):
    """A recognition of `label` with that share of the vote."""
    scores = np.zeros(2, np.float32)
    if label == UNKNOWN:
        scores[:] = 0.5
    else:
        scores[CLASSES.index(label)] = share
        scores[1 - CLASSES.index(label)] = 1 - share
    confidence = 0.0 if label == UNKNOWN else share
    return Recognition(label, confidence, scores, np.ones(2), ("anger",), np.ones(1), ("a",))


def labels(smoother, frames, face_id=1):
    return [smoother.smooth(CLASSES, [face_id], [frame])[0].label for frame in frames]


def test_window_one_passes_everything_through():
    frames = [seen("anger"), seen("happiness"), seen(UNKNOWN)]
    assert [FaceSmoother().smooth(CLASSES, [1], [frame])[0] for frame in frames] == frames


def test_a_single_odd_frame_does_not_change_the_label():
    frames = [seen("anger")] * 4 + [seen("happiness")] + [seen("anger")] * 2
    assert labels(FaceSmoother(window=5), frames) == ["anger"] * 7


def test_a_lasting_change_gets_through():
    assert labels(FaceSmoother(window=3), [seen("anger")] * 3 + [seen("happiness")] * 3)[-1] == "happiness"


def test_a_tied_vote_is_decided_as_without_smoothing():
    for label in CLASSES:
        assert labels(FaceSmoother(window=3), [seen(label, 0.5)] * 3) == [label] * 3


def test_hysteresis_holds_a_label_against_a_narrow_lead():
    frames = [seen("anger", 0.9)] + [seen("happiness", 0.55)] * 6
    assert labels(FaceSmoother(window=2), frames)[-1] == "happiness"
    assert labels(FaceSmoother(window=2, hysteresis=0.3), frames)[-1] == "anger"


def test_faces_are_smoothed_apart():
    smoother = FaceSmoother(window=3)
    for _ in range(3):
        one, two = smoother.smooth(CLASSES, [1, 2], [seen("anger"), seen("happiness")])
    assert (one.label, two.label) == ("anger", "happiness")


def test_scores_and_confidence_are_means_over_the_window():
    smoother = FaceSmoother(window=2)
    smoother.smooth(CLASSES, [1], [seen("anger", 1.0)])
    (result,) = smoother.smooth(CLASSES, [1], [seen("anger", 0.5)])
    assert result.class_scores == pytest.approx([0.75, 0.25])
    assert result.confidence == pytest.approx(0.75)


def test_unknown_needs_a_majority_of_the_window_too():
    smoother = FaceSmoother(window=3)
    assert labels(smoother, [seen("anger"), seen(UNKNOWN), seen(UNKNOWN)]) == ["anger", "anger", UNKNOWN]
    (result,) = smoother.smooth(CLASSES, [1], [seen(UNKNOWN)])
    assert result.confidence == 0.0
    assert result.class_scores.sum() == pytest.approx(1)


def test_a_face_that_stays_is_never_forgotten():
    smoother = FaceSmoother(window=9)
    for _ in range(PATIENCE + 9):
        assert labels(smoother, [seen("anger")] * 2 + [seen("happiness")]) == ["anger"] * 3


def test_a_frame_that_is_unknown_adds_nothing_to_the_scores():
    smoother = FaceSmoother(window=3)
    labels(smoother, [seen("anger", 0.9), seen("anger", 0.7)])
    (result,) = smoother.smooth(CLASSES, [1], [seen(UNKNOWN)])
    assert result.class_scores == pytest.approx([0.8, 0.2])


def test_a_lead_by_more_than_the_whole_vote_never_comes():
    assert set(labels(FaceSmoother(window=2, hysteresis=1.0), [seen("anger")] + [seen("happiness")] * 9)) == {"anger"}


def test_another_with_the_same_settings_has_seen_nobody():
    smoother = FaceSmoother(window=9, hysteresis=0.25)
    labels(smoother, [seen("anger")] * 9)
    other = smoother.afresh()
    assert (other.window, other.hysteresis) == (9, 0.25)
    assert labels(other, [seen("happiness")]) == ["happiness"]


def test_a_face_that_left_is_forgotten():
    smoother = FaceSmoother(window=9)
    labels(smoother, [seen("anger")] * 9)
    for _ in range(PATIENCE - 1):
        smoother.smooth(CLASSES, [], [])
    assert labels(smoother, [seen("happiness")]) == ["anger"], "it was away for less"
    for _ in range(PATIENCE):
        smoother.smooth(CLASSES, [], [])
    assert labels(smoother, [seen("happiness")]) == ["happiness"]


def test_what_other_classes_were_voted_for_is_forgotten():
    smoother = FaceSmoother(window=9)
    labels(smoother, [seen("anger")] * 9)
    fear = replace(seen("happiness"), label="fear")
    (result,) = smoother.smooth(("anger", "fear"), [1], [fear])
    assert (result.label, result.class_scores.tolist()) == ("fear", [0, 1])


@pytest.mark.parametrize("window, hysteresis", [(0, 0.0), (3, -0.1), (3, 1.5)])
def test_senseless_settings_are_refused(window, hysteresis):
    with pytest.raises(ValueError, match="expected"):
        FaceSmoother(window, hysteresis)
