"""Options that take several numbers."""
from __future__ import annotations

from typing import Callable, List, TypeVar

Number = TypeVar("Number", int, float)


def numbers(text: str, flag: str, example: str, kind: Callable[[str], Number]) -> List[Number]:
    """The numbers of `text`, separated by commas; ValueError names the flag and an example of what it takes."""
    try:
        return [kind(word) for word in text.split(",")]
    except ValueError as error:
        what = "whole numbers" if kind is int else "numbers"
        raise ValueError(f"{flag} is {text!r}: expected {what} such as {example}") from error
