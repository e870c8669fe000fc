"""bag_player: publishes the images of a rosbag2 recording with their own stamps, where `ros2 bag play` is missing."""
from __future__ import annotations

import importlib
import sys
import time
from itertools import islice
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from siamese_emotion_ros.bags.decoding import COMPRESSED_IMAGE, choose_image_topic, decode, stamp_of
from siamese_emotion_ros.bags.reading import Bag, BagError, BagMessage, Topic
from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.nodes.conversions import image_message
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART
from siamese_emotion_ros.nodes.parameters import START, UNCONFIGURED, Change, ParameterTable, Spec
from siamese_emotion_ros.nodes.player import WAIT_FOR_EMOTIONS, WAIT_FOR_SUBSCRIBERS, PlayerNode
from siamese_emotion_ros.nodes.process import run
from siamese_emotion_ros.nodes.qos import result_qos
from siamese_emotion_ros.nodes.sources import UNTOLD_RATE, Source

PARAMETERS = ParameterTable("bag_player", [
    Spec("bag", "", "Folder of a rosbag2 recording (sqlite3 or mcap), or a .db3 or .mcap file of one.",
         changes=UNCONFIGURED, folder="bag_dir"),
    Spec("bag_dir", "", "Folder whose recordings `bag` may be changed to; empty: `bag` keeps its start-up value.",
         changes=START),
    Spec("image", "", "Recorded topic that is published as `image_raw`; empty: the only one with images.",
         changes=UNCONFIGURED),
    Spec("others", "", "More recorded topics, separated by commas, each published under its recorded name.",
         changes=UNCONFIGURED),
    Spec("decompress", True, "Publish compressed images as `image_raw`; false: as `image_raw/compressed`, untouched.",
         changes=UNCONFIGURED),
    Spec("rate", 1.0, "Speed; 2.0 is twice as fast as it was recorded.", low=0.01, high=100.0),
    Spec("loop", False, "Begin again at the end; stamps jump back, as with ros2 bag play --loop."),
    Spec("clock_rate", 0.0, "Publish the time of the recording on /clock so many times a second; 0.0: do not.",
         low=0.0, high=1000.0),
    WAIT_FOR_SUBSCRIBERS,
    WAIT_FOR_EMOTIONS,
    AUTOSTART,
])


class BagPlayer(PlayerNode):
    """Publishes `image_raw`, other topics and /clock as asked, and, latched, `~/ended`."""

    def __init__(self, **kwargs: Any) -> None:
        self._bag: Optional[Bag] = None
        self._messages: Optional[Iterator[BagMessage]] = None
        self._held: Optional[BagMessage] = None  # what a deactivation came before
        self._image: Optional[Topic] = None
        self._decompress = False
        self._published: Dict[str, Any] = {}
        self._ticks: Any = None
        super().__init__(PARAMETERS, **kwargs)

    @property
    def playing(self) -> str:
        """The recording."""
        return str(self.settings.bag)

    def load(self, settings: Any) -> None:
        """Open the recording and offer its topics."""
        if not settings.bag.strip():
            raise BagError("bag is empty: set it to the folder of a rosbag2 recording")
        self._bag = Bag(settings.bag)
        for sentence in self._bag.damage:
            self.get_logger().warning(sentence)
        self._image = choose_image_topic(self._bag, settings.image or None)
        self._decompress = settings.decompress and self._image.type == COMPRESSED_IMAGE
        if self._image.type == COMPRESSED_IMAGE and not self._decompress:
            topic = self.resolve_topic_name("image_raw") + "/compressed"
            self.images = self.publisher(CompressedImage, topic, result_qos(depth=5))
        else:
            self.images = self.publisher(Image, "image_raw", result_qos(depth=5))
        self._published[self._image.name] = self.images
        for topic in _others(self._bag, settings.others):
            if topic.name not in self._published:
                self._published[topic.name] = self.publisher(_message_class(topic), topic.name, _offered(topic))
        newest = QoSProfile(
            depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.BEST_EFFORT
        )
        self._ticks = self.create_publisher(Clock, "/clock", newest) if settings.clock_rate else None
        super().load(settings)

    def unload(self) -> None:
        """Close the recording."""
        self._messages = self._held = None
        if self._bag is not None:
            self._bag.close()
            self._bag = None
        self._published = {}
        if self._ticks is not None:
            self.destroy_publisher(self._ticks)
            self._ticks = None
        super().unload()

    def change(self, change: Change) -> None:
        """Rate and loop are read before each message; whether there is a clock is decided when configured."""
        if bool(change.settings.clock_rate) != (self._ticks is not None):
            raise ValueError("clock_rate goes from or to 0.0 only while the node is unconfigured: clean up first")

    def facts(self) -> Dict[str, Any]:
        """What is played."""
        return {"bag": self.settings.bag, "speed": self.settings.rate} if self.settings is not None else {}

    # --- in the thread that plays ---

    def play(self) -> None:
        """The recording to its end, and again while `loop` says so."""
        while self._play() and self.settings.loop and not self.stopping.is_set():
            pass

    def _play(self) -> int:
        """Go on to the end of the recording, or until the node stops; returns how many messages were published."""
        if self._messages is None:
            self._messages = self._bag.messages(list(self._published))
        noted, count = len(self._bag.damage), 0
        played = None  # time of the recording, and of the steady clock, of the message before
        while True:
            message = self._held if self._held is not None else next(self._messages, None)
            if message is None:
                break
            self._held = message
            if not self._wait_until(message.time, played):
                return count
            played = (message.time, time.monotonic())
            self._publish(message)
            self._held = None
            count += 1
        for sentence in self._bag.damage[noted:]:
            self.get_logger().warning(sentence)
        self._messages = None
        self.get_logger().info(f"{self.settings.bag} has ended after {count} messages")
        return count

    def _wait_until(self, moment: int, played: Any) -> bool:
        """Wait until the recording's clock says `moment` (nanoseconds), and publish it meanwhile; False: told to stop.

        Counted from the message before, so that a late one delays the rest rather than have them come in a burst.
        """
        if played is None:
            self._tell_time(moment)
            return not self.stopping.is_set()
        now, looked = played
        while True:
            # Step by step, as another rate holds from here on: it must not have the clock jump.
            since, looked = looked, time.monotonic()
            rate = self.settings.rate
            now += int((looked - since) * 1e9 * rate)
            left = (moment - now) / 1e9 / rate
            self._tell_time(min(now, moment))
            if left <= 0:
                return not self.stopping.is_set()
            # Short waits, so that another rate is noticed.
            longest = 1.0 / self.settings.clock_rate if self._ticks is not None else 0.1
            if self.stopping.wait(min(left, longest)):
                return False

    def _tell_time(self, moment: int) -> None:
        if self._ticks is not None:
            clock = Clock()
            clock.clock.sec, clock.clock.nanosec = divmod(moment, 1_000_000_000)
            self._ticks.publish(clock)

    def _publish(self, message: BagMessage) -> None:
        publisher = self._published[message.topic]
        self.statistics.received()
        if message.topic == self._image.name and self._decompress:
            try:
                publisher.publish(_decompressed(message.data))
            except ValueError as error:
                self.refuse_message(error)
                return
        else:
            publisher.publish(message.data)  # as it was recorded, byte by byte
        self.statistics.published()


class RecordedImages(Source):
    """The images of a recording, without their stamps, for who wants a look at them before they are played."""

    def __init__(self, path: str, image: Optional[str] = None) -> None:
        """BagError as Bag and choose_image_topic."""
        self._bag = Bag(path)
        self._topic = choose_image_topic(self._bag, image)
        self.total = self._topic.count
        stamps = [stamp_of(decode(self._topic.type, data)) for _, _, data in islice(self._recorded(), 20)]
        steps = [later - sooner for sooner, later in zip(stamps, stamps[1:]) if later > sooner]
        self.rate = min(1e9 / float(np.median(steps)), 1000.0) if steps else UNTOLD_RATE
        self._messages = self._recorded()

    def read(self) -> Optional[np.ndarray]:
        """The next image, uint8 BGR or gray; None at the end."""
        message = next(self._messages, None)
        return None if message is None else image_from_message(decode(self._topic.type, message.data))

    def rewind(self) -> None:
        """Begin again with the first image."""
        self._messages = self._recorded()

    def close(self) -> None:
        """Close the recording."""
        self._bag.close()

    def _recorded(self) -> Iterator[BagMessage]:
        return self._bag.messages([self._topic.name])


def _decompressed(data: bytes) -> Image:
    recorded = decode(COMPRESSED_IMAGE, data)
    header = Header(frame_id=recorded.header.frame_id)
    header.stamp.sec, header.stamp.nanosec = recorded.header.stamp.sec, recorded.header.stamp.nanosec
    return image_message(header, image_from_message(recorded))


def _others(bag: Bag, names: str) -> List[Topic]:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    missing = [name for name in wanted if name not in bag.topics]
    if missing:
        raise BagError(f"others names {', '.join(missing)}: expected recorded topics, such as {', '.join(bag.topics)}")
    return [bag.topics[name] for name in wanted]


def _offered(topic: Topic) -> QoSProfile:
    """Latched where it was when it was recorded: /tf_static is heard by nobody otherwise."""
    qos = result_qos()
    if any(profile.durability.name == "TRANSIENT_LOCAL" for profile in topic.qos):
        qos.durability = QoSDurabilityPolicy.TRANSIENT_LOCAL
    return qos


def _message_class(topic: Topic) -> Any:
    package, _, name = topic.type.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BagError(
            f"{topic.name} is a {topic.type}, which is not installed here: install {package}, or leave the topic out"
        ) from error


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([BagPlayer], args)


if __name__ == "__main__":
    sys.exit(main())
