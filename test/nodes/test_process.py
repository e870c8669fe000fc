"""A process of ours and its signals: one Ctrl-C that arrives twice ends it in order, a second one at once."""
from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import threading, time
from siamese_emotion_ros.nodes.process import _stopper, signal
stop = threading.Event()
signal.signal(signal.SIGINT, _stopper(stop))
print("ready", flush=True)
stop.wait()
time.sleep({work})
print("in order", flush=True)
"""


@pytest.mark.parametrize("pause, work, status, said", [(0.05, 0.3, 0, "in order"), (2.5, 30, -signal.SIGINT, "")])
def test_who_asks_twice_is_not_made_to_wait_and_one_press_is_not_two(pause, work, status, said):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=work)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, output.strip()) == (status, said), errors
