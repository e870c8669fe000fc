"""Several topics that one thread works on, in the order in which their messages came."""
from __future__ import annotations

from typing import Any, Callable, List, NamedTuple, Sequence, Tuple

from rclpy.qos import QoSProfile

from siamese_emotion_ros.nodes.lifecycle import StreamNode
from siamese_emotion_ros.nodes.stream import Mailbox, Worker


class TopicHandler(NamedTuple):
    """A topic, and what is done with each of its messages."""

    message_type: type
    topic: str
    qos: QoSProfile
    work: Callable[[Any], None]


class Listener:
    """Subscriptions of a node whose messages wait together, at most `waiting` of them, for one thread."""

    def __init__(self, node: StreamNode, waiting: int, topics: Sequence[TopicHandler]) -> None:
        self._node = node
        self._mailbox = Mailbox(waiting)
        self._worker = Worker(self._mailbox, _work_on, node.refuse_message, node.get_name())
        self._subscriptions: List[Any] = []
        try:
            for heard in topics:
                self._subscriptions.append(
                    node.subscription(heard.message_type, heard.topic, heard.qos, self._putter(heard.work))
                )
        except Exception:
            self.stop()  # nobody else can: who wanted a listener has none
            raise

    @property
    def replaced(self) -> int:
        """How many messages gave way to newer ones before they were worked on."""
        return self._mailbox.replaced

    def put(self, work: Callable[[Any], None], message: Any) -> None:
        """Have the thread do something else with something else, in its turn."""
        self._mailbox.put((work, message))

    def stop(self) -> None:
        """Finish the message in work, drop those that wait, unsubscribe."""
        for subscription in self._subscriptions:
            self._node.unsubscribe(subscription)
        self._worker.stop()

    def _putter(self, work: Callable[[Any], None]) -> Callable[[Any], None]:
        return lambda message: self.put(work, message)


def _work_on(item: Tuple[Callable[[Any], None], Any]) -> None:
    work, message = item
    work(message)
