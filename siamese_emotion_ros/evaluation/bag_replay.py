"""Replays recorded images through what the nodes call for each: find faces, embed them, recognise the embeddings.

These are FaceFinder.find, EmbeddingModel.embed and Recognizer.recognize_embeddings.
"""
from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, NamedTuple, Tuple

import numpy as np

from siamese_emotion_ros.bags.decoding import decode, stamp_of
from siamese_emotion_ros.bags.reading import Bag, BagError, Topic
from siamese_emotion_ros.faces.continuity import Continuity
from siamese_emotion_ros.faces.finder import Face, FaceFinder
from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.recognition.recognizer import Recognition, Recognizer

#: How many frames each step prepares before they are asked for: enough to keep the cores busy, in little memory.
AHEAD = 4


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a recording and what was seen in it.

    stamp, recorded: of the image's header and of its recording, nanoseconds. image: uint8 [H, W, 3] BGR or [H, W], not
    to be written into. faces: each with its answer, in the order of their ids. embeddings: float32 [F, D] of them.
    """

    stamp: int
    recorded: int
    frame_id: str
    image: np.ndarray
    faces: Tuple[Tuple[Face, Recognition], ...]
    embeddings: np.ndarray


class SearchedImage(NamedTuple):
    """One image of a recording and the faces in it; the fields are those of Frame."""

    stamp: int
    recorded: int
    frame_id: str
    image: np.ndarray
    faces: List[Face]


class Search:
    """Goes through the images of a topic in the order of their recording, and finds the faces as the node does.

    unreadable: how many images were left out, by reason. jumps_back: how often time jumped back; tracking starts again
    there and after a pause, as it does in the node.
    """

    def __init__(self, bag: Bag, topic: Topic, finder: FaceFinder) -> None:
        self._bag = bag
        self._topic = topic
        self._finder = finder
        self.unreadable: Counter = Counter()
        self.jumps_back = 0

    def images(self) -> Iterator[SearchedImage]:
        """Every readable image with its faces; reading has a thread of its own."""
        continuity = Continuity()
        for stamp, recorded, frame_id, image in ahead(self._decoded):
            broken = continuity.broken(stamp)
            if broken is not None:
                self.jumps_back += broken.seconds < 0
                self._finder.reset()
            yield SearchedImage(stamp, recorded, frame_id, image, self._finder.find(image))

    def _decoded(self) -> Iterator[Tuple[int, int, str, np.ndarray]]:
        for _, recorded, data in self._bag.messages([self._topic.name]):
            try:
                message = decode(self._topic.type, data)
                image = image_from_message(message)
            except ValueError as error:  # one broken image is no reason to stop
                self.unreadable[str(error)] += 1
                continue
            yield stamp_of(message), recorded, message.header.frame_id, image


class Replay:
    """Goes through the images of a topic, finds the faces and recognises them.

    Reading, searching and recognising have a thread each, so that a frame is searched while the one before is
    recognised; numpy, OpenCV, the detectors and the networks work without Python's lock. Each step takes the frames in
    their order, so that the answers do not depend on how the threads run.
    """

    def __init__(self, bag: Bag, topic: Topic, finder: FaceFinder, recognizer: Recognizer) -> None:
        #: Knows what was left out, and how often time jumped back.
        self.search = Search(bag, topic, finder)
        self._recognizer = recognizer

    def frames(self) -> Iterator[Frame]:
        """Every readable image with its faces and their answers."""
        return ahead(self._recognized)

    def _recognized(self) -> Iterator[Frame]:
        for stamp, recorded, frame_id, image, faces in ahead(self.search.images):
            # In two steps, as in the node, since the report needs the embeddings too.
            embeddings = self._embeddings([face.crop for face in faces])
            answers = self._recognizer.recognize_embeddings(embeddings) if faces else []
            yield Frame(stamp, recorded, frame_id, image, tuple(zip(faces, answers)), embeddings)

    def _embeddings(self, crops: List[np.ndarray]) -> np.ndarray:
        model = self._recognizer.model
        return model.embed(crops) if crops else np.empty((0, model.embedding_dim), np.float32)


def first_stamp(bag: Bag, topic: Topic) -> int:
    """Stamp of the first image that can be decoded, nanoseconds, from which the times of a CSV file count; else 0."""
    for _, _, data in bag.messages([topic.name]):
        try:
            return stamp_of(decode(topic.type, data))
        except BagError:
            continue
    return 0


def ahead(source: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """The items of an iterator that runs in a thread of its own, at most AHEAD items ahead; its exceptions too."""
    items: queue.Queue = queue.Queue(AHEAD)
    stopping = threading.Event()
    over = object()

    def put(item: Any) -> bool:
        while not stopping.is_set():
            try:
                items.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def run() -> None:
        iterator = source()
        try:
            for item in iterator:
                if not put((item, None)):
                    break
            else:
                put((over, None))
        except BaseException as error:
            put((over, error))
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            item, error = items.get()
            if error is not None:
                raise error
            if item is over:
                return
            yield item
    finally:
        stopping.set()
        thread.join()
