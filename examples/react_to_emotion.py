#!/usr/bin/env python3
"""A behaviour that reacts once when a face has changed its emotion for good: copy it and put your own reaction in."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional


class Change(NamedTuple):
    """A face shows another emotion now. before: None for a face that is new."""

    face_id: int
    before: Optional[str]
    now: str


@dataclass
class _Face:
    steady: Optional[str]
    candidate: str
    since: float
    seen: float


class SteadyEmotions:
    """The emotion that each face shows steadily: no single frame changes it."""

    def __init__(self, hold: float = 0.5, enter: float = 0.5, forget: float = 2.0) -> None:
        """hold, forget: seconds. enter: confidence from which a label counts, 0..1. ValueError for what is neither."""
        if not (hold >= 0 and forget > 0 and 0 <= enter <= 1):
            raise ValueError(f"hold {hold}, enter {enter}, forget {forget}: expected seconds, a share, seconds")
        self._hold, self._enter, self._forget = hold, enter, forget
        self._faces: Dict[int, _Face] = {}
        self._last = float("-inf")

    def update(self, face_id: int, label: str, confidence: float, stamp: float) -> Optional[Change]:
        """What one message means; `stamp` in seconds. None as long as nothing changes.

        A stamp long before the last one is a recording that starts again: all faces are new then. One shortly before it
        comes late and is left out.
        """
        if self._last - self._forget < stamp < self._last:
            return None
        if stamp < self._last:
            self._faces.clear()
        self._last = stamp
        self._faces = {known: face for known, face in self._faces.items() if stamp - face.seen <= self._forget}
        face = self._faces.get(face_id)
        if face is not None:
            face.seen = stamp
        if label == "unknown" or confidence < self._enter:
            return None
        if face is None:
            face = self._faces[face_id] = _Face(None, label, stamp, stamp)
        if label != face.candidate:
            face.candidate, face.since = label, stamp
        if label == face.steady or stamp - face.since < self._hold:
            return None
        change = Change(face_id, face.steady, label)
        face.steady = label
        return change


def main() -> None:
    """Print what a robot might do about it."""
    import rclpy
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node
    from siamese_emotion_ros.msg import EmotionStamped

    class ReactToEmotion(Node):
        def __init__(self) -> None:
            super().__init__("react_to_emotion")
            number = ParameterDescriptor(dynamic_typing=True)  # hold:=1 is as good as hold:=1.0
            limits = [float(self.declare_parameter(name, default, number).value) for name, default in (
                ("hold", 0.5), ("enter", 0.5), ("forget", 2.0))]
            self._emotions = SteadyEmotions(*limits)
            self.create_subscription(EmotionStamped, "emotion", self._hear, 100)  # a crowd's come in one burst

        def _hear(self, message: EmotionStamped) -> None:
            stamp = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
            change = self._emotions.update(message.face_id, message.label, message.confidence, stamp)
            if change is not None:
                self.react(change)

        def react(self, change: Change) -> None:
            """Your robot's reaction."""
            reactions = {"happiness": "smiles back", "sadness": "asks what is wrong", "anger": "gives way"}
            self.get_logger().info(
                f"face {change.face_id}: {change.before or 'new'} -> {change.now}: the robot "
                f"{reactions.get(change.now, 'looks')}"
            )

    rclpy.init()
    node = ReactToEmotion()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # Ctrl-C or SIGTERM: which of the two is raised depends on the distribution
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
