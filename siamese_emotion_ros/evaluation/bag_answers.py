"""How the robot's own pipeline did while it was recorded: what it answered, how late, and what it dropped."""
from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

import numpy as np

from siamese_emotion_ros.bags.decoding import EMOTION, FACES, decode, stamp_of
from siamese_emotion_ros.bags.reading import Bag, BagError, Topic
from siamese_emotion_ros.evaluation.bag_observations import Sighting, milliseconds


def recorded_answers(
    bag: Bag, stamps: Sequence[int], sightings: Sequence[Sighting], leave_out: Optional[Topic] = None
) -> List[Any]:
    """Figures of every recorded topic of our own types but `leave_out`, JSON-ready.

    For EmotionStamped: messages, images (answered), latency_ms {p50, p99, max} as the node measured it, model_id,
    gallery_id (of the last message), and agreement: of the images in which exactly one face was seen, then and now, the
    share with the same label. For FaceCropArray: images (looked at), not_looked_at (of those in the recording), and
    images_replaced, as the node counted them. Messages that cannot be read are added to bag.damage.
    """
    once: Dict[int, List[str]] = {}
    for sighting in sightings:
        once.setdefault(sighting.stamp, []).append(sighting.label)
    single = {stamp: labels[0] for stamp, labels in once.items() if len(labels) == 1}
    figures: List[Any] = []
    for topic in bag.topics.values():
        if topic == leave_out or topic.type not in (EMOTION, FACES):
            continue
        messages = _decoded(bag, topic)  # one by one: hours of recorded crops do not fit into memory
        first = next(messages, None)
        if first is None:
            continue
        messages = chain([first], messages)
        own = _of_emotions(messages, single) if topic.type == EMOTION else _of_faces(messages, stamps)
        figures.append({"topic": topic.name, "type": topic.type, **own})
    return figures


def _decoded(bag: Bag, topic: Topic) -> Iterator[Any]:
    unreadable: Counter = Counter()
    for _, _, data in bag.messages([topic.name]):
        try:
            yield decode(topic.type, data)
        except BagError as error:  # of another version of this package, which is no reason to lose the replay
            unreadable[str(error)] += 1
    bag.damage += [f"{count} message(s) on {topic.name} left out: {reason}" for reason, count in unreadable.items()]


def _of_emotions(messages: Iterable[Any], single: Dict[int, str]) -> Dict[str, Any]:
    stamps, latencies, both = set(), [], []
    for message in messages:
        stamp = stamp_of(message)
        stamps.add(stamp)
        latencies.append(message.latency.sec * 1_000_000_000 + message.latency.nanosec)
        if message.face_count == 1 and stamp in single:
            both.append(message.label == single[stamp])
    return {
        "messages": len(latencies),
        "images": len(stamps),
        "latency_ms": milliseconds(np.array(latencies, np.int64)),
        "agreement": float(np.mean(both)) if both else None,
        "compared": len(both),
        "model_id": message.model_id,
        "gallery_id": message.gallery_id,
    }


def _of_faces(messages: Iterable[Any], stamps: Sequence[int]) -> Dict[str, Any]:
    count, seen = 0, set()
    for message in messages:
        count += 1
        seen.add(stamp_of(message))
    return {
        "messages": count,
        "images": len(seen),
        "not_looked_at": sum(stamp not in seen for stamp in stamps),
        "images_replaced": int(message.images_replaced),
    }
