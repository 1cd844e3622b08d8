"""A filter's own samples: lines, and the events they are. They stand in the filter's file, which they prove.

A table `[[sample]]` has `line`, a message, which is tried behind every header that syslog and the journal
write; or `log`, a line of the service's own log (or several, of one stream), which is tried as it is and in
every envelope. Each is of 2026-11-22 09:00:00 UTC; `timeless = true` says that a log line bears no time.

`says` is [kind, address, user, port], the last two left out where the line has none; a list of such lists for
several events; or a table with these names, and `fields` for what else is captured. [] is no event.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import orjson

from producers.filters.native.definition import SAMPLES
from producers.filters.rows import EventRow, Matcher
from producers.stamps import LineClock, Stamps
from schemas.errors import ConfigError

AT_MS: Final = int(datetime(2026, 11, 22, 9, tzinfo=UTC).timestamp() * 1_000)
NOW_MS: Final = AT_MS + 3_600_000
CLOCK: Final = LineClock(NOW_MS, "offline")
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
    "busybox": "Nov 22 09:00:00 auth.info {program}[4711]: {line}",
    "freebsd": "Nov 22 09:00:00 <4.6> web {program}[4711]: {line}",
    "solaris": "Nov 22 09:00:00 web {program}[4711]: [ID 800047 auth.info] {line}",
    "svlogd": "2026-11-22_09:00:00.12345 {program}[4711]: {line}",
}
OWN: Final = "its own log"
CONTAINERS: Final = ("docker", "containerd")


@dataclass(frozen=True, slots=True)
class SaidEvent:
    """An event as a sample states it. `fields` None: not stated."""

    kind: str
    ip: str
    user: str | None = None
    port: int | None = None
    fields: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A message (`whole` false) or whole lines, and what they say."""

    text: str
    whole: bool
    says: tuple[SaidEvent, ...]
    timeless: bool = False


class Sampled(Protocol):
    """A filter that has samples."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def programs(self) -> tuple[str, ...]:
        """The names its service logs under."""
        ...

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Its samples."""
        ...

    def matcher(self, stamps: Stamps | None = None) -> Matcher:
        """A matcher that remembers nothing yet."""
        ...


def parse_samples(text: str, file: str) -> tuple[Sample, ...]:
    """The samples in the text of a filter's file. Raises ConfigError, naming the file and the sample."""
    _, mark, rest = text.partition(SAMPLES)
    try:
        found = tomllib.loads(mark + rest)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}, in its samples: {error}") from error
    tables = found.pop("sample", [])
    if found:
        raise ConfigError(f"{file}: {', '.join(found)}: would not be read; samples come last")
    return tuple(
        _sample(table, f"{file}: [[sample]] {number}") for number, table in enumerate(tables, start=1)
    )


def wrong(filter_: Sampled) -> Iterator[str]:
    """A sentence for each sample that the filter does not read as it should; nothing when it is right."""
    if not filter_.samples:
        yield f"{filter_.name}: has no samples; a filter has to prove itself"
    for sample in filter_.samples:
        for form, lines in written(filter_, sample).items():
            rows = scan(filter_, lines)
            found = [_said(row, sample.says[nth : nth + 1]) for nth, row in enumerate(rows)]
            if found != list(sample.says):
                yield f"{filter_.name}, {form}: {sample.text!r} gives {found}, not {list(sample.says)}"
            elif not (sample.timeless or (form == OWN and not sample.whole)) and any(
                row[1] // 1_000 != AT_MS // 1_000 for row in rows
            ):
                yield f"{filter_.name}, {form}: {sample.text!r} is taken for another time"


def written(filter_: Sampled, sample: Sample) -> Mapping[str, str]:
    """By form, the lines of a sample as a log holds them."""
    program = filter_.programs[0] if filter_.programs else None
    forms: dict[str, str] = {OWN: sample.text} if sample.whole or program is None else {}
    forms |= {
        form: "\n".join(template.format(program=program, line=line) for line in sample.text.split("\n"))
        for form, template in (FORMS.items() if program else ())
        if not sample.whole or sample.says
    }
    inner = sample.text if sample.whole or program is None else forms["rfc 3164"]
    forms |= {name: "\n".join(_contained(name, line) for line in inner.split("\n")) for name in CONTAINERS}
    if program and not sample.whole:
        forms["journal"] = "\n".join(_journal(program, line) for line in sample.text.split("\n"))
    return forms


def scan(filter_: Sampled, lines: str) -> list[EventRow]:
    """The events of lines, in a stream of their own."""
    return filter_.matcher(Stamps(UTC)).scan(f"{lines}\n".encode(), CLOCK)


def _contained(form: str, line: str) -> str:
    if form == "containerd":
        return f"2026-11-22T09:00:00.123456789Z stderr F {line}"
    return orjson.dumps(
        {"log": f"{line}\n", "stream": "stderr", "time": "2026-11-22T09:00:00.123456789Z"}
    ).decode()


def _journal(program: str, line: str) -> str:
    entry = {
        "__REALTIME_TIMESTAMP": f"{AT_MS}000",
        "SYSLOG_IDENTIFIER": program,
        "_HOSTNAME": "web",
        "_PID": "4711",
        "MESSAGE": line,
    }
    return orjson.dumps(entry).decode()


def _said(row: EventRow, stated: tuple[SaidEvent, ...]) -> SaidEvent:
    kind, _, ip, _, _, user, port, _, _, _, fields = row
    asked = bool(stated) and stated[0].fields is not None
    return SaidEvent(kind, ip, user, port, dict(fields or {}) if asked else None)


def _sample(table: dict[str, Any], place: str) -> Sample:
    try:
        says = table["says"]
        whole = "log" in table
        several = (
            says
            if isinstance(says, list) and says and not isinstance(says[0], str)
            else [says]
            if says
            else []
        )
        text = table["log" if whole else "line"]
        if not isinstance(text, str) or table.keys() - {"log", "line", "says", "timeless"}:
            raise TypeError("wants line or log, says, and perhaps timeless")  # noqa: TRY301 - as a wrong value is
        return Sample(text.rstrip("\n"), whole, tuple(map(_say, several)), bool(table.get("timeless")))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{place}: {error}") from error


def _say(says: Any) -> SaidEvent:
    return SaidEvent(**says) if isinstance(says, dict) else SaidEvent(*says)
