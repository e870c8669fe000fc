"""Random changes of training faces, batch by batch, on the device that holds them."""
from __future__ import annotations

import functools
import math
from typing import Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from siamese_emotion_ros.training.config import AugmentationConfig


def generator_for(device: torch.device, *numbers: int) -> torch.Generator:
    """A random generator on `device` that is a pure function of `numbers`, such as (seed, epoch, step, rank)."""
    generator = torch.Generator(device=device)
    state = np.random.SeedSequence(numbers).generate_state(2, np.uint32)
    generator.manual_seed(int(state[0]) << 31 ^ int(state[1]))
    return generator


class Augmentation:
    """Changes a batch of faces as an AugmentationConfig says; every face draws its own numbers."""

    def __init__(self, config: AugmentationConfig) -> None:
        self._config = config

    def __call__(self, faces: Tensor, generator: torch.Generator) -> Tensor:
        """Changed copies of `faces` [N, 1, H, W] (uint8, or float in 0..255), float32 in 0..255."""
        faces = faces.float()
        config = self._config
        if config.flip or config.rotation or config.scale or config.translation or config.turn:
            faces = self._move(faces, generator)
        moved = faces
        if config.low_resolution:
            faces = self._lower_resolution(faces, generator)
        if config.blur:
            faces = _smoothed(faces, config.blur * _uniform(faces, generator), max(1, math.ceil(2 * config.blur)))
        if config.sharpen:
            amount = config.sharpen * _uniform(faces, generator)
            faces = faces + amount * (faces - _smoothed(faces, torch.ones_like(amount), 2))
        if config.gamma or config.contrast or config.brightness:
            faces = self._relight(faces, generator)
        if config.exposure:
            faces = (faces * torch.exp2(config.exposure * _signed(faces, generator))).clamp(0, 255)
        if config.noise:
            deviation = 255 * config.noise * _uniform(faces, generator)
            faces = faces + deviation * _normal(faces, generator)
        if config.cutout:
            faces = self._cut_out(faces, generator)
        if config.mask:
            faces = self._mask(faces, generator)
        faces = faces.clamp(0, 255)
        if config.jpeg:
            wanted = _uniform(faces, generator) < config.jpeg
            faces = torch.where(wanted, compress(faces, 10 + 50 * _uniform(faces, generator)), faces)
        if config.untouched:
            faces = torch.where(_uniform(faces, generator) < config.untouched, moved, faces)
        return faces

    def _move(self, faces: Tensor, generator: torch.Generator) -> Tensor:
        """Flip, rotation, scale, shift and turn in one bilinear resampling; beyond the edge the edge is repeated."""
        config = self._config
        angle = math.radians(config.rotation) * _signed(faces, generator)
        scale = 1 + config.scale * _signed(faces, generator)
        shift = 2 * config.translation * torch.cat([_signed(faces, generator), _signed(faces, generator)], dim=2)
        mirror = torch.where(_uniform(faces, generator) < config.flip, -1.0, 1.0)
        cosine, sine = angle.cos() * scale, angle.sin() * scale
        rows = torch.cat([cosine * mirror, -sine, sine * mirror, cosine], dim=2).reshape(-1, 2, 2)
        theta = torch.cat([rows, shift.reshape(-1, 2, 1)], dim=2)
        grid = F.affine_grid(theta, list(faces.shape), align_corners=False)
        if config.turn:
            # As a cylinder that turns: its middle moves, its edges stay.
            across = grid[..., :1]
            shift = config.turn * _signed(faces, generator) * (1 - across.square()).clamp_min(0)
            grid = torch.cat([across + shift, grid[..., 1:]], dim=3)
        return F.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _lower_resolution(self, faces: Tensor, generator: torch.Generator) -> Tensor:
        """A half or a quarter of the resolution, as a face far from the camera has."""
        wanted = _uniform(faces, generator)
        for factor, share in ((2, 1.0), (4, 0.5)):
            small = F.interpolate(faces, scale_factor=1 / factor, mode="area")
            coarse = F.interpolate(small, size=list(faces.shape[2:]), mode="bilinear", align_corners=False)
            faces = torch.where(wanted < share * self._config.low_resolution, coarse, faces)
        return faces

    def _relight(self, faces: Tensor, generator: torch.Generator) -> Tensor:
        config = self._config
        gamma = torch.exp2(config.gamma * _signed(faces, generator))
        contrast = 1 + config.contrast * _signed(faces, generator)
        brightness = 255 * config.brightness * _signed(faces, generator)
        faces = 255 * (faces / 255).clamp(0, 1).pow(gamma)
        middle = faces.mean(dim=(2, 3), keepdim=True)
        return (faces - middle) * contrast + middle + brightness

    def _cut_out(self, faces: Tensor, generator: torch.Generator) -> Tensor:
        """Cover a rectangle of up to half of each side with one grey, as a hand, a mask or a strand of hair would."""
        height, width = faces.shape[2:]
        inside = _between(faces, generator, height).transpose(2, 3) & _between(faces, generator, width)
        return self._covered(faces, inside & (_uniform(faces, generator) < self._config.cutout), generator)

    def _mask(self, faces: Tensor, generator: torch.Generator) -> Tensor:
        """Cover up to 45 % of a face from below, or up to 35 % from above, with one grey."""
        height = faces.shape[2]
        position = torch.arange(height, device=faces.device).reshape(1, 1, height, 1) + 0.5
        below, share = _uniform(faces, generator) < 0.5, _uniform(faces, generator)
        inside = torch.where(below, position > height * (1 - 0.45 * share), position < height * 0.35 * share)
        return self._covered(faces, inside & (_uniform(faces, generator) < self._config.mask), generator)

    @staticmethod
    def _covered(faces: Tensor, where: Tensor, generator: torch.Generator) -> Tensor:
        grey = faces.mean(dim=(2, 3), keepdim=True) + 100 * _signed(faces, generator)
        return torch.where(where, grey, faces)


def mix(faces: Tensor, targets: Tensor, share: float, generator: torch.Generator) -> Tuple[Tensor, Tensor]:
    """A `share` of `faces` [N, 1, H, W] blended with others of the batch, and of `targets` [N, C] as the faces are.

    "mixup" (Zhang et al. 2018) with weights that are even over 0..1; a face keeps at least half of itself.
    """
    others = torch.randperm(len(faces), device=faces.device, generator=generator)
    wanted = _uniform(faces, generator) < share
    weights = torch.where(wanted, 0.5 * _uniform(faces, generator), 0.0)
    return torch.lerp(faces, faces[others], weights), torch.lerp(targets, targets[others], weights[:, :, 0, 0])


#: The luminance quantisation of JPEG (ITU-T T.81, table K.1), which quality 50 uses as it is.
JPEG_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)


def compress(faces: Tensor, quality: Tensor) -> Tensor:
    """What JPEG of `quality` (1..100, broadcast over [N, 1, 1, 1]) leaves of gray faces [N, 1, H, W] in 0..255.

    The discrete cosine transform of 8x8 blocks, quantised and taken back, on the device of the faces; a last block that
    is not whole is filled by repeating the edge.
    """
    height, width = faces.shape[2:]
    padded = F.pad(faces, [0, -width % 8, 0, -height % 8], mode="replicate")
    cosines, table = _jpeg_tables(faces.device)
    # The scaling of the tables that libjpeg made common.
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    steps = (table * percent.reshape(-1, 1, 1, 1, 1) / 100).add(0.5).floor().clamp(1, 255)
    rows, columns = padded.shape[2] // 8, padded.shape[3] // 8
    blocks = padded.reshape(-1, rows, 8, columns, 8).transpose(2, 3) - 128
    levels = (cosines @ blocks @ cosines.T / steps).round()
    restored = cosines.T @ (levels * steps) @ cosines + 128
    return restored.transpose(2, 3).reshape(padded.shape)[:, :, :height, :width].clamp(0, 255)


@functools.lru_cache(maxsize=None)
def _jpeg_tables(device: torch.device) -> Tuple[Tensor, Tensor]:
    """The cosines of the transform and JPEG_LUMINANCE, float32 [8, 8] on `device`.

    Made once: a GPU that is sent numbers in the middle of a step first has to finish everything before them.
    """
    position = torch.arange(8, dtype=torch.float32)
    cosines = torch.cos((2 * position + 1) * position[:, None] * math.pi / 16) / 2
    cosines[0] /= math.sqrt(2)
    table = torch.tensor(JPEG_LUMINANCE, dtype=torch.float32).reshape(8, 8)
    return cosines.to(device), table.to(device)


def _smoothed(faces: Tensor, deviation: Tensor, radius: int) -> Tensor:
    """`faces` under a Gaussian of each face's own deviation [N, 1, 1, 1], in pixels, cut off at `radius`."""
    offsets = torch.arange(-radius, radius + 1, device=faces.device, dtype=faces.dtype)
    kernels = torch.softmax(-offsets.pow(2) / (2 * deviation[:, 0].clamp_min(1e-3).pow(2)), dim=2)
    # One kernel per face: faces become channels of one grouped convolution.
    padded = F.pad(faces, [radius] * 4, mode="replicate").transpose(0, 1)
    across = F.conv2d(padded, kernels[:, :, None, :].reshape(-1, 1, 1, len(offsets)), groups=len(faces))
    down = F.conv2d(across, kernels.reshape(-1, 1, len(offsets), 1), groups=len(faces))
    return down.transpose(0, 1)


def _uniform(faces: Tensor, generator: torch.Generator) -> Tensor:
    """A number in 0..1 for each face, as [N, 1, 1, 1]."""
    return torch.rand(len(faces), 1, 1, 1, device=faces.device, generator=generator)


def _signed(faces: Tensor, generator: torch.Generator) -> Tensor:
    """A number in -1..1 for each face, as [N, 1, 1, 1]."""
    return 2 * _uniform(faces, generator) - 1


def _normal(faces: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(faces.shape, device=faces.device, generator=generator)


def _between(faces: Tensor, generator: torch.Generator, side: int) -> Tensor:
    """Which of `side` positions lie in a random interval of at most half of them, as bool [N, 1, 1, side]."""
    length = side * (0.1 + 0.4 * _uniform(faces, generator))
    start = (side - length) * _uniform(faces, generator)
    position = torch.arange(side, device=faces.device) + 0.5
    return (position >= start) & (position < start + length)
