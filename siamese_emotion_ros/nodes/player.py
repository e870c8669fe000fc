"""What the nodes that play images have in common: a thread that plays, subscribers to wait for, and an end to tell."""
from __future__ import annotations

import threading
from typing import Any, Optional

from std_msgs.msg import Bool

from siamese_emotion_ros.nodes.lifecycle import StreamNode
from siamese_emotion_ros.nodes.parameters import ParameterTable, Spec
from siamese_emotion_ros.nodes.qos import latched_qos

WAIT_FOR_SUBSCRIBERS = Spec(
    "wait_for_subscribers", 0, "Hold the beginning back until so many have subscribed to the images.", low=0, high=100,
)

WAIT_FOR_EMOTIONS = Spec(
    "wait_for_emotions", False,
    "Hold the beginning back until siamese_emotion listens to `faces`, so that the first face is answered, too.",
)

#: We may know of siamese_emotion before face_crop does, or a listener to its answers: Fast DDS announces a process
#: again every 3 s, and the first announcement is easily lost while a whole pipeline starts at once [s].
SETTLING = 3.0


class PlayerNode(StreamNode):
    """Plays in a thread of its own while active, and says on `~/ended`, latched, whether it is through.

    A subclass offers its images in load() and puts their publisher into `images`, and fills in `playing` and play().
    """

    def __init__(self, table: ParameterTable, **kwargs: Any) -> None:
        #: The publisher whose subscribers are waited for; None while unconfigured.
        self.images: Any = None
        #: Set when the node is to play no further.
        self.stopping = threading.Event()
        self._ended: Any = None
        self._thread: Optional[threading.Thread] = None
        super().__init__(table, **kwargs)

    # --- what a subclass fills in ---

    @property
    def playing(self) -> str:
        """What is played, as its parameter says."""
        raise NotImplementedError

    def play(self) -> None:
        """Publish to the end, or until `stopping` is set; called again after a deactivation, to go on from there."""
        raise NotImplementedError

    # --- transitions ---

    def load(self, settings: Any) -> None:
        """Offer `~/ended`."""
        # Not a lifecycle publisher: whether all has been played is worth knowing in every state.
        self._ended = self.create_publisher(Bool, "~/ended", latched_qos())

    def start(self) -> None:
        """Begin to play; after a deactivation it goes on where it was."""
        self.stopping.clear()
        self._ended.publish(Bool(data=False))
        self._thread = threading.Thread(target=self._run, name=self.get_name(), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Play no further."""
        self.stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def unload(self) -> None:
        """Take the topics away."""
        self.images = None
        if self._ended is not None:
            self.destroy_publisher(self._ended)
            self._ended = None

    # --- the thread that plays ---

    def _run(self) -> None:
        try:
            awaited = self._awaited()
            while awaited:
                self.statistics.idle_reason = awaited
                if self.stopping.wait(0.02):
                    return
                awaited = self._awaited()
            if self.settings.wait_for_emotions and self.stopping.wait(SETTLING):
                return
            self.statistics.idle_reason = ""
            self.play()
            if not self.stopping.is_set():
                self.statistics.idle_reason = f"{self.playing} has ended"
                self._ended.publish(Bool(data=True))
        except Exception as error:
            self.statistics.fault = f"{self.playing} cannot be read: {error}"
            self.stream_failed(error)

    def _awaited(self) -> str:
        """Who has to listen before anything is played, as a sentence; empty when all do."""
        settings = self.settings
        if self.images.get_subscription_count() < settings.wait_for_subscribers:
            return f"waiting for {settings.wait_for_subscribers} subscriber(s)"
        faces = self.resolve_topic_name("faces")
        if settings.wait_for_emotions and not self._is_answered(faces):
            return f"waiting for siamese_emotion to listen to {faces}"
        return ""

    def _is_answered(self, faces: str) -> bool:
        """Whether a node that publishes `emotion` listens to `faces`: siamese_emotion, whatever its name is here."""
        emotions = self.get_publishers_info_by_topic(self.resolve_topic_name("emotion"))
        answering = {(publisher.node_namespace, publisher.node_name) for publisher in emotions}
        return any(
            (listener.node_namespace, listener.node_name) in answering
            for listener in self.get_subscriptions_info_by_topic(faces)
        )
