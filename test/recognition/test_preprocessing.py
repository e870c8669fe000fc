"""What the network gets to see of a face."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.recognition.preprocessing import preprocess, to_gray


@settings(max_examples=30)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["unit", "standardize"]), st.integers(0, 100))
def test_any_face_becomes_a_finite_square(height, width, scaling, seed):
    face = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    result = preprocess([face], 48, scaling)
    assert result.shape == (1, 1, 48, 48) and result.dtype == np.float32
    assert np.isfinite(result).all()


def test_resize_is_bicubic_and_unit_is_grey_over_255():
    face = np.random.default_rng(0).integers(0, 256, (60, 70), dtype=np.uint8)
    expected = cv2.resize(face, (48, 48), interpolation=cv2.INTER_CUBIC) / 255
    np.testing.assert_allclose(preprocess([face], 48, "unit")[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("side", [128, 180, 800])
def test_a_large_face_is_averaged_not_sampled(side):
    stripes = np.zeros((side, side), np.uint8)
    stripes[::2] = 255
    assert preprocess([stripes], 48, "unit") == pytest.approx(0.5, abs=0.1)


def test_standardized_faces_do_not_depend_on_light():
    face = np.random.default_rng(0).integers(60, 120, (48, 48)).astype(np.uint8)
    brighter = (face * 2 + 10).astype(np.uint8)
    bright, dark = preprocess([brighter, face], 48, "standardize")
    np.testing.assert_allclose(bright, dark, atol=1e-5)
    assert bright.mean() == pytest.approx(0, abs=1e-5) and bright.std() == pytest.approx(1, abs=1e-4)


def test_a_blank_face_stays_blank():
    assert not preprocess([np.full((48, 48), 77, np.uint8)], 48, "standardize").any()


def test_colour_becomes_gray_and_gray_is_not_copied():
    colour = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_gray(colour), cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))
    gray = to_gray(colour)
    assert to_gray(gray) is gray and np.shares_memory(to_gray(gray[:, :, None]), gray)


@pytest.mark.parametrize(
    "face", [np.zeros((0, 5), np.uint8), np.zeros((5, 5), np.float32), np.zeros((5, 5, 4), np.uint8)]
)
def test_what_is_no_face_image_is_refused(face):
    with pytest.raises(ValueError, match=r"expected .*\[H, W\]"):
        preprocess([face], 48, "unit")


def test_an_unknown_scaling_is_refused():
    with pytest.raises(ValueError, match="unknown scaling 'log': expected one of unit, standardize"):
        preprocess([], 48, "log")
