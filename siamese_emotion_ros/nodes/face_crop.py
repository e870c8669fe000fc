"""face_crop: camera images in, the faces in each of them out, cut from the full frame and with ids that last."""
from __future__ import annotations

import sys
from typing import Any, Dict, List, Optional, Tuple

import cv2
from sensor_msgs.msg import CompressedImage, Image

from siamese_emotion_ros.faces.continuity import Continuity
from siamese_emotion_ros.faces.detectors import DETECTORS, MIN_SIZE, SCORE_THRESHOLD, Detector, make_detector
from siamese_emotion_ros.faces.finder import FaceFinder, FinderSettings
from siamese_emotion_ros.faces.image_messages import frame_from_message
from siamese_emotion_ros.faces.tracker import FaceTracker
from siamese_emotion_ros.msg import FaceCropArray
from siamese_emotion_ros.nodes.conversions import faces_message, nanoseconds
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART, Stream, StreamNode
from siamese_emotion_ros.nodes.parameters import START, UNCONFIGURED, Change, ParameterTable, Spec
from siamese_emotion_ros.nodes.process import run
from siamese_emotion_ros.nodes.qos import result_qos, sensor_qos
from siamese_emotion_ros.shipped import shipped_models

TRANSPORT = Spec(
    "image_transport", "raw", "Subscribe `image_raw` (raw) or `image_raw/compressed` (compressed).",
    choices=("raw", "compressed"), changes=UNCONFIGURED,
)

PARAMETERS = ParameterTable("face_crop", [
    TRANSPORT,
    Spec("detector", "auto", "Face detector; auto takes the best one present.",
         choices=DETECTORS, changes=UNCONFIGURED),
    Spec("detector_model", "", "YuNet .onnx file, which the detector yunet needs and auto prefers.",
         changes=UNCONFIGURED, folder="artifact_dirs"),
    Spec("artifact_dirs", shipped_models,
         "Folders whose files `detector_model` may be changed to, besides its start-up value.",
         changes=START, shown="the package's `models`"),
    Spec("detection_width", FinderSettings.detection_width,
         "Longer side of the copy of the image that is searched; smaller is faster and loses small faces [pixels].",
         low=32, high=4096),
    Spec("upscale", FinderSettings.upscale, "Enlarge images smaller than that, to find smaller faces."),
    Spec("score_threshold", SCORE_THRESHOLD, "Faces of which the detector is less sure are ignored.",
         low=0.0, high=1.0),
    Spec("min_size", MIN_SIZE, "Faces smaller than this in the full image are ignored [pixels].", low=0, high=4096),
    Spec("margin", FinderSettings.margin,
         "Surroundings kept on each side of a crop, as a share of the face; the shipped models were trained with 0.0.",
         low=0.0, high=1.0),
    Spec("threads", 1, "CPU threads that OpenCV may use in this process.", low=1, high=64, changes=UNCONFIGURED),
    AUTOSTART,
])


class FaceCrop(StreamNode):
    """Subscribes `image_raw`, publishes `faces`."""

    faces_expected = True

    def __init__(self, **kwargs: Any) -> None:
        # One for as long as the node lives: an id is given once, though the finder be loaded again.
        self._tracker = FaceTracker()
        self._finder: Optional[FaceFinder] = None
        self._publisher: Any = None
        self._images: Optional[Stream] = None
        self._continuity = Continuity()
        super().__init__(PARAMETERS, **kwargs)

    def load(self, settings: Any) -> None:
        """Load the detector."""
        cv2.setNumThreads(settings.threads)
        detector = _detector(settings)
        self._finder = FaceFinder(detector, _finder_settings(settings), self._tracker)
        self._publisher = self.publisher(FaceCropArray, "faces", result_qos())
        self.get_logger().info(f"finds faces with {detector.name} in images {settings.detection_width} pixels wide")

    def start(self) -> None:
        """Subscribe to the camera."""
        self._continuity = Continuity()
        self._finder.reset()
        image_type, topic = image_topic(self)
        self._images = Stream(self, image_type, topic, sensor_qos(), self._find)
        self._images.open()

    def stop(self) -> None:
        """Finish the image in work and no more."""
        if self._images is not None:
            self._images.stop()
            self._images = None

    def unload(self) -> None:
        """Free the detector."""
        self._finder = None

    def change(self, change: Change) -> None:
        """Search with other settings from the next image on; the faces keep their ids."""
        detector = self._finder.detector
        if change.names & {"score_threshold", "min_size"}:
            detector = _detector(change.settings)
        self._finder.replace(detector, _finder_settings(change.settings))

    def facts(self) -> Dict[str, Any]:
        """Which detector searches, and how large a copy."""
        finder = self._finder
        if finder is None:
            return {}
        return {"detector": finder.detector.name, "detection width [pixels]": finder.settings.detection_width}

    def _find(self, message: Any) -> None:
        """Find the faces of one image; an image without one gives an empty array."""
        finder = self._finder
        frame, rgb = frame_from_message(message)  # first: the stamp of an image that is refused says nothing
        broken = self._continuity.broken(nanoseconds(message.header.stamp))
        if broken is not None:
            self.log_throttled(f"{broken}: the tracking of faces starts again")
            finder.reset()
        faces = finder.find(frame, rgb)
        if faces:
            self.statistics.saw_face()
        self._publisher.publish(faces_message(message.header, frame.shape, faces, self._images.replaced))
        self.count_published(message.header.stamp)


def _detector(settings: Any) -> Detector:
    return make_detector(settings.detector, settings.score_threshold, settings.min_size, settings.detector_model)


def _finder_settings(settings: Any) -> FinderSettings:
    return FinderSettings(settings.detection_width, settings.margin, settings.upscale)


def image_topic(node: StreamNode) -> Tuple[type, str]:
    """Message type and name of the camera's topic, as the node's image_transport says."""
    if node.settings.image_transport == "raw":
        return Image, "image_raw"
    # As image_transport does: the topic is resolved, remapped and all, before the transport's name is added.
    return CompressedImage, node.resolve_topic_name("image_raw") + "/compressed"


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([FaceCrop], args)


if __name__ == "__main__":
    sys.exit(main())
