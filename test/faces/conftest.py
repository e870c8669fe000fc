"""A frame with a real face, from scikit-image (NASA's portrait of Eileen Collins, public domain)."""
from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.faces.geometry import Box


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """uint8 [512, 512, 3] BGR; one face."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="session")
def portrait_face() -> Box:
    """Where that face is, forehead to chin, told by eye."""
    return Box(170, 68, 104, 120)
