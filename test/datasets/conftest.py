"""Made-up images, written the way the data sets are laid out."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional, Sequence

import cv2
import numpy as np
import pytest


@pytest.fixture
def texture() -> Callable[..., np.ndarray]:
    """texture(seed, side): random gray pixels, the same for the same seed."""

    def make(seed: int, side: int = 48) -> np.ndarray:
        return np.random.RandomState(seed).randint(0, 256, (side, side)).astype(np.uint8)

    return make


@pytest.fixture
def write_image(texture) -> Callable[..., Path]:
    """write_image(path, seed, side): a random texture in the format of the path's extension."""

    def write(path: Path, seed: int, side: int = 48) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), texture(seed, side))
        return path

    return write


@pytest.fixture
def fer_row(texture) -> Callable[..., str]:
    """fer_row(seed, emotion, usage): one line of fer2013.csv."""

    def make(seed: int, emotion: int = 0, usage: str = "Training") -> str:
        return f"{emotion},{' '.join(map(str, texture(seed).ravel()))},{usage}"

    return make


@pytest.fixture
def write_fer(tmp_path) -> Callable[..., Path]:
    """write_fer(rows): a fer2013.csv of these lines under the official header."""

    def write(rows: Sequence[str], header: str = "emotion,pixels,Usage") -> Path:
        path: Path = tmp_path / "fer2013.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


@pytest.fixture
def centre_cropper() -> Callable[[np.ndarray], Optional[np.ndarray]]:
    """Stands in for a face detector: the middle 32x32 pixels, and no face in a picture that is black there."""

    def crop(image: np.ndarray) -> Optional[np.ndarray]:
        y, x = image.shape[0] // 2 - 16, image.shape[1] // 2 - 16
        face = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[y:y + 32, x:x + 32]
        return face if face.any() else None

    return crop
