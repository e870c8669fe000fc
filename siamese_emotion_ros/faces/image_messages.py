"""The pixels of image messages, whoever delivers them: a node, a bag.

Converted with numpy and OpenCV rather than with cv_bridge: the cv_bridge of PyPI ignores row padding and knows no YUV,
the one of a robot copies where a view will do, and neither checks what a message promises.
"""
from __future__ import annotations

import struct
from typing import Any, Callable, Dict, Optional, Tuple

import cv2
import numpy as np

from .cropping import MAX_FRAME_SIDE


class ImageError(ValueError):
    """An image message that cannot be read; the message says what it was and what was expected."""


def frame_from_message(message: Any) -> Tuple[np.ndarray, bool]:
    """As image_from_message, but rgb8 is a view too; True: the order of its colours is RGB."""
    if getattr(message, "encoding", "") == "rgb8":
        return _decode_packed(message, 3, 1, _as_is), True
    return image_from_message(message), False


def image_from_message(message: Any) -> np.ndarray:
    """The picture of an Image or CompressedImage: uint8 [H, W, 3] BGR, or [H, W] where the camera is monochrome.

    `message` is of rclpy, of rosbags or of anyone with the fields of sensor_msgs; data is any buffer of bytes.

    bgr8 and mono8 come back as a view of the message's own memory, not to be written into; every other encoding is
    converted once. ImageError for an image that is empty, too large, shorter than it says, of an encoding
    that is not known, truncated, or not a number.
    """
    return _decode(message) if hasattr(message, "encoding") else _decompress(message)


def _decode(message: Any) -> np.ndarray:
    if message.encoding in _PACKED:
        return _decode_packed(message, *_PACKED[message.encoding])
    if message.encoding in _PLANAR:
        return _decode_planar(message, *_PLANAR[message.encoding])
    raise ImageError(f"unknown encoding {message.encoding[:40]!r}: expected one of {', '.join(ENCODINGS)}")


def _decode_packed(
    message: Any, channels: int, depth: int, decode: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """An image in one plane of rows with `channels` values of `depth` bytes for each pixel."""
    width, height, step = message.width, message.height, message.step
    check_size(width, height)
    _check_step(message, width * channels * depth)
    data = np.frombuffer(message.data, np.uint8)
    _check_data(message, len(data), step * height)
    kind = np.dtype({1: "u1", 2: "u2", 4: "f4"}[depth]).newbyteorder(">" if message.is_bigendian else "<")
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels: np.ndarray = np.ndarray(shape, kind, data, strides=(step, channels * depth, depth)[: len(shape)])
    if not pixels.flags.aligned:  # rows of an odd number of bytes: OpenCV reads no value across its own boundary
        pixels = pixels.copy()
    return decode(pixels.astype(kind.newbyteorder("="), copy=False))


def _decode_planar(
    message: Any,
    chroma_of: Callable[[int, int], Tuple[int, int]],
    decode: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """An image in a plane of Y and a plane of U and V in turn, (rows, pairs) = chroma_of(height, width) of them."""
    width, height, step = message.width, message.height, message.step
    check_size(width, height)
    rows, pairs = chroma_of(height, width)
    data = np.frombuffer(message.data, np.uint8)
    # Drivers disagree on what a step means for two planes; data of exactly two unpadded planes leaves one reading.
    if len(data) == width * height + 2 * rows * pairs:
        step = width
    else:
        _check_step(message, width)
    chroma_step = step if 2 * pairs == width else 2 * step
    _check_data(message, len(data), step * height + chroma_step * rows)
    luma: np.ndarray = np.ndarray((height, width), np.uint8, data, strides=(step, 1))
    chroma: np.ndarray = np.ndarray((rows, pairs, 2), np.uint8, data, offset=step * height, strides=(chroma_step, 2, 1))
    return decode(luma, chroma)


def _check_step(message: Any, line: int) -> None:
    if message.step < line:
        raise ImageError(
            f"step is {message.step} bytes: a row of {message.width} pixels of {message.encoding} takes {line}"
        )


def _check_data(message: Any, found: int, needed: int) -> None:
    if found < needed:
        raise ImageError(
            f"{found} bytes of data: {message.width}x{message.height} {message.encoding} in rows of "
            f"{message.step} bytes takes {needed}"
        )


def check_size(width: int, height: int) -> None:
    """ImageError unless both are 1 to MAX_FRAME_SIDE pixels."""
    if width < 1 or height < 1:
        raise ImageError(f"the image is {width}x{height}: expected at least one pixel")
    # Before anything is allocated for it: a few bytes of PNG can promise any size.
    if width > MAX_FRAME_SIDE or height > MAX_FRAME_SIDE:
        raise ImageError(f"the image is {width}x{height}: expected sides of at most {MAX_FRAME_SIDE} pixels")


def _as_is(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _convert(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    """uint16 as uint8, 65535 becoming 255 (as cv_bridge scales mono16)."""
    return cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0)


def _convert_16(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(_eight_bits(pixels), code)


def _from_float(pixels: np.ndarray) -> np.ndarray:
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError("the 32FC1 image holds NaN or infinity: expected grey values from 0 to 1")
    if low < 0.0 or high > 1.0:
        raise ImageError(f"the 32FC1 image holds values from {low:g} to {high:g}: expected grey values from 0 to 1")
    return cv2.convertScaleAbs(pixels, alpha=255.0)


def _packed_422(code: int) -> Callable[[np.ndarray], np.ndarray]:
    def decode(pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[1] % 2:
            raise ImageError(f"the image is {pixels.shape[1]} pixels wide: yuv422 needs an even width")
        return cv2.cvtColor(pixels, code)

    return decode


def _half(height: int, width: int) -> Tuple[int, int]:
    if width % 2 or height % 2:
        raise ImageError(f"the image is {width}x{height}: nv12 and nv21 need an even width and height")
    return height // 2, width // 2


def _full(height: int, width: int) -> Tuple[int, int]:
    return height, width


def _planar_420(code: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda luma, chroma: cv2.cvtColorTwoPlane(luma, chroma, code)


def _planar_444(luma: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """BT.601 with Y from 16 to 235, as OpenCV reads the other YUV encodings; it has no code for nv24 itself."""
    y = 1.164 * (luma.astype(np.float32) - 16.0)
    u, v = chroma[..., 0].astype(np.float32) - 128.0, chroma[..., 1].astype(np.float32) - 128.0
    bgr = np.stack((y + 2.018 * u, y - 0.391 * u - 0.813 * v, y + 1.596 * v), axis=2)
    return np.clip(np.rint(bgr), 0, 255).astype(np.uint8)


# OpenCV names a Bayer pattern by its second row from the second column, ROS by its first row.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2BGR, "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR, "grbg": cv2.COLOR_BayerGB2BGR,
}

#: encoding -> values for each pixel, bytes for each value, decoder of the pixels
_PACKED: Dict[str, Tuple[int, int, Callable[[np.ndarray], np.ndarray]]] = {
    "bgr8": (3, 1, _as_is),
    "8UC3": (3, 1, _as_is),
    "mono8": (1, 1, _as_is),
    "8UC1": (1, 1, _as_is),
    "rgb8": (3, 1, _convert(cv2.COLOR_RGB2BGR)),
    "bgra8": (4, 1, _convert(cv2.COLOR_BGRA2BGR)),
    "8UC4": (4, 1, _convert(cv2.COLOR_BGRA2BGR)),
    "rgba8": (4, 1, _convert(cv2.COLOR_RGBA2BGR)),
    "mono16": (1, 2, _eight_bits),
    "16UC1": (1, 2, _eight_bits),
    "bgr16": (3, 2, _eight_bits),
    "16UC3": (3, 2, _eight_bits),
    "rgb16": (3, 2, _convert_16(cv2.COLOR_RGB2BGR)),
    "bgra16": (4, 2, _convert_16(cv2.COLOR_BGRA2BGR)),
    "rgba16": (4, 2, _convert_16(cv2.COLOR_RGBA2BGR)),
    "32FC1": (1, 4, _from_float),
    "yuv422": (2, 1, _packed_422(cv2.COLOR_YUV2BGR_UYVY)),
    "uyvy": (2, 1, _packed_422(cv2.COLOR_YUV2BGR_UYVY)),
    "yuv422_yuy2": (2, 1, _packed_422(cv2.COLOR_YUV2BGR_YUY2)),
    "yuyv": (2, 1, _packed_422(cv2.COLOR_YUV2BGR_YUY2)),
}
_PACKED.update({f"bayer_{name}8": (1, 1, _convert(code)) for name, code in _BAYER.items()})
_PACKED.update({f"bayer_{name}16": (1, 2, _convert_16(code)) for name, code in _BAYER.items()})

_PLANAR: Dict[str, Tuple[Callable[[int, int], Tuple[int, int]], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "nv12": (_half, _planar_420(cv2.COLOR_YUV2BGR_NV12)),
    "nv21": (_half, _planar_420(cv2.COLOR_YUV2BGR_NV21)),
    "nv24": (_full, _planar_444),
}

#: Every encoding of sensor_msgs/Image that image_from_message reads.
ENCODINGS: Tuple[str, ...] = tuple(sorted(_PACKED)) + tuple(sorted(_PLANAR))


def drawable(image: np.ndarray, copy: Optional[np.ndarray] = None) -> np.ndarray:
    """A BGR copy, uint8 [H, W, 3], of an image [H, W] or [H, W, 3], to be drawn on; made in `copy` if given."""
    if copy is None:
        copy = np.empty((*image.shape[:2], 3), np.uint8)
    if image.ndim == 2:
        cv2.cvtColor(image, cv2.COLOR_GRAY2BGR, dst=copy)
    else:
        np.copyto(copy, image)
    return copy


# --- compressed images ---


def _decompress(message: Any) -> np.ndarray:
    if "compressedDepth" in message.format:
        raise ImageError(f"format is {message.format[:60]!r}: a depth image shows no faces; expected jpeg or png")
    data = bytes(message.data)
    if not checked(data):
        raise ImageError(
            f"{len(data)} bytes of format {message.format[:60]!r} that begin with {data[:4].hex() or 'nothing'}: "
            "expected a jpeg or png image"
        )
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    if image is None:
        raise ImageError(f"{len(data)} bytes of {message.format[:60]!r} that OpenCV cannot decode: the data is damaged")
    return image


def checked(data: bytes) -> bool:
    """True for a whole JPEG or PNG of a size that we take, False for anything else; nothing is decoded for it.

    ImageError for one that is cut off, or too large: 31 KB of PNG, once decoded, can take 1.5 GB.
    """
    if data.startswith(b"\xff\xd8"):
        check_size(*_jpeg_size(data))
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        check_size(*_png_size(data))
    else:
        return False
    return True


def _jpeg_size(data: bytes) -> Tuple[int, int]:
    """Width and height of a whole JPEG; ImageError for a truncated one, whose lower part OpenCV would paint grey."""
    position, size = 2, None
    while position + 4 <= len(data):
        marker, length = data[position + 1], struct.unpack_from(">H", data, position + 2)[0]
        if data[position] != 0xFF:
            break
        if marker == 0xFF or 0xD0 <= marker <= 0xD7:  # fill bytes and restart markers carry no length
            position += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and position + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = width, height
        if marker == 0xDA and size:  # the picture itself; inside it FF D9 can only be its end
            if data.find(b"\xff\xd9", position + 2 + length) < 0:
                raise ImageError(f"{len(data)} bytes of JPEG without an end: the image is truncated")
            return size
        position += 2 + length
    raise ImageError(f"{len(data)} bytes of JPEG without a picture: the image is truncated or damaged")


def _png_size(data: bytes) -> Tuple[int, int]:
    if len(data) < 24 or data.rfind(b"IEND") < 0:
        raise ImageError(f"{len(data)} bytes of PNG without an end: the image is truncated")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height
