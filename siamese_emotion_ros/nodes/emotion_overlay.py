"""emotion_overlay: the image with each face's box, id, label, confidence and class bars, while somebody watches."""
from __future__ import annotations

import sys
from typing import Any, List, Optional, Tuple

from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from siamese_emotion_ros.drawing.overlay import draw_emotions
from siamese_emotion_ros.faces.image_messages import drawable, image_from_message
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray
from siamese_emotion_ros.nodes.conversions import emotion_mark, image_message, nanoseconds
from siamese_emotion_ros.nodes.face_crop import TRANSPORT, image_topic
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART, StreamNode, result_qos, run
from siamese_emotion_ros.nodes.pairing import Frame, FramePairing
from siamese_emotion_ros.nodes.parameters import ParameterTable
from siamese_emotion_ros.nodes.stream import Mailbox, Worker

PARAMETERS = ParameterTable("emotion_overlay", [TRANSPORT, AUTOSTART])

#: How often the node looks whether anybody watches [s].
LOOK_EVERY = 0.5

#: Images that may wait for their emotions: half a second's worth.
IMAGES_WAITING = 15


class EmotionOverlay(StreamNode):
    """Subscribes `image_raw`, `faces` and `emotion` while `image_overlay` has a subscriber, and publishes that."""

    def __init__(self, **kwargs: Any) -> None:
        self._publisher: Any = None
        self._timer: Any = None
        self._heard: List[Any] = []
        self._worker: Optional[Worker] = None
        super().__init__(PARAMETERS, **kwargs)

    def load(self, settings: Any) -> None:
        """Offer `image_overlay`."""
        self._publisher = self.publisher(Image, "image_overlay", result_qos(depth=5))

    def start(self) -> None:
        """Begin to look for watchers."""
        self._timer = self.create_timer(LOOK_EVERY, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._look()

    def stop(self) -> None:
        """Publish no more."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self._unwatch()

    def unload(self) -> None:
        """Take `image_overlay` away."""
        if self._publisher is not None:
            self.destroy_lifecycle_publisher(self._publisher)
            self._publisher = None

    # --- while somebody watches ---

    def _look(self) -> None:
        watched = self._publisher.get_subscription_count() > 0
        self.vitals.excuse = "" if watched else "nobody watches"
        if watched and not self._heard:
            self._watch()
        elif not watched and self._heard:
            self._unwatch()

    def _watch(self) -> None:
        self._pairing = FramePairing(IMAGES_WAITING)
        mailbox = Mailbox(4 * IMAGES_WAITING)
        self._worker = Worker(mailbox, self._take, self.stream_failed, self.get_name())
        images = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
        image_type, topic = image_topic(self)
        self._heard = [
            self.subscription(image_type, topic, images, lambda message: mailbox.put(("image", message))),
            self.subscription(FaceCropArray, "faces", result_qos(), lambda message: mailbox.put(("faces", message))),
            self.subscription(
                EmotionStamped, "emotion", result_qos(), lambda message: mailbox.put(("emotion", message))
            ),
        ]

    def _unwatch(self) -> None:
        for subscription in self._heard:
            self.unsubscribe(subscription)
        self._heard = []
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _take(self, item: Tuple[str, Any]) -> None:
        kind, message = item
        if kind == "image":
            self.vitals.took()
        stamp = nanoseconds(message.header.stamp)
        pairing = self._pairing
        add = {"image": pairing.add_image, "faces": pairing.add_faces, "emotion": pairing.add_emotion}[kind]
        for frame in add(stamp, message):
            if frame.answered:
                self._publish(frame)

    def _publish(self, frame: Frame) -> None:
        drawn = drawable(image_from_message(frame.image))
        draw_emotions(drawn, [emotion_mark(emotion) for emotion in frame.emotions.values()])
        self._publisher.publish(image_message(frame.image.header, drawn))
        self.vitals.gave(self.get_clock().now().nanoseconds - nanoseconds(frame.image.header.stamp))


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([EmotionOverlay], args)


if __name__ == "__main__":
    sys.exit(main())
