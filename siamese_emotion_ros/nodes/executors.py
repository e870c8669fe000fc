"""The threads that spin our nodes: frames in one, the services and timers of each node in one more."""
from __future__ import annotations

import threading
from typing import Any, List, Optional

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, ShutdownException, SingleThreadedExecutor


class FramesGroup(MutuallyExclusiveCallbackGroup):
    """A callback group for frames: whoever is in it waits in the FramesExecutor, not behind a parameter callback."""


class ServicesExecutor(SingleThreadedExecutor):
    """Spins all of a node but its frames: parameters, transitions, timers. A callback may load for a second."""

    def can_execute(self, entity: Any) -> bool:
        """Leave what is in a frames group to the FramesExecutor."""
        return not _is_of_frames(entity) and super().can_execute(entity)


class FramesExecutor(SingleThreadedExecutor):
    """Spins the frames of nodes that otherwise belong to a ServicesExecutor each; its callbacks only hand over.

    rclpy's own way to that end, a MultiThreadedExecutor, hands a callback to a pool and, until a thread of the pool
    gets hold of the interpreter, offers it again and again: it takes most of a core, and most of the interpreter from
    the threads at work on the frames. (At 30 images/s on two cores: 80 % of a core, and two frames of five lost.)
    """

    def __init__(self, context: Optional[Context] = None) -> None:
        super().__init__(context=context)
        self._spun: List[Any] = []

    def spin_frames_of(self, node: Any) -> None:
        """Not add_node(), which would take the node away from its other executor."""
        self._spun.append(node)
        self.wake()

    def get_nodes(self) -> List[Any]:
        """The nodes whose frames are spun."""
        return list(self._spun)

    def can_execute(self, entity: Any) -> bool:
        """Only what is in a frames group."""
        return _is_of_frames(entity) and super().can_execute(entity)


class NodeThreads:
    """Spins nodes until `stop`. An exception in a callback is logged, never the end of a thread."""

    def __init__(self, context: Optional[Context] = None) -> None:
        self._context = context
        self._stopping = threading.Event()
        self._frames = FramesExecutor(context)
        self._executors: List[Executor] = []
        self._threads: List[threading.Thread] = []
        self._start(self._frames, "frames")

    def add(self, node: Any) -> None:
        """Spin a StreamNode from now on."""
        executor = ServicesExecutor(context=self._context)
        executor.add_node(node)
        node.frames_executor = self._frames
        self._frames.spin_frames_of(node)
        self._start(executor, f"{node.get_name()} services")

    def stop(self) -> None:
        """Finish the callbacks that run and return."""
        self._stopping.set()
        for executor in self._executors:
            executor.create_task(lambda: None)  # spin_once() comes back from waiting only with something to do
        for thread in self._threads:
            thread.join()
        for executor in self._executors:
            executor.shutdown()

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
            except Exception as error:  # a fault in one callback is no reason to leave the robot without eyes
                for node in executor.get_nodes():
                    node.log_fault(error)


def _is_of_frames(entity: Any) -> bool:
    return isinstance(entity.callback_group, FramesGroup)
