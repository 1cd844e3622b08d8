"""CSV (RFC 4180), one row an item, the same columns always. A spreadsheet runs nothing of it.

A value that a spreadsheet would take for a formula has an apostrophe before it; line breaks and what steers
are written as their escapes.
"""

from __future__ import annotations

from typing import Final

from schemas.steering import printable
from sinks.contract import FormatKind, Item, Options, SentBy, Writing
from sinks.facts import facts_of

COLUMNS: Final = (
    "at", "record", "kind", "ip", "prefix", "port", "user", "service", "host", "source", "filter", "jail",
    "until", "failures", "ban_count", "rules", "verb", "outcome", "backend", "decision", "ban", "reason",
    "detail", "who", "why", "technique", "first", "users", "services", "hosts", "id", "ref", "sample",
    "message" )  # fmt: skip
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
MARKS: Final = frozenset('",')


def writer(_: SentBy, __: Options) -> Writing:
    """The same for everybody."""
    return write


def write(item: Item) -> bytes:
    """An item as a row."""
    facts = facts_of(item)
    return ",".join([cell(facts.get(name, "")) for name in COLUMNS]).encode("utf-8", "replace")


def cell(value: str | int) -> str:
    """A value as a cell."""
    if isinstance(value, int):
        return str(value)
    text = printable(value)
    if text.startswith(FORMULAS):
        text = f"'{text}"
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if MARKS & set(text) else text


KIND: Final = FormatKind(writer, content_type="text/csv", header=",".join(COLUMNS).encode())
