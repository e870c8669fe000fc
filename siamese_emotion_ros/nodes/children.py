"""Our executables as child processes: started from where they are installed, watched, and ended in order."""
from __future__ import annotations

import ctypes
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Sequence

from ament_index_python.packages import get_package_prefix

PACKAGE = "siamese_emotion_ros"


class ChildError(RuntimeError):
    """A child process that has ended or does not do its work; the message says what it complained of."""


class Child:
    """One of our executables in a process of its own, its output in a log file."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        executable = Path(get_package_prefix(PACKAGE)) / "lib" / PACKAGE / name
        self.name = name
        self._log = log
        with log.open("wb") as output:
            # A session of its own: Ctrl-C is for the parent, which then ends its children in order.
            self._process = subprocess.Popen(
                [str(executable), *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=_end_with_parent,
            )

    def check(self) -> None:
        """ChildError when the process has ended."""
        if self._process.poll() is not None:
            raise ChildError(f"{self.name} ended with status {self._process.returncode}:\n{self.complaints()}")

    def complaints(self, lines: int = 12) -> str:
        """The last warnings and errors of its log, or its last lines when there are none."""
        text = self._log.read_text("utf-8", "replace").splitlines()
        serious = [line for line in text if "[ERROR]" in line or "[WARN]" in line]
        return "\n".join(serious[-3:] or text[-lines:])

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def end(self) -> None:
        """Ask it to stop, and make it stop when it does not."""
        for number, patience in ((signal.SIGINT, 10.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, None)):
            if self._process.poll() is None:
                self._process.send_signal(number)
                try:
                    self._process.wait(patience)
                except subprocess.TimeoutExpired:
                    continue


def _end_with_parent() -> None:
    """Linux: have the kernel end this process when its parent dies without ending it (prctl(2), PR_SET_PDEATHSIG)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
