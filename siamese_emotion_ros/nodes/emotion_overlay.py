"""emotion_overlay: the image with each face's box, id, label, confidence and class bars, while somebody watches."""
from __future__ import annotations

import sys
from typing import Any, Iterable, List, Optional

from sensor_msgs.msg import Image

from siamese_emotion_ros.drawing.overlay import draw_emotions
from siamese_emotion_ros.faces.image_messages import drawable, image_from_message
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray
from siamese_emotion_ros.nodes.conversions import ReusedImage, emotion_mark, nanoseconds
from siamese_emotion_ros.nodes.face_crop import TRANSPORT, image_topic
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART, REFUSALS, StreamNode
from siamese_emotion_ros.nodes.listener import Listener, TopicHandler
from siamese_emotion_ros.nodes.pairing import Frame, FramePairing
from siamese_emotion_ros.nodes.parameters import ParameterTable
from siamese_emotion_ros.nodes.process import run
from siamese_emotion_ros.nodes.qos import CROWD, emotion_qos, result_qos, sensor_qos

PARAMETERS = ParameterTable("emotion_overlay", [TRANSPORT, AUTOSTART])

#: How often the node looks whether anybody watches [s].
LOOK_EVERY = 0.5

#: Images that may wait for their emotions: half a second's worth, and as many more as fit into so much memory [bytes].
IMAGES_WAITING = 15
MEMORY = 100_000_000

#: Messages that may wait to be worked on: what comes of some images, one of them with a crowd.
WAITING = 4 * IMAGES_WAITING + CROWD


class EmotionOverlay(StreamNode):
    """Subscribes `image_raw`, `faces` and `emotion` while `image_overlay` has a subscriber, and publishes that."""

    def __init__(self, **kwargs: Any) -> None:
        self._publisher: Any = None
        self._timer: Any = None
        self._listener: Optional[Listener] = None
        self._pairing, self._drawn = FramePairing(IMAGES_WAITING), ReusedImage()
        super().__init__(PARAMETERS, **kwargs)

    def load(self, settings: Any) -> None:
        """Offer `image_overlay`."""
        self._publisher = self.publisher(Image, "image_overlay", result_qos(depth=5))

    def start(self) -> None:
        """Begin to look for watchers."""
        self._timer = self.steady_timer(LOOK_EVERY, self._look)
        self._look()

    def stop(self) -> None:
        """Publish no more."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self._unwatch()

    # --- while somebody watches ---

    def _look(self) -> None:
        watched = self._publisher.get_subscription_count() > 0
        self.statistics.idle_reason = "" if watched else "nobody watches"
        if watched and self._listener is None:
            try:
                self._watch()
            except REFUSALS as error:  # a timer has nobody to refuse to
                self.statistics.fault = str(error)
                self.stream_failed(error)
        elif not watched:
            self._unwatch()

    def _watch(self) -> None:
        self.statistics.begin()  # nobody missed what came before
        pairing = self._pairing = FramePairing(IMAGES_WAITING)
        listener = self._listener = Listener(self, WAITING, [
            TopicHandler(*image_topic(self), sensor_qos(), self._take_image),
            TopicHandler(FaceCropArray, "faces", result_qos(), self._take_faces),
            TopicHandler(EmotionStamped, "emotion", emotion_qos(), self._take_emotion),
        ])
        self.statistics.replaced = lambda: listener.replaced + pairing.given_up

    def _unwatch(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None
            self._pairing.flush()  # no image is kept for nobody
            self._drawn = ReusedImage()

    def _take_image(self, message: Any) -> None:
        self.statistics.received()
        self._pairing.capacity = max(IMAGES_WAITING, MEMORY // max(1, len(message.data)))
        before = self._pairing.given_up
        self._publish(self._pairing.add_image(nanoseconds(message.header.stamp), message))
        if self._pairing.given_up > before:
            self.log_throttled(f"emotions come more than {self._pairing.capacity} images later: those are left out")

    def _take_faces(self, message: FaceCropArray) -> None:
        self._publish(self._pairing.add_faces(nanoseconds(message.header.stamp), message))

    def _take_emotion(self, message: EmotionStamped) -> None:
        self._publish(self._pairing.add_emotion(nanoseconds(message.header.stamp), message))

    def _publish(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            if not frame.answered:
                continue
            image = image_from_message(frame.image)
            drawn = drawable(image, self._drawn.pixels(*image.shape[:2]))
            draw_emotions(drawn, [emotion_mark(emotion) for emotion in frame.emotions.values()])
            self._publisher.publish(self._drawn.stamped(frame.image.header))
            self.count_published(frame.image.header.stamp)


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([EmotionOverlay], args)


if __name__ == "__main__":
    sys.exit(main())
