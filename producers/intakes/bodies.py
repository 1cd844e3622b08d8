"""The bodies of requests as lines: NDJSON and its kin, Elastic's bulk, Splunk's HEC, Loki's push, OTLP.

Each reader takes a body, and raises ValueError, in a sentence, for what is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from producers.intakes.shapes import HostLine, said

SCALARS: Final = ("stringValue", "intValue", "doubleValue", "boolValue")
ACTIONS: Final = ("create", "index", "update", "delete")


def read_lines(body: bytes) -> Iterator[HostLine]:
    """Plain lines."""
    for line in body.split(b"\n"):
        if line.strip():
            yield HostLine(line.rstrip(b"\r"), None)


def read_json(body: bytes) -> Iterator[HostLine]:
    """An object a line, or an array of them, or one; texts stand for lines."""
    if body.lstrip()[:1] == b"[":
        entries = orjson.loads(body)
    else:
        try:
            entries = [orjson.loads(body)]
        except ValueError:
            entries = [orjson.loads(line) for line in body.split(b"\n") if line.strip()]
    for entry in entries:
        yield from _said(entry)


def read_bulk(body: bytes) -> tuple[list[HostLine], list[str]]:
    """A bulk request's documents, and the action of each item, in order."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    found: list[HostLine] = []
    actions: list[str] = []
    at, before, name = 0, b"", ""
    while at < len(lines):
        if lines[at] != before:
            before, name = lines[at], _action(lines[at], at)
        actions.append(name)
        at += 1
        if name != "delete":
            if at >= len(lines):
                raise ValueError("the bulk ends behind an action")
            if name != "update":
                found += _said(orjson.loads(lines[at]))
            at += 1
    return found, actions


def read_hec(body: bytes) -> Iterator[HostLine]:
    """Splunk's events: objects one behind the other, with or without blanks between them."""
    for entry in _objects(body):
        event, host = entry.get("event"), entry.get("host")
        for each in _said(event):
            named = each.host or (host if isinstance(host, str) and host else None)
            yield HostLine(each.line, named)


def read_loki(body: bytes) -> Iterator[HostLine]:
    """Loki's push: streams with labels, and [time, line] each."""
    for stream in _list(orjson.loads(body), "streams"):
        labels = stream.get("stream") if isinstance(stream, dict) else None
        named = labels if isinstance(labels, dict) else {}
        host = next((named[each] for each in ("host", "hostname", "instance") if named.get(each)), None)
        for value in _list(stream, "values"):
            if not isinstance(value, list) or len(value) < 2 or not isinstance(value[1], str):  # noqa: PLR2004
                raise ValueError("a value is no [time, line]")
            yield HostLine(value[1].encode("utf-8", "replace"), host if isinstance(host, str) else None)


def read_otlp(body: bytes) -> Iterator[HostLine]:
    """OTLP's logs in JSON: resourceLogs, scopeLogs, logRecords; the body is the line."""
    for resource in _list(orjson.loads(body), "resourceLogs"):
        host = _attribute(resource.get("resource"), "host.name")
        for scope in _list(resource, "scopeLogs"):
            for record in _list(scope, "logRecords"):
                value = record.get("body")
                if not isinstance(value, dict):
                    continue
                if isinstance(value.get("stringValue"), str):
                    yield HostLine(value["stringValue"].encode("utf-8", "replace"), host)
                elif isinstance(value.get("kvlistValue"), dict):
                    for each in _said(_plain(value)):
                        yield HostLine(each.line, each.host or host)


def _action(line: bytes, at: int) -> str:
    """The action of a bulk's line."""
    action = orjson.loads(line)
    name = next((each for each in ACTIONS if isinstance(action, dict) and each in action), None)
    if name is None:
        raise ValueError(f"line {at + 1} of the bulk is no action such as create")
    return name


def _said(entry: Any) -> Iterable[HostLine]:
    if isinstance(entry, dict):
        return said(entry)
    if isinstance(entry, str):
        return (HostLine(entry.encode("utf-8", "replace"), None),)
    raise ValueError("neither an object nor a text")


def _objects(body: bytes) -> Iterator[Mapping[str, Any]]:
    """Objects one behind the other."""
    try:
        whole = orjson.loads(body)
    except ValueError:
        whole = list(_one_by_one(body.decode("utf-8", "replace")))
    for entry in whole if isinstance(whole, list) else [whole]:
        if not isinstance(entry, dict) or not entry.get("event"):
            raise ValueError("no object with an event")
        yield entry


def _one_by_one(text: str) -> Iterator[Any]:
    from json import JSONDecoder  # noqa: PLC0415 - what orjson cannot: to say where an object ends

    decoder, at, size = JSONDecoder(), 0, len(text)
    while at < size:
        if text[at].isspace():
            at += 1
            continue
        entry, at = decoder.raw_decode(text, at)
        yield entry


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name, []) if isinstance(value, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict | list) for each in found):
        raise ValueError(f"{name} is no list")
    return found


def _attribute(resource: Any, name: str) -> str | None:
    for each in _list(resource, "attributes") if isinstance(resource, dict) else []:
        if isinstance(each, dict) and each.get("key") == name and isinstance(each.get("value"), dict):
            value = each["value"].get("stringValue")
            return value if isinstance(value, str) else None
    return None


def _plain(value: Mapping[str, Any], depth: int = 0) -> Any:
    """An AnyValue as plain JSON."""
    if depth > 16:  # noqa: PLR2004 - nobody nests as deep
        raise ValueError("nested too deep")
    if isinstance(value.get("kvlistValue"), dict):
        pairs = value["kvlistValue"].get("values", [])
        return {
            str(each.get("key")): _plain(each.get("value") or {}, depth + 1)
            for each in pairs
            if isinstance(each, dict)
        }
    if isinstance(value.get("arrayValue"), dict):
        return [
            _plain(each, depth + 1)
            for each in value["arrayValue"].get("values", [])
            if isinstance(each, dict)
        ]
    return next(
        (value[name] for name in ("stringValue", "intValue", "doubleValue", "boolValue") if name in value),
        None,
    )
