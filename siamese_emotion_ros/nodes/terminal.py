"""A demo in a terminal: a live view, a key that ends it, and signals that end it in order."""
from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import tty
from contextlib import contextmanager
from typing import Iterator

from rich.console import Console
from rich.live import Live

from siamese_emotion_ros.nodes.live_table import View, plain_line, render


@contextmanager
def shown(view: View, console: Console) -> Iterator[None]:
    """Show the view while inside: live in a terminal, a line every few seconds elsewhere."""
    if console.is_terminal:
        with Live(
            console=console, get_renderable=lambda: render(view), refresh_per_second=8, transient=True
        ):
            yield
        return
    over = threading.Event()

    def print_lines() -> None:
        while not over.wait(2.0):
            console.print(plain_line(view))

    printing = threading.Thread(target=print_lines, daemon=True)
    printing.start()
    try:
        yield
    finally:
        over.set()
        printing.join()


@contextmanager
def quit_by_key(quitting: threading.Event) -> Iterator[None]:
    """While inside, q ends the demo, where there is a keyboard."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if select.select([descriptor], [], [], 0.2)[0] and os.read(descriptor, 1) in (b"q", b"Q"):
                quitting.set()

    tty.setcbreak(descriptor)
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def quit_by_signal(quitting: threading.Event) -> Iterator[None]:
    """While inside, Ctrl-C and SIGTERM end the demo in order rather than at once."""
    before = {number: signal.signal(number, lambda *_: quitting.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
