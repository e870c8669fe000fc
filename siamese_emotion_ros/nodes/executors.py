"""The threads that spin our nodes: one for frames, one for services that wait for frames, one for the rest of each."""
from __future__ import annotations

import threading
from typing import Any, List, Optional, Type

from rclpy.callback_groups import CallbackGroup, ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation

InvalidHandle = rclpy_implementation.InvalidHandle  # rclpy has no other name for it in all distributions

# Each group has one thread, so its callbacks exclude each other anyway. In Humble a group that says so itself stays
# locked for good when a subscription is destroyed after its message has come and before it is taken (rclpy 1147).


class FramesGroup(ReentrantCallbackGroup):
    """A callback group for frames: they have an executor of their own and do not wait behind a parameter callback."""


class FrameWaitersGroup(ReentrantCallbackGroup):
    """A callback group for services that wait for frames: parameters and transitions do not wait behind them."""


class ServicesExecutor(SingleThreadedExecutor):
    """Spins everything in a node except frame callbacks and the services that wait for frames.

    That is parameters, transitions, timers and most services; a callback may load for a second.
    """

    def can_execute(self, entity: Any) -> bool:
        """Leave the other groups to the GroupExecutors."""
        return not isinstance(entity.callback_group, (FramesGroup, FrameWaitersGroup)) and super().can_execute(entity)


class GroupExecutor(SingleThreadedExecutor):
    """Spins one kind of callback group of nodes that otherwise belong to a ServicesExecutor each.

    For frames, whose callbacks only hand over, and for the services that wait for frames.

    rclpy's own way to that end, a MultiThreadedExecutor, hands a callback to a pool and, until a thread of the pool
    gets hold of the interpreter, offers it again and again: it takes most of a core, and most of the interpreter from
    the threads at work on the frames. (At 30 images/s on two cores: 80 % of a core, and two frames of five lost.)
    """

    def __init__(self, group: Type[CallbackGroup], context: Optional[Context] = None) -> None:
        super().__init__(context=context)
        self._group = group
        self._spun: List[Any] = []

    def spin_group_of(self, node: Any) -> None:
        """Not add_node(), which would take the node away from its other executor."""
        self._spun.append(node)
        self.wake()

    def get_nodes(self) -> List[Any]:
        """The nodes whose group is spun."""
        return list(self._spun)

    def can_execute(self, entity: Any) -> bool:
        """Only what is in a group of this kind."""
        return isinstance(entity.callback_group, self._group) and super().can_execute(entity)


class NodeThreads:
    """Spins nodes until `stop`. An exception in a callback is logged, never the end of a thread."""

    def __init__(self, context: Optional[Context] = None) -> None:
        self._context = context
        self._stopping = threading.Event()
        self._nodes: List[Any] = []
        self._frames = GroupExecutor(FramesGroup, context)
        self._waiters = GroupExecutor(FrameWaitersGroup, context)
        self._executors: List[Executor] = []
        self._threads: List[threading.Thread] = []
        self._start(self._frames, "frames")
        self._start(self._waiters, "frame waiters")

    def add(self, node: Any) -> None:
        """Spin a StreamNode from now on."""
        executor = ServicesExecutor(context=self._context)
        executor.add_node(node)
        node.frames_executor = self._frames
        self._frames.spin_group_of(node)
        self._waiters.spin_group_of(node)
        self._nodes.append(node)
        self._start(executor, f"{node.get_name()} services")

    def stop(self) -> None:
        """Finish the callbacks that run and return; may be called twice."""
        self._stopping.set()
        for node in self._nodes:
            node.stop_waiting()
        for executor in self._executors:
            executor.create_task(lambda: None)  # spin_once() comes back from waiting only with something to do
        for thread in self._threads:
            thread.join()
        for executor in self._executors:
            executor.shutdown()
        self._executors.clear()

    def _start(self, executor: Executor, name: str) -> None:
        self._executors.append(executor)
        self._threads.append(threading.Thread(target=self._spin, args=(executor,), name=name, daemon=True))
        self._threads[-1].start()

    def _spin(self, executor: Executor) -> None:
        while executor.context.ok() and not self._stopping.is_set():
            try:
                executor.spin_once()
            except (ExternalShutdownException, ShutdownException):
                return
            except InvalidHandle as error:  # another thread destroyed a subscription that this one was to wait for
                for node in executor.get_nodes():
                    node.get_logger().debug(f"spun again: {error}")
            except Exception as error:  # a fault in one callback is no reason to leave the robot without eyes
                for node in executor.get_nodes():
                    node.log_fault(error)

