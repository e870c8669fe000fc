"""Between ROS messages and the arrays of `faces` and `recognition`: images in and out, faces and emotions out."""
from __future__ import annotations

import sys
from array import array
from typing import Any, List, Sequence, Tuple

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point32
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from siamese_emotion_ros.drawing.overlay import EmotionMark
from siamese_emotion_ros.msg import EmotionStamped, FaceCrop, FaceCropArray

# --- images out ---


def image_message(header: Header, image: np.ndarray) -> Image:
    """A uint8 image [H, W] as mono8 or [H, W, 3] as bgr8, copied into a new message."""
    height, width = image.shape[:2]
    message = Image(
        header=header, height=height, width=width, encoding="mono8" if image.ndim == 2 else "bgr8",
        is_bigendian=int(sys.byteorder == "big"), step=image.nbytes // height,
    )
    # Filled in place: what it is set to, and what the constructor is given, some distributions copy once more.
    message.data.frombytes(np.ascontiguousarray(image))
    return message


class ReusedImage:
    """One bgr8 message whose memory is filled again for each frame of the same size, as publishing copies it anyway."""

    def __init__(self) -> None:
        self.message = Image(encoding="bgr8", is_bigendian=int(sys.byteorder == "big"))
        self._pixels = np.empty((0, 0, 3), np.uint8)

    def pixels(self, height: int, width: int) -> np.ndarray:
        """The message's own memory, uint8 [height, width, 3], to be drawn into before it is published."""
        if self._pixels.shape[:2] != (height, width):
            self.message.height, self.message.width, self.message.step = height, width, 3 * width
            self.message.data = array("B", bytes(3 * width * height))
            # Taken from the message: some distributions copy what they are given, some keep it.
            self._pixels = np.frombuffer(self.message.data, np.uint8).reshape(height, width, 3)
        return self._pixels

    def fill(self, header: Header, frame: np.ndarray) -> Image:
        """The message with this header and uint8 BGR frame [H, W, 3]; valid until the next call."""
        np.copyto(self.pixels(*frame.shape[:2]), frame)
        return self.stamped(header)

    def stamped(self, header: Header) -> Image:
        """The message with this header and whatever was drawn into its pixels; valid until the next call."""
        self.message.header = header
        return self.message


# --- faces and emotions out ---


def faces_message(
    header: Header, image_shape: Sequence[int], faces: Sequence[Any], images_replaced: int
) -> FaceCropArray:
    """The faces (of `faces.finder`) of one image of shape (H, W, ...)."""
    return FaceCropArray(
        header=header,
        image_width=int(image_shape[1]),
        image_height=int(image_shape[0]),
        faces=[_face_message(header, face) for face in faces],
        images_replaced=images_replaced,
    )


def _face_message(header: Header, face: Any) -> FaceCrop:
    landmarks: List[Point32] = []
    if face.landmarks is not None:
        landmarks = [Point32(x=x, y=y) for x, y in face.landmarks.tolist()]
    return FaceCrop(
        face_id=face.face_id,
        roi=roi_message(face.roi),
        score=float(face.score),
        landmarks=landmarks,
        crop=image_message(header, face.crop),
    )


def roi_message(roi: Any) -> RegionOfInterest:
    """A box with x, y, width and height in pixels."""
    return RegionOfInterest(
        x_offset=int(roi.x), y_offset=int(roi.y), width=int(roi.width), height=int(roi.height), do_rectify=False
    )


def emotion_message(
    faces: FaceCropArray, face: FaceCrop, recognition: Any, classes: Sequence[str], ids: Tuple[str, str, int]
) -> EmotionStamped:
    """What one face of `faces` was taken for; `ids` are model_id, gallery_id and gallery_version.

    Latency and personal_offset are the node's to fill in.
    """
    model_id, gallery_id, gallery_version = ids
    return EmotionStamped(
        header=faces.header,
        face_id=face.face_id,
        face_count=len(faces.faces),
        roi=face.roi,
        detection_score=face.score,
        label=recognition.label,
        confidence=recognition.confidence,
        classes=list(classes),
        class_scores=_float_array(recognition.class_scores),
        class_distances=_float_array(recognition.class_distances),
        neighbor_labels=list(recognition.neighbor_labels),
        neighbor_distances=_float_array(recognition.neighbor_distances),
        neighbor_names=list(recognition.neighbor_names),
        model_id=model_id,
        gallery_id=gallery_id,
        gallery_version=gallery_version,
    )


def emotion_mark(emotion: EmotionStamped) -> EmotionMark:
    """An emotion as `drawing` draws it."""
    roi = emotion.roi
    return EmotionMark(
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height), label=emotion.label, confidence=emotion.confidence,
        face_id=emotion.face_id, classes=emotion.classes, scores=emotion.class_scores,
    )


def _float_array(values: np.ndarray) -> array:
    # A numpy array or list would be checked element by element; an array.array is taken as it is.
    floats = array("f")
    floats.frombytes(np.ascontiguousarray(values, np.float32).tobytes())
    return floats


# --- time ---


def nanoseconds(stamp: Any) -> int:
    """A builtin_interfaces Time or Duration in nanoseconds."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def duration_message(nanosecs: int) -> Duration:
    """A duration; a negative one (a camera whose clock runs ahead) is 0."""
    seconds, rest = divmod(max(0, nanosecs), 1_000_000_000)
    return Duration(sec=min(seconds, 2**31 - 1), nanosec=rest)
