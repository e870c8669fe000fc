"""Turns recorded bytes into messages: images, our own messages, and stamped labels of any type.

Only types that are known here are decoded, by the definitions installed here: a definition that comes with a recording
is read as text and never becomes code.
"""
from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Any, NamedTuple, Optional

from siamese_emotion_ros.bags.reading import Bag, BagError, Topic
from siamese_emotion_ros.shipped import PACKAGE, shipped_path

IMAGE, COMPRESSED_IMAGE, STRING = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String"
EMOTION, FACES = f"{PACKAGE}/msg/EmotionStamped", f"{PACKAGE}/msg/FaceCropArray"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)

#: Types that begin with a header and a text, also in recordings that carry no definitions.
KNOWN_LABELS = ("hri_msgs/msg/Expression",)


class Label(NamedTuple):
    """A text that holds from `stamp` (nanoseconds) on."""

    stamp: int
    text: str


@lru_cache(maxsize=1)
def typestore() -> Any:
    """rosbags' types of ROS 2, and ours as msg/ defines them."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    ours = {}
    for path in sorted(shipped_path("msg").glob("*.msg")):
        ours.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"{PACKAGE}/msg/{path.stem}"))
    if EMOTION not in ours:
        raise BagError(f"no EmotionStamped.msg in {shipped_path('msg')}: build or install the package anew")
    store.register(ours)
    return store


def decode(kind: str, data: bytes) -> Any:
    """The message of a type that is known here; BagError for bytes that are no such message."""
    from rosbags.serde import SerdeError

    try:
        return typestore().deserialize_cdr(data, kind)
    except (SerdeError, struct.error, ValueError, IndexError, AssertionError) as error:
        raise BagError(
            f"{len(data)} bytes are no {kind} as this version knows it ({error}): recorded with another version, or "
            "damaged"
        ) from error


def stamp_of(message: Any) -> int:
    """The stamp of a message with a header, in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def says_labels(topic: Topic) -> bool:
    """Whether label_of can read this topic: a std_msgs/String, or any type that begins with a Header and a string."""
    if topic.type in IMAGE_TYPES:  # a compressed image begins so, too
        return False
    return topic.type in (STRING, *KNOWN_LABELS) or _begins_with_header_and_text(topic.definition)


def label_of(topic: Topic, time: int, data: bytes) -> Label:
    """What a stamped label says; a std_msgs/String, which has no stamp, is taken to be of the `time` of recording."""
    if topic.type == STRING:
        return Label(time, decode(STRING, data).data)
    try:
        order = {0: ">", 1: "<"}[data[1]]
        sec, nanosec = struct.unpack_from(order + "iI", data, 4)
        _, position = _text(data, 12, order)
        text, _ = _text(data, position + (-position % 4), order)
    except (struct.error, KeyError, IndexError, UnicodeDecodeError) as error:
        raise BagError(f"{topic.name}: {len(data)} bytes that do not begin with a header and a text") from error
    return Label(sec * 1_000_000_000 + nanosec, text)


def choose_image_topic(bag: Bag, wanted: Optional[str]) -> Topic:
    """The topic with the camera's images: the one asked for, with or without its transport's name, or the only one.

    BagError when there is none, or when none was asked for and there are several.
    """
    images = [topic for topic in bag.topics.values() if topic.type in IMAGE_TYPES and topic.count]
    names = ", ".join(f"{topic.name} ({topic.count})" for topic in images)
    if not images:
        raise BagError(f"{bag.path} has no images: expected a topic of type {IMAGE} or {COMPRESSED_IMAGE}")
    if wanted is None and len(images) > 1:
        raise BagError(f"{bag.path} has images on {len(images)} topics: choose one of {names}")
    if wanted is None:
        return images[0]
    by_name = {topic.name: topic for topic in images}
    for name in (wanted, "/" + wanted, wanted + "/compressed", f"/{wanted}/compressed"):
        if name in by_name:
            return by_name[name]
    raise BagError(f"{bag.path} has no images on {wanted}: choose one of {names}")


def _text(data: bytes, position: int, order: str) -> Any:
    """A CDR string and the position behind it; alignment counts from behind the four bytes of the encapsulation."""
    (length,) = struct.unpack_from(order + "I", data, position)
    raw = data[position + 4 : position + 4 + length]
    if len(raw) < length:
        raise struct.error("a text is cut off")
    return raw.rstrip(b"\0").decode("utf-8"), position + 4 + length


def _begins_with_header_and_text(definition: str) -> bool:
    lines = (line.split("#")[0].strip() for line in definition.split("=" * 20)[0].splitlines())
    fields = [line for line in lines if line and not re.fullmatch(r"\S+\s+[A-Z0-9_]+\s*=.*", line)]
    return (
        len(fields) >= 2
        and re.fullmatch(r"(std_msgs/(msg/)?)?Header\s+\w+", fields[0]) is not None
        and re.fullmatch(r"string(<=\d+)?\s+\w+", fields[1]) is not None
    )
