"""What a robot's camera does to a face, at three strengths each: for measuring, not for training."""
from __future__ import annotations

import math
from typing import Callable, Dict, NamedTuple, Tuple

import cv2
import numpy as np

#: (uint8 gray face [H, W], strength, random numbers of this face) -> uint8 [H, W].
Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


class Corruption(NamedTuple):
    """One kind of change. `strengths` grow; `unit` says what they are, `{}` stands for one of them."""

    unit: str
    strengths: Tuple[float, float, float]
    change: Change


def _warped(face: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The face under an affine map [2, 3] from new to old pixels; beyond the edge the edge is repeated."""
    height, width = face.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(face, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _about_the_middle(face: np.ndarray, linear: np.ndarray, shift: np.ndarray) -> np.ndarray:
    middle = (np.array(face.shape[::-1], float) - 1) / 2
    return _warped(face, np.column_stack([linear, middle - linear @ middle + shift]))


def _rotated(face: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    angle = math.radians(degrees) * random.choice([-1, 1])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return _about_the_middle(face, turn, np.zeros(2))


def _shifted(face: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """The box misses the face by `share` of its side, in a random direction."""
    angle = random.uniform(0, 2 * math.pi)
    shift = share * np.array([math.cos(angle) * face.shape[1], math.sin(angle) * face.shape[0]])
    return _about_the_middle(face, np.eye(2), shift)


def _too_large(face: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    return _about_the_middle(face, np.eye(2) * (1 + share), np.zeros(2))


def _too_small(face: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    return _about_the_middle(face, np.eye(2) * (1 - share), np.zeros(2))


def _turned(face: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """The middle moves by `share` of half the side and the edges stay, as on a cylinder that turns."""
    height, width = face.shape
    across = np.linspace(-1, 1, width)
    moved = across + random.choice([-1, 1]) * share * (1 - across**2)
    columns = np.broadcast_to(((moved + 1) / 2 * (width - 1)).astype(np.float32), (height, width))
    rows = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], (height, width))
    return cv2.remap(
        face, np.ascontiguousarray(columns), np.ascontiguousarray(rows), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _blurred(face: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(face, (0, 0), share * face.shape[1])


def _noisy(face: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    return _gray(face + deviation * random.standard_normal(face.shape))


def _dark(face: np.ndarray, light: float, random: np.random.Generator) -> np.ndarray:
    """Less light, and the noise of a sensor that amplifies it: deviation 3 before, in whole steps."""
    return _gray(np.rint(face * light + 3 * random.standard_normal(face.shape)))


def _overexposed(face: np.ndarray, gain: float, random: np.random.Generator) -> np.ndarray:
    return _gray(face * gain)


def _compressed(face: np.ndarray, quality: float, random: np.random.Generator) -> np.ndarray:
    coded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))


def _few_pixels(face: np.ndarray, side: float, random: np.random.Generator) -> np.ndarray:
    small = cv2.resize(face, (int(side), int(side)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, face.shape[::-1], interpolation=cv2.INTER_CUBIC)


def _behind_a_hand(face: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A rectangle of skin-like gray, `share` of the side each way, somewhere."""
    height, width = face.shape
    size = np.array([round(share * height), round(share * width)])
    top, left = (random.random(2) * (np.array(face.shape) - size)).astype(int)
    covered = face.copy()
    covered[top : top + size[0], left : left + size[1]] = np.clip(face.mean() + 20, 0, 255)
    return covered


def _masked(face: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    covered = face.copy()
    covered[round((1 - share) * face.shape[0]) :] = 200
    return covered


def _under_hair(face: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    covered = face.copy()
    covered[: round(share * face.shape[0])] = 30
    return covered


def _gray(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


CORRUPTIONS: Dict[str, Corruption] = {
    "box shifted": Corruption("{:.0%} of its side", (0.05, 0.10, 0.15), _shifted),
    "box too large": Corruption("{:.0%}", (0.05, 0.10, 0.15), _too_large),
    "box too small": Corruption("{:.0%}", (0.05, 0.10, 0.15), _too_small),
    "rotated": Corruption("{:g} degrees", (10, 20, 30), _rotated),
    "turned": Corruption("{:.0%}", (0.1, 0.2, 0.3), _turned),
    "blurred": Corruption("{:.1%} of its side", (0.015, 0.03, 0.045), _blurred),
    "noisy": Corruption("deviation {:g}", (8, 16, 24), _noisy),
    "low light": Corruption("{:.0%}", (0.5, 0.25, 0.12), _dark),
    "over-exposed": Corruption("{:g} times", (1.5, 2.0, 2.5), _overexposed),
    "JPEG": Corruption("quality {:g}", (40, 20, 10), _compressed),
    "few pixels": Corruption("{:g} a side", (32, 24, 20), _few_pixels),
    "hand": Corruption("{:.0%} of each side", (0.2, 0.3, 0.4), _behind_a_hand),
    "mask": Corruption("lower {:.0%}", (0.2, 0.3, 0.4), _masked),
    "hair": Corruption("upper {:.0%}", (0.1, 0.2, 0.3), _under_hair),
}


def corrupted(face: np.ndarray, name: str, strength: float, seed: int, row: int) -> np.ndarray:
    """Face number `row`, uint8 gray [H, W], changed as CORRUPTIONS[name] says; a pure function of its arguments."""
    random = np.random.default_rng([seed, row, list(CORRUPTIONS).index(name)])
    return CORRUPTIONS[name].change(face, strength, random)
