"""What every stream of images needs: a mailbox, a thread at work on it, quiet logging."""
from __future__ import annotations

import re
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional

#: Two lines are the same when so much of them is, but for numbers [characters].
SAME_LINE = 36


class Mailbox:
    """A box for `capacity` items between one thread that puts and one that takes.

    Putting into a full box replaces the oldest item, so that a slow reader sees new images late by at most `capacity`
    frames, never by a growing queue. `replaced` counts them.
    """

    def __init__(self, capacity: Optional[int] = 1) -> None:
        """`capacity` None is unlimited: nothing is ever replaced, and memory is the caller's care."""
        self._items: Deque[Any] = deque(maxlen=_checked(capacity))
        self._changed = threading.Condition()
        self._closed = False
        self.replaced = 0

    def limit(self, capacity: Optional[int]) -> None:
        """Change the capacity; the newest items stay."""
        with self._changed:
            self._items = deque(self._items, maxlen=_checked(capacity))

    def put(self, item: Any) -> None:
        """Leave an item; never waits."""
        with self._changed:
            if len(self._items) == self._items.maxlen:
                self.replaced += 1
            self._items.append(item)
            self._changed.notify()

    def take(self, timeout: Optional[float] = None) -> Optional[Any]:
        """The oldest item; None when the box was closed or stayed empty for `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if self._closed or not self._items:
                return None
            return self._items.popleft()

    def close(self) -> None:
        """Wake whoever waits; nothing is handed out any more."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


class LiveMailbox(Mailbox):
    """A mailbox that bridges a moment in which the reader is held up, and hands a reader that is too slow the newest.

    What comes while the reader is late waits in order, and nothing is lost as long as there is room. When there is
    none, less is: each time the box overflows it holds one item less, down to the newest alone, until the reader has
    caught up, that is, finds it empty. So a reader that never will is not always late by `capacity` items.
    """

    def __init__(self, capacity: Optional[int] = 1) -> None:
        super().__init__(capacity)
        self._less = 0

    def put(self, item: Any) -> None:
        """Leave an item; never waits."""
        with self._changed:
            capacity = self._items.maxlen
            if capacity is not None and len(self._items) >= capacity - self._less:
                self._less = min(self._less + 1, capacity - 1)
                while len(self._items) >= capacity - self._less:
                    self._items.popleft()
                    self.replaced += 1
            super().put(item)

    def take(self, timeout: Optional[float] = None) -> Optional[Any]:
        """The oldest item; None when the box was closed or stayed empty for `timeout` seconds."""
        with self._changed:
            if not self._items:
                self._less = 0
            return super().take(timeout)


def _checked(capacity: Optional[int]) -> Optional[int]:
    if capacity is not None and capacity < 1:
        raise ValueError(f"capacity is {capacity}: expected at least 1, or None for no limit")
    return capacity


class Worker:
    """A thread that calls `work` with each item of a mailbox until it is stopped.

    An exception from `work` goes to `failed` and costs that one item, never the thread. `begin` is called first, in the
    thread itself: some libraries keep their number of threads for each thread.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        work: Callable[[Any], None],
        failed: Callable[[Exception], None],
        name: str,
        begin: Optional[Callable[[], None]] = None,
    ) -> None:
        self._mailbox = mailbox
        self._work = work
        self._failed = failed
        self._begin = begin
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the item in work, drop the waiting ones, end the thread. May be called twice."""
        self._mailbox.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        if self._begin is not None:
            self._begin()
        for item in iter(self._mailbox.take, None):
            try:
                self._work(item)
            except Exception as error:  # whatever it is, the next frame deserves its answer
                self._failed(error)


class Throttle:
    """Lets the same line through once per `period` seconds, and says how often it was held back since."""

    def __init__(self, period: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._last: Dict[str, float] = {}
        self._held_back: Dict[str, int] = {}

    def line(self, key: str, text: str) -> Optional[str]:
        """`text` to log now, or None while one whose `key` begins alike was logged less than a period ago."""
        # Whatever its numbers: of compressed images that cannot be read, each has another number of bytes.
        key = re.sub(r"\d+", "0", key)[:SAME_LINE]
        now = self._clock()
        if now - self._last.get(key, -self._period) < self._period:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return None
        if len(self._last) > 100:  # keys are few; a stream that makes up new ones must not fill the memory
            self._last.clear()
            self._held_back.clear()
        self._last[key] = now
        repeats = self._held_back.pop(key, 0)
        return f"{text} ({repeats} more since the last such line)" if repeats else text
