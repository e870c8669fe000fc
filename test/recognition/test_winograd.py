"""Minimal filtering gives what the definition of a convolution gives."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from siamese_emotion_ros.recognition.winograd import POINTS, WinogradPooledConvolution, winograd_matrices


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 3]))
def test_the_matrices_give_the_correlation(seed, outputs):
    taps_matrix, outputs_matrix, data_matrix = winograd_matrices(outputs, POINTS)
    random = np.random.default_rng(seed)
    data, taps = random.normal(size=8), random.normal(size=8 - outputs + 1)
    result = outputs_matrix @ ((taps_matrix @ taps) * (data_matrix @ data))
    np.testing.assert_allclose(result, np.correlate(data, taps, "valid"), atol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 100), st.integers(1, 3), st.integers(8, 21), st.integers(8, 21), st.booleans())
def test_convolution_and_pool_of_any_size(seed, batch, height, width, bias):
    torch.manual_seed(seed)
    convolution = nn.Conv2d(5, 6, 7, bias=bias)
    values = torch.randn(batch, 5, height, width)
    with torch.no_grad():
        expected = functional.max_pool2d(convolution(values), 2)
        torch.testing.assert_close(WinogradPooledConvolution(convolution)(values), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "convolution", [nn.Conv2d(1, 1, 5), nn.Conv2d(1, 1, 7, stride=2), nn.Conv2d(1, 1, 7, padding=3)]
)
def test_another_convolution_is_refused(convolution):
    with pytest.raises(ValueError, match="expected a valid 7x7 convolution"):
        WinogradPooledConvolution(convolution)
