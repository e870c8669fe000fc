"""Text that every terminal can show and every message and file can carry."""
from __future__ import annotations

import re
from typing import Iterable

#: Control characters, and halves of characters, as which Python reads the bytes of a file name that are no UTF-8.
NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_plain(what: str, texts: Iterable[str]) -> None:
    """ValueError, naming `what` they are, for a text with a control character or half a character."""
    for text in texts:
        if NOT_PLAIN.search(text):
            raise ValueError(f"{what} holds {text[:80]!r}: expected text without control characters")


def spelled_out(text: str) -> str:
    r"""`text` with every such character as Python writes it, such as \n or \udcfc."""
    return NOT_PLAIN.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
