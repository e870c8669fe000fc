"""image_source: publishes the frames of a webcam, a video, a folder of images or a single image as `image_raw`."""
from __future__ import annotations

import math
import sys
import time
from typing import Any, Dict, List, Optional

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from siamese_emotion_ros.nodes.conversions import ReusedImage
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART
from siamese_emotion_ros.nodes.parameters import START, UNCONFIGURED, Change, ParameterTable, Spec
from siamese_emotion_ros.nodes.player import WAIT_FOR_EMOTIONS, WAIT_FOR_SUBSCRIBERS, PlayerNode
from siamese_emotion_ros.nodes.process import run
from siamese_emotion_ros.nodes.qos import result_qos
from siamese_emotion_ros.nodes.sources import Source, SourceError, open_source, webcam_index

PARAMETERS = ParameterTable("image_source", [
    Spec("source", "0", "Webcam (`0` or `/dev/video0`), video file, image file or folder of images.",
         changes=UNCONFIGURED, folder="source_dir", names_file=lambda source: webcam_index(source) is None),
    Spec("source_dir", "",
         "Folder whose files `source` may be changed to; empty: only webcams, and its start-up value.",
         changes=START),
    Spec("rate", 0.0, "Images per second; 0.0 is the source's own (10 for images).", low=0.0, high=240.0),
    Spec("loop", False, "Begin again at the end of a video, folder or image."),
    Spec("frame_id", "camera", "frame_id of every image."),
    WAIT_FOR_SUBSCRIBERS,
    WAIT_FOR_EMOTIONS,
    AUTOSTART,
])

#: Waits between two tries to open a webcam that is gone [s].
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0


class ImageSource(PlayerNode):
    """Publishes `image_raw` (bgr8, stamped when it is read) and, latched, `~/ended`."""

    def __init__(self, **kwargs: Any) -> None:
        self._source: Optional[Source] = None
        super().__init__(PARAMETERS, **kwargs)

    @property
    def playing(self) -> str:
        """The source."""
        return str(self.settings.source)

    def load(self, settings: Any) -> None:
        """Open a file or folder. A webcam is opened when it is needed, and tried again: it may be plugged in later."""
        if webcam_index(settings.source) is None:
            self._source = open_source(settings.source)
        self.images = self.publisher(Image, "image_raw", result_qos(depth=5))
        super().load(settings)

    def unload(self) -> None:
        """Close the source."""
        self._close()
        super().unload()

    def change(self, change: Change) -> None:
        """Rate, loop and frame_id are read before each frame."""

    def facts(self) -> Dict[str, Any]:
        """What is read."""
        return {"source": self.settings.source} if self.settings is not None else {}

    # --- in the thread that plays ---

    def play(self) -> None:
        """A file or folder to its end, a webcam for as long as the node is active."""
        if webcam_index(self.settings.source) is None:
            self._play()
        else:
            self._watch()

    def _play(self) -> None:
        """A file or folder, at its own rate or the one asked for, to its end."""
        image, published, at_beginning = ReusedImage(), 0, 0
        turn = time.monotonic() - self._step()  # of the image before the first
        while self._wait_a_step(turn):
            try:
                frame = self._source.read()
            except SourceError as error:
                self.stream_failed(error)
                continue
            if frame is None:
                self._source.rewind()
                if self.settings.loop and published > at_beginning:
                    at_beginning = published
                    continue
                self.get_logger().info(f"{self.settings.source} has ended after {published} images")
                return
            self._publish(image, frame)
            published += 1
            # Never faster than the rate to catch up: what is late stays late.
            step = self._step()
            turn = max(turn + step, time.monotonic() - 0.1 - step)

    def _step(self) -> float:
        """Seconds from one image to the next."""
        return 1.0 / (self.settings.rate or self._source.rate)

    def _wait_a_step(self, turn: float) -> bool:
        """Wait for the image after the one whose turn was then; False: told to stop."""
        while True:
            left = turn + self._step() - time.monotonic()
            if left <= 0.0:
                return not self.stopping.is_set()
            if self.stopping.wait(min(left, 0.1)):  # short waits, so that another rate is noticed
                return False

    def _watch(self) -> None:
        """A webcam, open for as long as the node is active; opened again with growing patience when it is gone."""
        try:
            self._publish_webcam()
        finally:  # others may want it, and what its driver keeps would be old pictures with new stamps
            self._close()

    def _publish_webcam(self) -> None:
        image, wait, turn = ReusedImage(), FIRST_WAIT, -math.inf
        while not self.stopping.is_set():
            try:
                if self._source is None:
                    self._source = open_source(self.settings.source, self.settings.rate)
                    self.get_logger().info(f"webcam {self.settings.source} is open: {self._source.rate:g} images/s")
                frame = self._source.read()
            except SourceError as error:
                self._close()
                self.statistics.fault = str(error)
                self.get_logger().warning(f"{error} Trying again in {wait:g} s.")
                self.stopping.wait(wait)
                wait = min(2.0 * wait, LONGEST_WAIT)
                continue
            wait = FIRST_WAIT
            self.statistics.fault = ""
            rate = self.settings.rate
            if rate:
                now = time.monotonic()
                if now < turn + 1.0 / rate:
                    continue  # a driver that gives more than it was asked for
                turn = max(turn + 1.0 / rate, now - 0.1)
            self._publish(image, frame)

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def _publish(self, image: ReusedImage, frame: Any) -> None:
        self.statistics.received()
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.settings.frame_id)
        self.images.publish(image.fill(header, frame))
        self.statistics.published()


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([ImageSource], args)


if __name__ == "__main__":
    sys.exit(main())
