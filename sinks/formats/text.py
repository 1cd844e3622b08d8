"""A sentence for people: the instant, what happened. It is one line always, and steers no terminal."""

from __future__ import annotations

from typing import Final

from sinks.contract import FormatKind, Item, Options, SentBy, Writing
from sinks.sentences import rfc3339, sentence


def writer(_: SentBy, __: Options) -> Writing:
    """The same for everybody."""
    return write


def write(item: Item) -> bytes:
    """An item as a line."""
    at_ms = getattr(item.record, "at_ms", 0)
    marked = "SAMPLE " if item.sample else ""
    return f"{rfc3339(at_ms)} {marked}{item.happening}: {sentence(item.record)}".encode("utf-8", "replace")


KIND: Final = FormatKind(writer)
