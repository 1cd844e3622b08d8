"""A filter's own samples: lines, and the event each of them is. They ship with the filter, which proves it.

`samples/NAME.toml` holds tables `[[sample]]` with `line` (a message without its header) and `says` (kind,
address, user, port; the last two left out where the line has none; `[]` for no event), and `others`: whole
lines of other programs that must give no event. Every sample is tried behind every form of header.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from producers.filters import Filter, Row
from producers.stamps import Clock
from schemas.errors import ConfigError

NOW_MS: Final = int(datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp() * 1_000)
CLOCK: Final = Clock(NOW_MS, "offline")
FORMS: Final = {
    "rfc 3164": "Nov 22 09:00:00 web {program}[4711]: {line}",
    "with priority": "<38>Nov 22 09:00:00 web {program}[4711]: {line}",
    "rfc 5424": "<38>1 2026-11-22T09:00:00.5Z web {program} 4711 - - {line}",
    "rfc 5424 with data": '<38>1 2026-11-22T09:00:00Z web {program} 4711 ID47 [x@1 a="b \\] c"] \ufeff{line}',
    "iso": "2026-11-22T09:00:00.123456+00:00 web {program}[4711]: {line}",
    "short-iso": "2026-11-22T09:00:00+0000 web {program}[4711]: {line}",
    "short-precise": "Nov 22 09:00:00.123456 web {program}[4711]: {line}",
    "short-full": "Sun 2026-11-22 09:00:00 UTC web {program}[4711]: {line}",
    "short-unix": "1795338000.123456 web {program}[4711]: {line}",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A message and what it says: kind, address, user and port; None for no event."""

    line: str
    says: tuple[str, str, str | None, int | None] | None


@dataclass(frozen=True, slots=True)
class Samples:
    """All samples of one filter."""

    samples: tuple[Sample, ...]
    others: tuple[str, ...]


@cache
def load_samples(name: str) -> Samples:
    """The samples of a filter; ConfigError when it has none."""
    path = Path(__file__).with_name(f"{name}.toml")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"filter {name}: has no samples; write {path.name}") from error
    return Samples(tuple(map(_sample, tables["sample"])), tuple(tables["others"]))


def wrong(filter_: Filter) -> Iterator[str]:
    """A sentence for each sample that the filter does not read as it should; nothing when it is right."""
    samples = load_samples(filter_.name)
    for sample in samples.samples:
        for form, template in FORMS.items():
            found = said(filter_, template.format(program=filter_.service, line=sample.line))
            if found != ([] if sample.says is None else [sample.says]):
                yield f"{filter_.name}, {form}: {sample.line!r} gives {found}, not {sample.says}"
    for line in samples.others:
        if found := said(filter_, line):
            yield f"{filter_.name}: {line!r} gives {found}, not nothing"


def said(filter_: Filter, line: str) -> list[tuple[str, str, str | None, int | None]]:
    """The events of one line, alone in its stream."""
    rows: list[Row] = filter_.matcher().scan(f"{line}\n".encode(), CLOCK)
    return [(kind, ip, user, port) for kind, _, ip, _, _, user, port, *_ in rows]


def _sample(table: dict[str, Any]) -> Sample:
    says = table["says"]
    if not says:
        return Sample(table["line"], None)
    kind, address, user, port = [*says, None, None][:4]
    return Sample(table["line"], (kind, address, user, table.get("port", port)))
