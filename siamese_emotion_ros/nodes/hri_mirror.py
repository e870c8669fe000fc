"""hri_mirror: faces and emotions once more, as the topics under /humans/faces that ROS4HRI (REP-155) names."""
from __future__ import annotations

import importlib
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional

from sensor_msgs.msg import Image

from siamese_emotion_ros.faces.continuity import Continuity
from siamese_emotion_ros.faces.cropping import fit_on_black
from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.msg import EmotionStamped, FaceCrop, FaceCropArray
from siamese_emotion_ros.nodes.conversions import image_message, nanoseconds
from siamese_emotion_ros.nodes.hri_faces import TrackedFaces
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART, StreamNode
from siamese_emotion_ros.nodes.listener import Listener, TopicHandler
from siamese_emotion_ros.nodes.parameters import Change, ParameterTable, Spec
from siamese_emotion_ros.nodes.process import run
from siamese_emotion_ros.nodes.qos import CROWD, emotion_qos, result_qos
from siamese_emotion_ros.recognition.emotions import ROS4HRI

PARAMETERS = ParameterTable("hri_mirror", [
    Spec("width", 128, "Width of `cropped` [pixels].", low=16, high=1024),
    Spec("height", 128, "Height of `cropped` [pixels].", low=16, high=1024),
    AUTOSTART,
])

#: Where REP-155 wants it, whatever the node's namespace.
FACES = "/humans/faces"

#: Messages that may wait to be mirrored: those of two images with a crowd.
WAITING = 2 * CROWD

#: Faces of which nothing has been heard for so long are not in view any more [s].
SILENCE = 2.0


class FaceTopics(NamedTuple):
    """The publishers of one face."""

    roi: Any
    cropped: Any
    expression: Any


class HriMirror(StreamNode):
    """Subscribes `faces` and `emotion`, publishes who is tracked, and roi, cropped and expression of each face."""

    def __init__(self, **kwargs: Any) -> None:
        self._hri: Any = None
        self._publisher: Any = None
        self._faces = TrackedFaces()
        self._topics: Dict[str, FaceTopics] = {}
        self._listener: Optional[Listener] = None
        self._timer: Any = None
        self._continuity = Continuity()
        self._heard = 0.0  # when `faces` came last, by time.monotonic()
        super().__init__(PARAMETERS, **kwargs)

    def load(self, settings: Any) -> None:
        """Find hri_msgs, which need not be installed for anything else here."""
        self._hri = hri_messages()
        self._publisher = self.publisher(self._hri.IdsList, f"{FACES}/tracked", result_qos())

    def start(self) -> None:
        """Listen."""
        self._continuity, self._faces = Continuity(), TrackedFaces()
        self._heard = time.monotonic()
        # One thread for both topics, as both make publishers.
        listener = self._listener = Listener(self, WAITING, [
            TopicHandler(FaceCropArray, "faces", result_qos(), self._mirror_faces),
            TopicHandler(EmotionStamped, "emotion", emotion_qos(), self._mirror_emotion),
        ])
        self.statistics.replaced = lambda: listener.replaced
        # In the listener's thread: without images, the faces that were in view have to be let go.
        self._timer = self.steady_timer(SILENCE / 2, lambda: listener.put(self._look, None))

    def stop(self) -> None:
        """Listen no more, and say that no face is tracked."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._listener is not None:
            self._listener.stop()
            self._listener = None
        if self.context.ok():
            self._let_go()

    def change(self, change: Change) -> None:
        """The size is read before each crop."""

    def facts(self) -> Dict[str, Any]:
        """How many faces are tracked."""
        return {"faces": len(self._faces.ids)} if self.settings is not None else {}

    # --- in the listener's thread ---

    def _mirror_faces(self, message: FaceCropArray) -> None:
        """The list of the faces in view, and place and picture of each that is seen."""
        self.statistics.received()
        self._heard = time.monotonic()
        header, stamp = message.header, nanoseconds(message.header.stamp)
        broken = self._continuity.broken(stamp)
        if broken is not None:
            self.log_throttled(f"{broken}: all faces get new ids")
            self._remove(self._faces.clear())
        self._remove(self._faces.see([face.face_id for face in message.faces], stamp, header.frame_id))
        topics = {
            face.face_id: self._topics_of(self._faces.id_of(face.face_id, stamp, header.frame_id))
            for face in message.faces
        }
        self._publisher.publish(self._hri.IdsList(header=header, ids=self._faces.ids))
        for face in message.faces:
            topics[face.face_id].roi.publish(self._roi(message, face))
            crop = fit_on_black(image_from_message(face.crop), self.settings.width, self.settings.height)
            topics[face.face_id].cropped.publish(image_message(header, crop))
        self.count_published(header.stamp)

    def _mirror_emotion(self, message: EmotionStamped) -> None:
        """The expression of one face, where REP-155 has a word for it: for contempt and unknown it has none."""
        word = ROS4HRI.get(message.label)
        if word is None:
            return
        face_id = self._faces.id_of(message.face_id, nanoseconds(message.header.stamp), message.header.frame_id)
        if face_id is not None:
            self._topics_of(face_id).expression.publish(
                self._hri.Expression(header=message.header, expression=word, confidence=message.confidence)
            )

    def _look(self, _: None) -> None:
        """Let go of the faces when no images come any more."""
        if time.monotonic() - self._heard > SILENCE:
            self._let_go()

    def _let_go(self) -> None:
        """Say that no face is tracked."""
        if self._faces.ids:
            self._remove(self._faces.clear())
            message = self._hri.IdsList()
            message.header.stamp = self.get_clock().now().to_msg()
            self._publisher.publish(message)

    def _roi(self, faces: FaceCropArray, face: FaceCrop) -> Any:
        """The face's box as shares of the image's sides."""
        width, height, roi = faces.image_width, faces.image_height, face.roi
        if not width or not height:
            raise ValueError(f"faces of an image of {width}x{height} pixels: expected image_width and image_height")
        return self._hri.NormalizedRegionOfInterest2D(
            header=faces.header, c=face.score, xmin=roi.x_offset / width, ymin=roi.y_offset / height,
            xmax=(roi.x_offset + roi.width) / width, ymax=(roi.y_offset + roi.height) / height,
        )

    # --- the topics of each face ---

    def _topics_of(self, face_id: str) -> FaceTopics:
        topics = self._topics.get(face_id)
        if topics is None:
            # No lifecycle publishers: these are there only while the node is active.
            topics = self._topics[face_id] = FaceTopics(*(
                self.create_publisher(message_type, f"{FACES}/{face_id}/{name}", result_qos())
                for message_type, name in (
                    (self._hri.NormalizedRegionOfInterest2D, "roi"), (Image, "cropped"),
                    (self._hri.Expression, "expression"),
                )
            ))
        return topics

    def _remove(self, gone: List[str]) -> None:
        for face_id in gone:
            for publisher in self._topics.pop(face_id, ()):
                self.destroy_publisher(publisher)


def hri_messages() -> Any:
    """The module hri_msgs.msg; ValueError where it is not installed."""
    try:
        return importlib.import_module("hri_msgs.msg")
    except ImportError as error:
        raise ValueError(
            f"hri_msgs cannot be imported ({error}): the topics of ROS4HRI need its messages; install "
            "ros-<distribution>-hri-msgs, or build github.com/ros4hri/hri_msgs in this workspace and source it"
        ) from error


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([HriMirror], args)


if __name__ == "__main__":
    sys.exit(main())
