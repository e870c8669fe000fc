"""How long it takes to recognise a face: preprocessing, embedding and the search, with nothing else around."""
from __future__ import annotations

import time
from typing import Dict

import numpy as np

from siamese_emotion_ros.evaluation.anchors import DEFAULT_K
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Recognizer

#: Side of the face that is recognised, as a robot's camera crops it at two metres [pixels].
FACE_SIDE = 96

#: Calls before the clock starts.
WARM_UP = 20


def gallery_of(model: EmbeddingModel, anchors: int) -> Gallery:
    """A gallery of that many made-up anchors in five classes: what a search costs does not depend on who they are."""
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(anchors, model.embedding_dim)).astype(np.float32)
    classes = tuple(f"class {i}" for i in range(5))
    names = tuple(f"anchor {i}" for i in range(anchors))
    return Gallery(embeddings, np.arange(anchors) % 5, classes, names, model.fingerprint, min(DEFAULT_K, anchors))


def recognize_times(recognizer: Recognizer, repeats: int) -> np.ndarray:
    """Milliseconds, float64 [repeats], that recognizing one face took, call by call."""
    random = np.random.default_rng(0)
    faces = [random.integers(0, 256, (FACE_SIDE, FACE_SIDE), dtype=np.uint8) for _ in range(8)]
    times = np.empty(repeats)
    for call in range(-WARM_UP, repeats):
        start = time.perf_counter()
        recognizer.recognize(faces[call % 8 : call % 8 + 1])
        if call >= 0:
            times[call] = time.perf_counter() - start
    return 1000.0 * times


def percentiles(times: np.ndarray) -> Dict[str, float]:
    """Median and 99th percentile of some times, under the names that reports use."""
    return {"p50": float(np.percentile(times, 50)), "p99": float(np.percentile(times, 99))}
