"""Text keeps to the room that it is given."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.drawing.text import draw_text, fitted, text_mask, text_width


@settings(max_examples=50)
@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30), width=st.integers(0, 300))
def test_fitted_text_fits(text, width):
    short = fitted(text, 14, width)
    assert short == "" or text_width(short, 14) <= width


def test_text_that_fits_is_left_alone_and_longer_text_keeps_its_start():
    assert fitted("happiness", 14, 500) == "happiness"
    cut = fitted("happiness", 14, text_width("happiness", 14) - 1)
    assert cut.endswith("..")
    assert "happiness".startswith(cut[:-2])


def test_of_an_endless_text_only_the_beginning_is_drawn():
    endless = "anger and " * 100_000
    assert fitted(endless, 14, 100_000).startswith("anger and anger") and fitted(endless, 14, 100_000).endswith("..")
    assert text_width(endless, 14) < 2000


def test_letters_with_descenders_and_capitals_are_whole():
    for height in (10, 14, 22, 30):
        mask = text_mask("Agy%", height)
        assert mask.shape[0] == height
        assert mask.max() > 180
        # A stroke that is cut off ends in full coverage; a whole one fades out.
        assert mask[0].max() < 130, "cut off at the top"
        assert mask[-1].max() < 130, "cut off at the bottom"


@pytest.mark.parametrize(("x", "y"), [(-30, 5), (90, 5), (10, -6), (10, 45), (-500, 0), (500, 500)])
def test_text_at_the_edge_is_cut_off_there(x, y):
    canvas = np.zeros((90, 160, 3), np.uint8)
    draw_text(canvas[20:70, 30:130], "surprise", x, y, 14, (255, 255, 255))
    canvas[20:70, 30:130] = 0
    assert not canvas.any()


def test_text_has_the_color_that_it_is_given():
    image = np.zeros((40, 200, 3), np.uint8)
    draw_text(image, "fear", 5, 5, 30, (10, 200, 100))
    assert tuple(image.reshape(-1, 3).max(axis=0)) == (10, 200, 100)
