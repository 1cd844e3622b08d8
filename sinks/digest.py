"""What a mail says of what happened: of one ban all there is, of many the first in full, others by name.

However much it is, it is a mail that can be read: so many in full, so many lines more, and then a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from schemas.records import Ban
from schemas.steering import printable
from sinks.contract import Item
from sinks.facts import technique_of_item
from sinks.sentences import reason, rfc3339, sentence, until

IN_FULL: Final = 20
NAMED: Final = 1_000
MOST_LINES: Final = 10
SUBJECT_CHARACTERS: Final = 160


def subject(items: Sequence[Item], host: str) -> str:
    """The subject of a mail; one line, whatever is in it."""
    marked = "SAMPLE: " if any(item.sample for item in items) else ""
    if len(items) == 1 and isinstance(ban := items[0].record, Ban):
        said = f"[{ban.jail}] banned {ban.prefix}"
    elif len(items) == 1:
        said = sentence(items[0].record)
    else:
        kinds = Counter(item.happening for item in items)
        said = ", ".join(f"{count} times {name}" for name, count in kinds.most_common())
        jails = Counter(item.record.jail for item in items if isinstance(item.record, Ban))
        said += "".join(f"; {name}: {count}" for name, count in jails.most_common(5))
    return printable(f"{marked}banstream on {host}: {said}")[:SUBJECT_CHARACTERS]


def digest(items: Sequence[Item]) -> str:
    """The text of a mail."""
    return "\n".join([*_head(items), *_in_full(items[:IN_FULL]), *_named(items[IN_FULL:])]) + "\n"


def _head(items: Sequence[Item]) -> Iterator[str]:
    if any(item.sample for item in items):
        yield "THIS IS A SAMPLE: nobody is banned."
        yield ""
    if len(items) > 1:
        times = [at_ms for item in items if (at_ms := getattr(item.record, "at_ms", None)) is not None]
        yield f"{len(items)} from {rfc3339(min(times))} to {rfc3339(max(times))}:"
        yield ""


def _in_full(items: Sequence[Item]) -> Iterator[str]:
    for item in items:
        yield sentence(item.record)
        if isinstance(item.record, Ban):
            yield from _about(item, item.record)
        yield ""


def _about(item: Item, ban: Ban) -> Iterator[str]:
    known = item.background
    yield f"  decided:   {rfc3339(ban.at_ms)}, {until(ban.until_ms)}"
    yield f"  why:       {printable(reason(ban))}"
    yield f"  history:   ban number {ban.ban_count} of it in this jail"
    if known.first_at_ms is not None:
        yield f"  since:     {rfc3339(known.first_at_ms)}"
    for name in ("users", "services", "hosts", "countries"):
        if values := getattr(known, name):
            yield f"  {name + ':':10} {printable(', '.join(values))}"
    if (technique := technique_of_item(item)) is not None:
        yield f"  technique: {technique.uid} {technique.name}"
    yield f"  id:        {item.id}; `banstream explain {ban.prefix}` has all of it"
    for line in (known.lines or ban.lines)[:MOST_LINES]:
        yield f"  | {printable(line)}"


def _named(items: Sequence[Item]) -> Iterator[str]:
    for item in items[:NAMED]:
        yield sentence(item.record)
    if len(items) > NAMED:
        yield f"... and {len(items) - NAMED} more, which `banstream bans` and `banstream events` have."
