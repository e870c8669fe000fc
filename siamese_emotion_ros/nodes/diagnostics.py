"""What a node says about itself on /diagnostics once a second: rates, latency, what gave way, and whether that is well.

A stream only counts and appends to a deque; everything else is worked out when it is said.
"""
from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Deque, Dict, NamedTuple, Optional, Tuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

#: How often it is said [s].
PERIOD = 1.0

#: An active node that has been given nothing for so long is in ERROR [s].
SILENCE = 5.0

#: Images without a face for so long are a WARN: is the camera the wrong way up, or is it dark? [s]
NO_FACE = 60.0

#: A node whose streams refuse more than this share of what came lately is in ERROR.
REFUSED_SHARE = 0.5

#: A stream is slow when more than this share of what came lately was replaced by newer before it was worked on.
REPLACED_SHARE = 0.2

#: Later than this, or earlier, is no latency: stamps and the node's clock are of different times [s].
OTHER_CLOCK = 60.0

#: Reports that "lately" reaches back, and latencies that are kept.
LATELY, KEPT = 10, 600

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE
)


class Report(NamedTuple):
    """A level of DiagnosticStatus, a sentence, and what was counted."""

    level: bytes
    message: str
    values: Dict[str, str]


class _Counts(NamedTuple):
    """How many messages had come, gone out, been refused, and given way to newer ones at a time [s]."""

    time: float
    came: int
    went: int
    refused: int
    replaced: int


class StreamStatistics:
    """Counters of a node's streams: written by them for every frame, read once a second.

    fault: what is broken, such as a lost camera. idle_reason: why nothing comes although all is well, such as a file
    that has ended. last_refusal: what was refused last, and why.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.state = "unconfigured"
        self.last_refusal = ""
        self.replaced: Callable[[], int] = lambda: 0
        self.begin()

    def begin(self) -> None:
        """Count from nothing, as when the node is activated."""
        now = self._clock()
        self.fault = self.idle_reason = ""
        self._came = self._went = self._refused = 0
        self._last_came = self._last_face = now
        self._latencies: Deque[int] = deque(maxlen=KEPT)
        self._history: Deque[_Counts] = deque([_Counts(now, 0, 0, 0, 0)], maxlen=LATELY + 1)

    def received(self) -> None:
        """A message is taken up to be worked on."""
        self._came += 1
        self._last_came = self._clock()

    def refused(self, reason: str) -> None:
        """A message could not be worked on."""
        self._refused += 1
        self.last_refusal = reason

    def saw_face(self) -> None:
        """There was a face in it."""
        self._last_face = self._last_came

    def published(self, latency: Optional[int] = None) -> None:
        """A message was published, so many nanoseconds after the stamp of its image."""
        self._went += 1
        if latency is not None:
            self._latencies.append(latency)

    def report(self, faces_expected: bool = False) -> Report:
        """How the node is, by what was counted since the reports before."""
        now = self._clock()
        before = self._history[-1]
        self._history.append(_Counts(now, self._came, self._went, self._refused, self.replaced()))
        lately = self._history[0]
        span = max(now - before.time, 1e-3)
        latencies = np.array(self._latencies, np.float64) / 1e9
        values = {
            "state": self.state,
            "rate in [1/s]": f"{(self._came - before.came) / span:.1f}",
            "rate out [1/s]": f"{(self._went - before.went) / span:.1f}",
            "messages replaced by newer": str(self._history[-1].replaced),
            "messages refused": str(self._refused),
        }
        if len(latencies):
            median, p99 = np.percentile(latencies, [50, 99])
            values["latency median [ms]"], values["latency p99 [ms]"] = f"{1e3 * median:.1f}", f"{1e3 * p99:.1f}"
        else:
            median = 0.0
        values["last refusal"] = self.last_refusal or "none"
        level, message = self._level(now, lately, float(median), faces_expected)
        return Report(level, message, values)

    def _level(
        self, now: float, lately: _Counts, latency: float, faces_expected: bool
    ) -> Tuple[bytes, str]:
        if self.state != "active":
            return STALE, self.state
        if self.fault:
            return ERROR, self.fault
        silent = now - self._last_came
        if silent > SILENCE:
            return (OK, self.idle_reason) if self.idle_reason else (ERROR, f"nothing has come for {silent:.0f} s")
        came, refused = self._came - lately.came, self._refused - lately.refused
        if refused > REFUSED_SHARE * came:
            return ERROR, f"{refused} of {came} messages refused, the last: {self.last_refusal}"
        if abs(latency) > OTHER_CLOCK:
            age = f"{latency:.0f} s old" if latency > 0 else f"{-latency:.0f} s ahead"
            return WARN, f"stamps are {age}: does use_sim_time fit where the images come from?"
        replaced = self._history[-1].replaced - lately.replaced
        if replaced > REPLACED_SHARE * (came + replaced):
            return WARN, f"slow: {replaced} of {came + replaced} messages gave way to newer ones"
        without_face = now - self._last_face
        if faces_expected and without_face > NO_FACE:
            return WARN, f"no face for {without_face:.0f} s: is it dark, or the image upside down?"
        idle = self._came == self._history[-2].came
        return OK, self.idle_reason if idle and self.idle_reason else "working"


class DiagnosticsPublisher:
    """Says once a second how a StreamNode is, in every state of its life."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.steady_timer(PERIOD, self.publish)

    def publish(self) -> None:
        """Say it now."""
        node = self._node
        report = node.statistics.report(node.faces_expected)
        values = {**report.values, **{name: str(value) for name, value in node.facts().items()}}
        status = DiagnosticStatus(
            level=report.level, name=node.get_fully_qualified_name(), message=report.message,
            values=[KeyValue(key=name, value=value) for name, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = node.get_clock().now().to_msg()
        self._publisher.publish(message)
