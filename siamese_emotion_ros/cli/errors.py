"""What a user's mistake looks like on the command line: one clear line and exit code 2, never a traceback.

A warning of ours, such as that the faces are the gallery's own anchors, is one line as well, without the code's.
"""
from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from typing import Any, Iterator, NoReturn, Type

import typer


@contextmanager
def reported() -> Iterator[None]:
    """Decorator of a command: ValueError, OSError or a missing extra is one line on stderr and exit code 2."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    except ModuleNotFoundError as error:
        if error.name is None:  # raised by a package that lacks another, in its own words
            _fail(" ".join(str(error).split()))
        extra = {"onnx": "onnx", "onnxruntime": "onnx", "faiss": "search"}.get(error.name, "train,eval")
        _fail(f"{error.name} is not installed: in the source tree, pip install -e '.[{extra}]'")
    except BrokenPipeError:  # whoever reads us has had enough, as `head` does: typer ends without a word
        raise
    except (ValueError, OSError) as error:
        _fail(str(error))


_show_python_warning = warnings.showwarning


def _show_warning(message: Any, category: Type[Warning], *place: Any, **more: Any) -> None:
    if category.__module__.startswith("siamese_emotion_ros."):
        print(f"siamese-emotion: {message}", file=sys.stderr)
    else:
        _show_python_warning(message, category, *place, **more)


def _fail(message: str) -> NoReturn:
    print(f"siamese-emotion: {message}", file=sys.stderr)
    raise typer.Exit(2)
