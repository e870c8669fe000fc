"""A small picture of a face, for recordings that are made and searched quickly."""
from __future__ import annotations

import cv2
import pytest


@pytest.fixture(scope="session")
def small_portrait(portrait):
    """A 320x240 picture of one face, uint8 BGR."""
    return cv2.resize(portrait, (320, 240), interpolation=cv2.INTER_AREA)
