"""What agents send as JSON: the line within, and the host that it is of.

| sender | line | host |
|---|---|---|
| Beats, Vector, Logstash | `event.original`, else `message` | `host.name`, `host`, `agent.name` |
| Fluent Bit, Fluentd | `log`, else `MESSAGE` with the journal's fields | `_HOSTNAME`, `hostname`, `host` |
| rsyslog (omhttp, omkafka) | `rawmsg`, else `msg` behind a header made of the other fields | `hostname` |
| GELF | `full_message`, else `short_message` | `host` |
| NXLog | `raw_event`, else `Message` | `Hostname` |
| parsed events: ECS, OCSF, Windows, CloudTrail, Kubernetes | the object, for a filter of JSON | theirs |

A line's own time counts, not when an agent read it. An object without a line is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from producers.filters.headers import syslog_header
from producers.sources.journald import render

TEXTS: Final = (
    "rawmsg", "event.original", "raw_event", "message", "log", "msg", "Message", "line",
    "full_message", "short_message",
)  # fmt: skip
HOSTS: Final = (
    "host.name", "winlog.computer_name", "hostname", "Hostname", "_HOSTNAME", "host", "agent.name",
    "dst_endpoint.hostname", "device.hostname",
)  # fmt: skip
PROGRAMS: Final = ("app-name", "programname", "appname", "SYSLOG_IDENTIFIER", "ident", "process.name")
PROGRAM_KEYS: Final = frozenset({*PROGRAMS, "process"})
UNUSUAL: Final = PROGRAM_KEYS | {"rawmsg", "event.original", "raw_event", "host.name"}
"""Without any of these `message` and `host.name` are all there is to a line of a Beat's."""
PIDS: Final = ("procid", "pid", "process.pid")
TIMES: Final = ("timereported", "timestamp", "@timestamp")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f\[\]:]+")
EVENT_KEYS: Final = frozenset(
    {"event", "event.category", "class_uid", "winlog", "winlog.event_id", "EventID", "eventSource",
     "apiVersion", "Records", "items", "MESSAGE"}
)  # fmt: skip
"""Without any of these an object is a line with what an agent adds: quick, as nearly all are."""
MOST_ENTRIES: Final = 1_000
"""So many events a list of Kubernetes' or CloudTrail's may have."""


class HostLine(NamedTuple):
    """A line, without its end, and the host that it is of; None: it names none, or the line does."""

    line: bytes
    host: str | None


def said(entry: Mapping[str, Any]) -> Iterable[HostLine]:
    """The lines of an object; none where it holds none."""
    if not EVENT_KEYS.isdisjoint(entry):
        return _others(entry)
    if UNUSUAL.isdisjoint(entry):
        text, host = entry.get("message"), entry.get("host")
        name = host.get("name") if isinstance(host, dict) else None
        if isinstance(text, str) and text and isinstance(name, str) and name:
            return (HostLine(text.encode("utf-8", "replace"), name),)
    return _line(entry)


def _others(entry: Mapping[str, Any]) -> Iterator[HostLine]:
    """What is more than a line with what an agent adds."""
    records = entry.get("Records") or (entry.get("items") if entry.get("kind") == "EventList" else None)
    if isinstance(records, list):
        for each in records[:MOST_ENTRIES]:
            if isinstance(each, dict):
                yield HostLine(orjson.dumps(each), _host(each))
    elif is_event(entry):
        yield HostLine(orjson.dumps(entry), _host(entry))
    elif "MESSAGE" in entry:
        yield from _journals(entry)
    else:
        yield from _line(entry)


def _line(entry: Mapping[str, Any]) -> Iterator[HostLine]:
    text = next((found for name in TEXTS if isinstance(found := at(entry, name), str) and found), None)
    if text is not None:
        host = _host(entry)
        yield HostLine(_headed(text, host, entry).encode("utf-8", "replace"), host)


def is_event(entry: Mapping[str, Any]) -> bool:
    """Whether an object is an event that somebody has parsed, and not a line with what an agent adds."""
    category = at(entry, "event.category")
    named = category if isinstance(category, list) else [category]
    return (
        ("authentication" in named and at(entry, "source.ip") is not None)
        or isinstance(entry.get("class_uid"), int)
        or at(entry, "winlog.event_id") is not None
        or ("EventID" in entry and "Channel" in entry)
        or ("eventSource" in entry and "eventName" in entry)
        or str(entry.get("apiVersion")).startswith("audit.k8s.io/")
    )


def at(entry: Mapping[str, Any], name: str) -> Any:
    """A value by its name: `host.name` within an object, or as a key of its own; None where there is none."""
    if name in entry:
        return entry[name]
    first, dot, rest = name.partition(".")
    inner = entry.get(first) if dot else None
    return at(inner, rest) if isinstance(inner, dict) else None


def _host(entry: Mapping[str, Any]) -> str | None:
    for name in HOSTS:
        found = at(entry, name)
        if isinstance(found, str) and found:
            return found
    return None


def _journals(entry: Mapping[str, Any]) -> Iterator[HostLine]:
    """An entry of the journal, as its source reads it."""
    made = dict(entry)
    try:
        if not made.get("_SOURCE_REALTIME_TIMESTAMP") and not made.get("__REALTIME_TIMESTAMP"):
            date = made.get("date")
            made["__REALTIME_TIMESTAMP"] = str(int(date * 1_000_000)) if isinstance(date, int | float) else ""
        yield HostLine(render(made).rstrip(b"\n"), _host(entry))
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        text = made["MESSAGE"]
        if isinstance(text, str):
            yield HostLine(text.encode("utf-8", "replace"), _host(entry))


def _headed(text: str, host: str | None, entry: Mapping[str, Any]) -> str:
    """A message behind the header that its agent took off; as it is where it has one, or names no program."""
    if host is None or PROGRAM_KEYS.isdisjoint(entry):
        return text
    program = next((found for name in PROGRAMS if isinstance(found := at(entry, name), str) and found), "")
    if not program or syslog_header(text.encode("utf-8", "replace")) is not None:
        return text
    time = next((str(found) for name in TIMES if TIME.fullmatch(str(found := at(entry, name)))), None)
    if time is None:
        return text
    pid = next((str(found) for name in PIDS if str(found := at(entry, name)).isdigit()), "")
    return f"{time} {_word(host)} {_word(program)}{f'[{pid}]' if pid else ''}: {text.lstrip(' ')}"


def _word(text: str) -> str:
    """A field as one word, so that it cannot pose as another part of the line."""
    return BLANK.sub("_", text) or "-"
