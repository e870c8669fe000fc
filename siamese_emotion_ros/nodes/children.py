"""Our executables as child processes: started from where they are installed, watched, and ended in order."""
from __future__ import annotations

import ctypes
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Sequence

import yaml
from ament_index_python.packages import get_package_prefix

from siamese_emotion_ros.shipped import PACKAGE

#: Importing torch on a busy machine takes its time; beyond this something is wrong [s].
STARTUP_LIMIT = 180.0

# Loaded here: between fork and exec, with other threads holding whatever locks they hold, it would be too late.
_LIBC = ctypes.CDLL(None)


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

    def complaints(self) -> str:
        """The last warnings and errors of its log, or its last lines when there are none."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        serious = [line for line in lines if "[ERROR]" in line or "[WARN]" in line]
        return "\n".join(serious[-3:] or lines[-12:])

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


def start_node(
    executable: str, parameters: Dict[str, Any], folder: Path, arguments: Sequence[str], ros_arguments: Sequence[str],
) -> Child:
    """One of our executables with the parameters of its nodes; their file, and the log, lie in `folder`."""
    file = folder / f"{executable}.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}), encoding="utf-8")
    return Child(
        executable, [*arguments, "--ros-args", *ros_arguments, "--params-file", str(file)], folder / f"{executable}.log"
    )


def check_all(children: Sequence[Child], deadline: float, complaint: str) -> None:
    """ChildError when one has ended, or `deadline` of time.monotonic() has passed: then with this complaint."""
    for child in children:
        child.check()
    if time.monotonic() > deadline:
        raise ChildError(f"{complaint}:\n{complaints_of(children)}")


def complaints_of(children: Sequence[Child]) -> str:
    """What each complained of."""
    return "\n".join(child.complaints() for child in children)


def _end_with_parent() -> None:
    """Linux: have the kernel end this process when its parent dies without ending it (prctl(2), PR_SET_PDEATHSIG)."""
    with suppress(OSError, AttributeError):
        _LIBC.prctl(1, signal.SIGTERM)
