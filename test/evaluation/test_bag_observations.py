"""What is told of the images of a recording as a stream."""
import numpy as np
import pytest

from siamese_emotion_ros.evaluation.bag_observations import Observations
from siamese_emotion_ros.evaluation.bag_replay import Frame

PERIOD = 33_333_333


def figures(stamps):
    observations = Observations()
    for stamp in stamps:
        observations.add(Frame(stamp, stamp, "", np.zeros((4, 4), np.uint8), (), np.zeros((0, 2), np.float32)), None)
    return observations.stream_figures()


def test_images_that_were_recorded_out_of_order_are_none_the_fewer():
    order = [0, 1, 3, 2, 4, 5, 7, 6, 8, 9]
    found = figures([PERIOD * number for number in order])
    assert found["rate"] == pytest.approx(30, abs=0.01)
    assert (found["missing"], found["largest_gap_ms"]) == (0, pytest.approx(33.333))


def test_a_jump_back_is_no_step_between_images():
    found = figures([PERIOD * number for number in [*range(20), *range(20)]])
    assert (found["missing"], found["largest_gap_ms"]) == (0, pytest.approx(33.333))
