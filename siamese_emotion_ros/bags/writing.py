"""Writes a copy of a recording with further messages in it: mcap, so that Foxglove and `ros2 bag` open it."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple

from siamese_emotion_ros.bags.decoding import EMOTION, typestore
from siamese_emotion_ros.bags.reading import Bag, BagError, Topic

#: Time of recording in nanoseconds, and a serialized EmotionStamped.
Timed = Tuple[int, bytes]


def write_with_results(path: Path, bag: Bag, topic: str, results: Iterable[Timed]) -> List[str]:
    """Copy every message of `bag` and add `results` (see `emotion_message`), in the order of their times, on `topic`.

    Returns what had to be left out, in sentences. BagError when `path` exists, the recording has such a topic already,
    or the disk is full. A copy that is not finished is removed.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer

    if path.exists():
        raise BagError(f"{path} exists already: choose another name, or remove it")
    if topic in bag.topics:
        raise BagError(f"{bag.path} has a topic {topic} already: choose another for the results")
    if not path.parent.is_dir():
        raise BagError(f"{path.parent}: no such folder to write {path.name} into")
    try:
        with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            left_out = []
            connections: Dict[str, Any] = {}
            for source in bag.topics.values():
                definition = _definition(source)
                if definition is None:
                    left_out.append(
                        f"{source.name} is not in {path}: {bag.path} does not say what a {source.type} consists of"
                    )
                    continue
                connections[source.name] = writer.add_connection(
                    source.name, source.type, msgdef=definition[0], rihs01=definition[1],
                    offered_qos_profiles=source.qos,
                )
            connections[topic] = writer.add_connection(topic, EMOTION, typestore=typestore())
            for name, time, data in _in_order(bag.messages(list(connections)), topic, results):
                writer.write(connections[name], time, data)
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)
        raise BagError(f"{path} cannot be written ({error.strerror}): is the disk full?") from error
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return left_out


def emotion_message(
    stamp: int, frame_id: str, face: Any, face_count: int, answer: Any, classes: Sequence[str], ids: Tuple[str, str]
) -> bytes:
    """What the node publishes for one face (of `faces.finder`), serialized.

    `ids` are model_id and gallery_id. latency is 0: how long a replay takes says nothing about the robot.
    """
    import numpy as np

    types = typestore().types
    time = types["builtin_interfaces/msg/Time"](sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)
    message = types[EMOTION](
        header=types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id),
        face_id=face.face_id,
        face_count=face_count,
        roi=types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=face.roi.x, y_offset=face.roi.y, height=face.roi.height, width=face.roi.width, do_rectify=False,
        ),
        detection_score=float(face.score),
        label=answer.label,
        confidence=float(answer.confidence),
        classes=list(classes),
        class_scores=np.asarray(answer.class_scores, np.float32),
        class_distances=np.asarray(answer.class_distances, np.float32),
        neighbor_labels=list(answer.neighbor_labels),
        neighbor_distances=np.asarray(answer.neighbor_distances, np.float32),
        neighbor_names=list(answer.neighbor_names),
        model_id=ids[0],
        gallery_id=ids[1],
        gallery_version=1,
        personal_offset=0.0,
        latency=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0),
    )
    return bytes(typestore().serialize_cdr(message, EMOTION))


def _in_order(
    messages: Iterator[Any], topic: str, results: Iterable[Timed]
) -> Iterator[Tuple[str, int, Any]]:
    """Both streams as one; a result follows the recorded messages of its own time."""
    waiting = sorted(results, key=lambda entry: entry[0])
    place = 0
    for name, time, data in messages:
        while place < len(waiting) and waiting[place][0] < time:
            yield (topic, *waiting[place])
            place += 1
        yield name, time, data
    for entry in waiting[place:]:
        yield (topic, *entry)


def _definition(topic: Topic) -> Any:
    """(text, RIHS01 hash) of a topic's type; None where neither the recording nor rosbags has it."""
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    if topic.definition:
        if topic.digest:
            return topic.definition, topic.digest
        # Only parsed, never registered: registering would run code made of what the recording says.
        store = get_typestore(Stores.EMPTY)
        separator = "=" * 80 + "\n"
        try:
            if topic.definition.startswith(separator + "IDL: "):
                for part in topic.definition.split(separator)[1:]:
                    store.fielddefs.update(get_types_from_idl(part.split("\n", 1)[1]))
            else:
                store.fielddefs.update(get_types_from_msg(topic.definition, topic.type))
            return topic.definition, store.hash_rihs01(topic.type)
        except Exception:  # a definition that rosbags cannot read is as good as none
            return None
    if topic.type in typestore().fielddefs:
        return typestore().generate_msgdef(topic.type, ros_version=2)[0], typestore().hash_rihs01(topic.type)
    return None
