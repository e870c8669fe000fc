"""Recordings made by the tests themselves: pictures and labels, in every storage that rosbag2 has."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SECOND = 1_000_000_000
#: When made recordings begin, nanoseconds.
BEGIN = 1_700_000_000 * SECOND

IMAGE, COMPRESSED, STRING = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String"

EXPRESSION = """\
std_msgs/Header header
string EXPRESSION_HAPPY=happy
string expression
float32 confidence
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""


def header(stamp, frame_id="camera"):
    from siamese_emotion_ros.bags.decoding import typestore

    types = typestore().types
    time = types["builtin_interfaces/msg/Time"](sec=stamp // SECOND, nanosec=stamp % SECOND)
    return types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)


def image(picture, stamp, padding=0):
    """An Image of a BGR or gray picture, its rows padded with so many bytes of rubbish."""
    from siamese_emotion_ros.bags.decoding import typestore

    rows = picture.reshape(len(picture), -1)
    rows = np.concatenate([rows, np.full((len(rows), padding), 0xA5, np.uint8)], axis=1)
    return typestore().types[IMAGE](
        header=header(stamp), height=picture.shape[0], width=picture.shape[1],
        encoding="mono8" if picture.ndim == 2 else "bgr8", is_bigendian=0, step=rows.shape[1], data=rows.reshape(-1),
    )


def compressed(picture, stamp):
    from siamese_emotion_ros.bags.decoding import typestore

    data = cv2.imencode(".png", picture)[1].reshape(-1)
    return typestore().types[COMPRESSED](header=header(stamp), format="png", data=data)


def string(text):
    from siamese_emotion_ros.bags.decoding import typestore

    return typestore().types[STRING](data=text)


def expression(text, stamp):
    """An hri_msgs/Expression, shortened, as bytes: what a type that nobody here knows looks like."""
    raw = b"\x00\x01\x00\x00" + np.array([stamp // SECOND, stamp % SECOND], "<u4").tobytes()
    for word in ("camera", text):
        raw += b"\0" * (-(len(raw) - 4) % 4)
        raw += np.uint32(len(word) + 1).tobytes() + word.encode() + b"\0"
    raw += b"\0" * (-(len(raw) - 4) % 4)
    return raw + np.float32(0.5).tobytes()


def write_bag(path, messages, storage="sqlite3", compression="none", definitions=None):
    """Record `messages`, (topic, type, time, message or bytes) each; returns the path."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    from siamese_emotion_ros.bags.decoding import typestore

    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, time, message in messages:
            if topic not in connections:
                known = {"typestore": typestore()}
                if definitions and kind in definitions:
                    known = {"msgdef": definitions[kind], "rihs01": "RIHS01_" + "0" * 64}
                connections[topic] = writer.add_connection(topic, kind, **known)
            data = message if isinstance(message, bytes) else typestore().serialize_cdr(message, kind)
            writer.write(connections[topic], time, data)
    return path


def pictures_bag(path, pictures, rate=10.0, labels=(), topic="/camera/image_raw", make=image, **options):
    """Pictures at a rate, recorded 5 ms after their stamps, and (time in seconds, label) strings among them."""
    kind = COMPRESSED if make is compressed else IMAGE
    messages = []
    for number, picture in enumerate(pictures):
        stamp = BEGIN + round(number * SECOND / rate)
        messages.append((topic, kind, stamp + 5_000_000, make(picture, stamp)))
    messages += [("/truth", STRING, BEGIN + round(time * SECOND), string(label)) for time, label in labels]
    return write_bag(path, sorted(messages, key=lambda message: message[2]), **options)


def cut(file, share):
    """Cut a file off after a share of its bytes, as when the power goes."""
    whole = Path(file).read_bytes()
    Path(file).write_bytes(whole[: int(share * len(whole))])
