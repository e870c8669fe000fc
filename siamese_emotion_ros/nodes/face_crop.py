"""face_crop: camera images in, the faces in each of them out, cut from the full frame and with ids that last."""
from __future__ import annotations

import sys
from typing import Any, List, Optional

import cv2
from sensor_msgs.msg import CompressedImage, Image

from siamese_emotion_ros.faces.detectors import make_detector
from siamese_emotion_ros.faces.finder import FaceFinder
from siamese_emotion_ros.faces.tracker import FaceTracker
from siamese_emotion_ros.msg import FaceCropArray
from siamese_emotion_ros.nodes.conversions import faces_message, image_from_message, nanoseconds
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART, Stream, StreamNode, result_qos, run, sensor_qos
from siamese_emotion_ros.nodes.parameters import UNCONFIGURED, Change, ParameterTable, Spec
from siamese_emotion_ros.nodes.stream import TimeWatch

TRANSPORT = Spec(
    "image_transport", "raw", "Subscribe `image_raw` (raw) or `image_raw/compressed` (compressed).",
    choices=("raw", "compressed"), changes=UNCONFIGURED,
)

PARAMETERS = ParameterTable("face_crop", [
    TRANSPORT,
    Spec("detector", "auto", "Face detector; auto takes the best one present.",
         choices=("auto", "libfacedetection", "yunet", "haar"), changes=UNCONFIGURED),
    Spec("detector_model", "", "YuNet .onnx file for the detector yunet; empty for the others.", changes=UNCONFIGURED),
    Spec("detection_width", 320,
         "Width of the copy of the image that is searched; smaller is faster and loses small faces [pixels].",
         low=64, high=4096),
    Spec("score_threshold", 0.6, "Faces of which the detector is less sure are ignored.", low=0.0, high=1.0),
    Spec("min_size", 24, "Faces smaller than this in the full image are ignored [pixels].", low=8, high=4096),
    Spec("margin", 0.1, "Surroundings kept on each side of a crop, as a share of the face.", low=0.0, high=1.0),
    Spec("threads", 1, "CPU threads that OpenCV may use in this process.", low=1, high=64, changes=UNCONFIGURED),
    AUTOSTART,
])


class FaceCrop(StreamNode):
    """Subscribes `image_raw`, publishes `faces`."""

    def __init__(self, **kwargs: Any) -> None:
        self._finder: Optional[FaceFinder] = None
        self._publisher: Any = None
        self._images: Optional[Stream] = None
        super().__init__(PARAMETERS, **kwargs)

    def load(self, settings: Any) -> None:
        """Load the detector."""
        cv2.setNumThreads(settings.threads)
        self._tracker = FaceTracker()
        self._finder = self._make_finder(settings)
        self._publisher = self.publisher(FaceCropArray, "faces", result_qos())
        self.get_logger().info(f"finds faces with {settings.detector}")

    def start(self) -> None:
        """Subscribe to the camera."""
        self._time = TimeWatch()
        self._images = image_stream(self, self._find)
        self._images.open()

    def stop(self) -> None:
        """Finish the image in work and no more."""
        if self._images is not None:
            self._images.stop()
            self._images = None

    def unload(self) -> None:
        """Free the detector."""
        if self._publisher is not None:
            self.destroy_lifecycle_publisher(self._publisher)
            self._publisher = None
        self._finder = None

    def change(self, change: Change) -> None:
        """Search with other settings from the next image on; the faces keep their ids."""
        self._finder = self._make_finder(change.settings)

    def _make_finder(self, settings: Any) -> FaceFinder:
        detector = make_detector(
            settings.detector, settings.score_threshold, settings.min_size, settings.detector_model or None
        )
        return FaceFinder(detector, settings.detection_width, settings.margin, self._tracker)

    def _find(self, message: Any) -> None:
        """Find the faces of one image; an image without one gives an empty array."""
        finder = self._finder
        if self._time.jumped_back(nanoseconds(message.header.stamp)):
            self.get_logger().info("time jumped back: the tracking of faces starts again")
            finder.reset()
        image = image_from_message(message)
        self._publisher.publish(faces_message(message.header, image.shape, finder.find(image), self._images.replaced))


def image_stream(node: StreamNode, work: Any) -> Stream:
    """The stream of the camera's images, raw or compressed as the node's image_transport says."""
    if node.settings.image_transport == "raw":
        return node.stream(Image, "image_raw", sensor_qos(), work)
    # As image_transport does: the topic is resolved, remapped and all, before the transport's name is added.
    return node.stream(CompressedImage, node.resolve_topic_name("image_raw") + "/compressed", sensor_qos(), work)


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([FaceCrop], args)


if __name__ == "__main__":
    sys.exit(main())
