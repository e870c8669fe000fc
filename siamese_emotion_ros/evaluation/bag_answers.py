"""How the robot's own pipeline did while it was recorded: what it answered, how late, and what it dropped."""
from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np

from siamese_emotion_ros.bags.decoding import EMOTION, FACES, decode, stamp_of
from siamese_emotion_ros.bags.reading import Bag
from siamese_emotion_ros.evaluation.bag_observations import Sighting, milliseconds


def recorded_answers(bag: Bag, stamps: Sequence[int], sightings: Sequence[Sighting], leave_out: str = "") -> List[Any]:
    """Figures of every recorded topic of our own types but `leave_out`, JSON-ready.

    For EmotionStamped: messages, images (answered), latency_ms {p50, p99, max} as the node measured it, model_id,
    gallery_id (of the last message), and agreement: of the images in which exactly one face was seen, then and now, the
    share with the same label. For FaceCropArray: images (looked at), not_looked_at (of those in the recording), and
    images_replaced, as the node counted them.
    """
    once: Dict[int, List[str]] = {}
    for sighting in sightings:
        once.setdefault(sighting.stamp, []).append(sighting.label)
    single = {stamp: labels[0] for stamp, labels in once.items() if len(labels) == 1}
    figures: List[Any] = []
    for topic in bag.topics.values():
        if topic.name == leave_out or topic.type not in (EMOTION, FACES):
            continue
        messages = [decode(topic.type, data) for _, _, data in bag.messages([topic.name])]
        if not messages:
            continue
        own = _of_emotions(messages, single) if topic.type == EMOTION else _of_faces(messages, stamps)
        figures.append({"topic": topic.name, "type": topic.type, "messages": len(messages), **own})
    return figures


def _of_emotions(messages: Sequence[Any], single: Dict[int, str]) -> Dict[str, Any]:
    latencies = [message.latency.sec * 1_000_000_000 + message.latency.nanosec for message in messages]
    both = [
        message.label == single[stamp_of(message)]
        for message in messages if message.face_count == 1 and stamp_of(message) in single
    ]
    return {
        "images": len({stamp_of(message) for message in messages}),
        "latency_ms": milliseconds(np.array(latencies, np.int64)),
        "agreement": float(np.mean(both)) if both else None,
        "compared": len(both),
        "model_id": messages[-1].model_id,
        "gallery_id": messages[-1].gallery_id,
    }


def _of_faces(messages: Sequence[Any], stamps: Sequence[int]) -> Dict[str, Any]:
    seen = {stamp_of(message) for message in messages}
    return {
        "images": len(seen),
        "not_looked_at": sum(stamp not in seen for stamp in stamps),
        "images_replaced": int(messages[-1].images_replaced),
    }
