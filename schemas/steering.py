"""Text made harmless: what could steer a terminal, or turn what is shown, is written as an escape."""

from __future__ import annotations

import re
from typing import Final

STEERING: Final = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Control, format and line separator characters that JSON leaves as they are."""


def harmless(wire: bytes) -> bytes:
    r"""JSON that means the same, with what could steer a terminal escaped (`\u009b`, `\u202e`)."""
    if wire.isascii() and b"\x7f" not in wire:
        return wire
    return STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", wire.decode("utf-8")).encode("utf-8")


def printable(text: str) -> str:
    r"""Text with every character that could steer a terminal written as its escape (`\\x1b`, `\\u202e`)."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )
