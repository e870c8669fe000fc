"""Image messages in every encoding, made from the encodings' definitions."""
from array import array

import numpy as np
from sensor_msgs.msg import Image


def message_of(encoding, rows, width=16, height=12, padding=0, big_endian=False):
    """A message whose `rows` (a 2-D array of bytes, 16-bit values or floats) each end in `padding` bytes of rubbish."""
    rows = np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder(">" if big_endian else "<")))
    raw = rows.view(np.uint8).reshape(len(rows), -1)
    padded = np.concatenate([raw, np.full((len(raw), padding), 0xA5, np.uint8)], axis=1)
    return Image(
        height=height, width=width, encoding=encoding, is_bigendian=int(big_endian), step=padded.shape[1],
        data=array("B", padded.tobytes()),
    )


def flat(picture):
    return picture.reshape(len(picture), -1)


def yuv(colors):
    """Y, U and V planes by ITU-R BT.601 with video range, from the definition."""
    blue, green, red = (colors[:, :, channel].astype(np.float64) for channel in range(3))
    y = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    return tuple(np.rint(plane).astype(np.uint8) for plane in (y, u, v))


def mosaic(colors, pattern):
    """What a sensor with this pattern of its first two rows, such as rggb, sees of a picture."""
    channel = {"b": 0, "g": 1, "r": 2}
    sensor = np.empty(colors.shape[:2], np.uint8)
    for position, color in enumerate(pattern):
        row, column = divmod(position, 2)
        sensor[row::2, column::2] = colors[row::2, column::2, channel[color]]
    return sensor


def encoded(encoding, colors, grays):
    """The rows of a message that shows `colors` (or `grays`), uint8 of even size, and what is expected back."""
    y, u, v = yuv(colors)
    wide = colors.astype(np.uint16) * 257
    opaque = np.full((*grays.shape, 1), 255, np.uint8)
    if encoding.startswith("bayer_"):
        sensor = mosaic(colors, encoding[6:10])
        return (sensor if encoding.endswith("8") else sensor.astype(np.uint16) * 257), colors
    packed = np.empty((*grays.shape, 2), np.uint8)
    chroma_first = encoding in ("yuv422", "uyvy")
    packed[:, :, 1 if chroma_first else 0] = y
    packed[:, 0::2, 0 if chroma_first else 1] = u[:, 0::2]
    packed[:, 1::2, 0 if chroma_first else 1] = v[:, 0::2]
    half = {name: plane[0::2, 0::2] for name, plane in (("u", u), ("v", v))}
    pairs = {
        "nv12": np.stack((half["u"], half["v"]), axis=2), "nv21": np.stack((half["v"], half["u"]), axis=2),
        "nv24": np.stack((u, v), axis=2),
    }
    rows = {
        "bgr8": flat(colors), "8UC3": flat(colors), "rgb8": flat(colors[:, :, ::-1]),
        "bgra8": flat(np.concatenate((colors, opaque), axis=2)), "8UC4": flat(np.concatenate((colors, opaque), axis=2)),
        "rgba8": flat(np.concatenate((colors[:, :, ::-1], opaque), axis=2)),
        "bgr16": flat(wide), "16UC3": flat(wide), "rgb16": flat(wide[:, :, ::-1]),
        "bgra16": flat(np.concatenate((wide, opaque.astype(np.uint16)), axis=2)),
        "rgba16": flat(np.concatenate((wide[:, :, ::-1], opaque.astype(np.uint16)), axis=2)),
        "mono8": grays, "8UC1": grays, "mono16": grays.astype(np.uint16) * 257, "16UC1": grays.astype(np.uint16) * 257,
        "32FC1": grays.astype(np.float32) / 255,
        "yuv422": flat(packed), "uyvy": flat(packed), "yuv422_yuy2": flat(packed), "yuyv": flat(packed),
        "nv12": np.concatenate((y, pairs["nv12"].reshape(-1, grays.shape[1]))),
        "nv21": np.concatenate((y, pairs["nv21"].reshape(-1, grays.shape[1]))),
        "nv24": np.concatenate((y, pairs["nv24"].reshape(-1, grays.shape[1]))),
    }[encoding]
    return rows, grays if encoding in ("mono8", "8UC1", "mono16", "16UC1", "32FC1") else colors
