"""The lifecycle of all our nodes: transitions that refuse and do not raise, autostart, checked parameters, streams."""
from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSHistoryPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rosgraph_msgs.msg import Clock as ClockMessage

from siamese_emotion_ros.nodes.conversions import nanoseconds
from siamese_emotion_ros.nodes.diagnostics import DiagnosticsPublisher, StreamStatistics
from siamese_emotion_ros.nodes.executors import FramesGroup, GroupExecutor
from siamese_emotion_ros.nodes.parameters import START, Change, ParameterRefused, ParameterTable, Spec
from siamese_emotion_ros.nodes.stream import LiveMailbox, Throttle, Worker

#: What a user can put right; anything else is a fault of ours and is logged with its traceback.
REFUSALS = (ValueError, OSError)

AUTOSTART = Spec(
    "autostart", True, "Configure and activate by itself once started; false leaves both to a lifecycle manager.",
    changes=START,
)


class QosRefused(ParameterRefused):
    """A QoS override that cannot be had. It is read-only: only another start of the node helps."""


class StreamNode(LifecycleNode):
    """A lifecycle node with a parameter table; subclasses fill in load, start, stop, unload and change.

    - configure: checks the parameters, then load(settings)
    - activate: start(), streams begin
    - deactivate: stop(), streams end, what was loaded stays
    - cleanup: unload()
    - shutdown and errors: stop() and unload(), from wherever the node was

    A hook that raises refuses its transition: the node logs one line and stays in the state it was in, to be asked
    again.
    """

    def __init__(self, table: ParameterTable, **kwargs: Any) -> None:
        # Frames have a callback group of their own: a parameter callback may load for a second while they flow.
        self._frames_group = FramesGroup()
        #: The executor of the frames where there is one beside the node's own; it is told of new subscriptions.
        self.frames_executor: Optional[GroupExecutor] = None
        super().__init__(table.node_name, **kwargs)
        self._table = table
        self._refusals = table.declare(self)
        self._files_at_start = table.files(self)
        self._throttle = Throttle()
        self._offered: List[Any] = []
        self._autostart: Any = None
        #: What the streams count, for /diagnostics.
        self.statistics = StreamStatistics()
        #: The checked parameters, as of the last configure or change; None while unconfigured.
        self.settings: Any = None
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._diagnostics = DiagnosticsPublisher(self)
        if self.get_parameter("autostart").value:
            self._autostart = self.steady_timer(0.001, self._start_by_itself)

    # --- what a subclass fills in ---

    def load(self, settings: Any) -> None:
        """Make all that activation needs, or raise."""

    def start(self) -> None:
        """Begin the streams, or raise."""

    def stop(self) -> None:
        """End the streams; also called when they never began."""

    def unload(self) -> None:
        """Free what load() made, but for its publishers; also called after a load() that raised half-way."""

    def change(self, change: Change) -> None:
        """Put changed settings into effect in a configured node; to refuse them, raise and leave all as it was."""

    def stop_waiting(self) -> None:
        """Wake callbacks that are waiting for frames: the process is shutting down."""

    #: Whether long without a face is worth a warning on /diagnostics.
    faces_expected = False

    def facts(self) -> Dict[str, Any]:
        """What else /diagnostics says about the node; called in every state."""
        return {}

    # --- transitions ---

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters and load; FAILURE with one log line, and still unconfigured, when either is refused."""
        try:
            if self._refusals:
                raise ParameterRefused("; ".join(self._refusals.values()))
            settings = self._table.read(self)
            self.load(settings)
        except Exception as error:
            self._log_refusal("configure", error)
            self._unload()
            return TransitionCallbackReturn.FAILURE
        self.settings = settings
        self.statistics.state = "inactive"
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers and begin the streams."""
        super().on_activate(state)
        self.statistics.begin()
        try:
            self.start()
        except Exception as error:
            self._log_refusal("activate", error)
            self.stop()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self.statistics.state = "active"
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the streams; what was loaded stays."""
        self.stop()
        self.statistics.state = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free what was loaded."""
        self.settings = None
        self._unload()
        self.statistics.state = "unconfigured"
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End everything, from whatever state."""
        self.close()
        self.statistics.state = "finalized"
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End everything; the node is unconfigured afterwards and may be configured again."""
        self.close()
        self.statistics.state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """End the streams and free what was loaded."""
        self.stop()
        self.settings = None
        self._unload()

    def destroy_node(self) -> None:
        """As rclpy's, in whatever state: the threads of the streams end before their publishers do."""
        self.close()
        super().destroy_node()

    # --- for subclasses ---

    def publisher(self, message_type: type, topic: str, qos: QoSProfile) -> Any:
        """A lifecycle publisher, until the node is unloaded, whose QoS can be overridden by parameters.

        ParameterRefused for wrong ones.
        """
        with self._refusing_wrong_qos(topic):
            publisher = self.create_lifecycle_publisher(
                message_type, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
            )
        self._offered.append(publisher)
        return publisher

    def steady_timer(self, period: float, callback: Callable[[], None]) -> Any:
        """A timer, in seconds, that goes on where the node's own clock is a simulation's, paused or never published."""
        return self.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def create_subscription(self, message_type: Any, topic: str, *args: Any, **kwargs: Any) -> Any:
        """As rclpy's; but /clock comes with the frames, so that time goes on while a parameter callback loads."""
        if message_type is ClockMessage:
            kwargs.setdefault("callback_group", self._frames_group)
        subscription = super().create_subscription(message_type, topic, *args, **kwargs)
        if message_type is ClockMessage:
            self._wake_frames()
        return subscription

    def subscription(self, message_type: type, topic: str, qos: QoSProfile, callback: Callable[[Any], None]) -> Any:
        """A subscription in the frames' callback group, whose QoS can be overridden by parameters, as publisher's."""
        with self._refusing_wrong_qos(topic):
            subscription = self.create_subscription(
                message_type, topic, callback, qos, callback_group=self._frames_group,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        self._wake_frames()
        return subscription

    def unsubscribe(self, subscription: Any) -> None:
        """End what `subscription` made."""
        self.destroy_subscription(subscription)
        self._wake_frames()

    def refuse_message(self, error: Exception) -> None:
        """Count a message of a stream that could not be worked on, and log why as stream_failed."""
        self.statistics.refused(str(error))
        self.stream_failed(error)

    def stream_failed(self, error: Exception) -> None:
        """Log what went wrong in a stream, the same line at most every few seconds."""
        if not self.context.ok():
            return  # Ctrl-C came between taking a message and answering it
        refused = isinstance(error, REFUSALS)
        text = str(error) if refused else _with_traceback(error)
        line = self._throttle.line(f"{type(error).__name__} {error}", text)
        if line is None:
            return
        if refused:
            self.get_logger().warning(line)
        else:
            self.get_logger().error(line)

    def count_published(self, stamp: Any) -> None:
        """Count what was published just now of the image with this stamp."""
        self.statistics.published(self.get_clock().now().nanoseconds - nanoseconds(stamp))

    def log_throttled(self, what: str) -> None:
        """Log what a stream came upon, the same line at most every few seconds."""
        line = self._throttle.line(what, what)
        if line is not None:
            self.get_logger().info(line)

    def log_fault(self, error: Exception) -> None:
        """Log an exception that nobody expected, with its traceback."""
        self.get_logger().error(_with_traceback(error))

    # --- inside ---

    def _unload(self) -> None:
        self.unload()
        while self._offered:
            self.destroy_lifecycle_publisher(self._offered.pop())

    @contextmanager
    def _refusing_wrong_qos(self, topic: str) -> Iterator[None]:
        """QosRefused for what rclpy and the middleware raise over an override: a typing error is no fault of ours."""
        try:
            yield
        except (RuntimeError, ParameterException) as error:
            prefix = f"qos_overrides.{self.resolve_topic_name(topic)}"
            given = ", ".join(f"{name} {found.value}" for name, found in self.get_parameters_by_prefix(prefix).items())
            raise QosRefused(
                f"{topic}: {error}; correct {prefix}.* ({given or 'none'}) and start the node again"
            ) from error

    def _wake_frames(self) -> None:
        if self.frames_executor is not None:
            self.frames_executor.wake()

    def _start_by_itself(self) -> None:
        self._autostart.cancel()
        if self.settings is None and self.context.ok() and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _on_set_parameters(self, parameters: List[Parameter]) -> SetParametersResult:
        """Check a request to set parameters and put it into effect, or answer with the reason and change nothing."""
        configured = self.settings is not None
        try:
            change = self._table.changed(self, parameters, configured, self._files_at_start)
            if change.names and configured:
                self.change(change)
                self.settings = change.settings
        except REFUSALS as error:
            self.statistics.last_refusal = str(error)
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:
            self.log_fault(error)
            return SetParametersResult(successful=False, reason=f"{type(error).__name__}: {error}")
        for name in change.names:
            self._refusals.pop(name, None)
        return SetParametersResult(successful=True)

    def _log_refusal(self, transition: str, error: Exception) -> None:
        if not self.context.ok():
            return
        reason = str(error) if isinstance(error, REFUSALS) else _with_traceback(error)
        self.statistics.last_refusal = f"cannot {transition}: {error}"
        then = f" (then: ros2 lifecycle set {self.get_fully_qualified_name()} {transition})"
        self.get_logger().error(f"cannot {transition}: {reason}{'' if isinstance(error, QosRefused) else then}")


class Stream:
    """A subscription whose messages wait in a mailbox for a thread that works on them in order.

    As many may wait as the subscription's depth says, and fewer while the thread is too slow for what comes (see
    LiveMailbox); the executor only ever moves them into the mailbox. The QoS can be overridden by parameters.
    """

    def __init__(
        self,
        node: StreamNode,
        message_type: type,
        topic: str,
        qos: QoSProfile,
        work: Callable[[Any], None],
        begin: Optional[Callable[[], None]] = None,
    ) -> None:
        """To be opened; then `work` is called with each message in the thread, which calls `begin` first."""
        self._node = node
        self._mailbox = LiveMailbox(capacity=None)

        def counted(message: Any) -> None:
            node.statistics.received()
            work(message)

        self._worker = Worker(self._mailbox, counted, node.refuse_message, f"{node.get_name()} {topic}", begin)
        self._subscribe = lambda: node.subscription(message_type, topic, qos, self._mailbox.put)
        self._qos = qos
        self._subscription: Any = None

    def open(self) -> None:
        """Subscribe. Not done in the constructor, so that the stream's owner has it when the first message comes."""
        self._node.statistics.replaced = lambda: self.replaced
        self._subscription = self._subscribe()
        self._mailbox.limit(_capacity(self._qos))  # now that the overrides are written into it

    @property
    def replaced(self) -> int:
        """How many messages gave way to newer ones before they were worked on."""
        return self._mailbox.replaced

    def stop(self) -> None:
        """Finish the message in work, drop those that wait, unsubscribe."""
        if self._subscription is not None:
            self._node.unsubscribe(self._subscription)
        self._worker.stop()


def _capacity(qos: QoSProfile) -> Optional[int]:
    return None if qos.history == QoSHistoryPolicy.KEEP_ALL else max(1, qos.depth)


def _with_traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).strip()
