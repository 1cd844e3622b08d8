"""What is asked of an intake over HTTP, and what agents want to hear, so that a changed address is enough.

| asked | body | answer |
|---|---|---|
| `POST /`, `/lines` | lines (text/plain), NDJSON, a JSON array or object | 200 `{}` |
| `POST /_bulk`, `/INDEX/_bulk` | Elastic's bulk | 200, an item each |
| `GET /`, `/_license`; any other GET, HEAD | | what a Beat or Logstash asks Elasticsearch first |
| `POST /services/collector`, `.../event`, `.../raw` | Splunk's HEC | 200 `{"text":"Success","code":0}` |
| `GET /services/collector/health` | | 200 |
| `POST /loki/api/v1/push` | Loki's push in JSON | 204 |
| `POST /v1/logs` | OTLP in JSON | 200 `{}` |
| `POST /gelf` | GELF | 202 |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from producers.intakes import bodies
from producers.intakes.shapes import HostLine

JSON: Final = "application/json"
BULK: Final = re.compile(r"(?:/[^/]+)?/_bulk")
HEC: Final = re.compile(r"/services/collector(?:/(event|raw)(?:/1\.0)?)?")
BULK_ITEMS: Final = {
    "create": b'{"create":{"status":201}}',
    "index": b'{"index":{"status":201}}',
    "update": b'{"update":{"status":200}}',
    "delete": b'{"delete":{"status":200}}',
}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What is said to a request."""

    status: int
    body: bytes = b""
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """The lines of a request, and its answer once they are stored."""

    lines: Sequence[HostLine] = ()
    answer: HttpAnswer = field(default_factory=lambda: HttpAnswer(200, b"{}"))


Route = Callable[[bytes, str], Taken]
"""A body and its type, taken. Raises ValueError."""


def route(path: str) -> Route | None:
    """What takes a POST to a path; None: nothing does."""
    if BULK.fullmatch(path):
        return _bulk
    hec = HEC.fullmatch(path)
    if hec is not None:
        return _hec_raw if hec[1] == "raw" else _hec
    return ROUTES.get(path)


def hello(path: str, elastic_version: str) -> HttpAnswer:
    """The answer to a GET or HEAD: what agents ask before they send."""
    product = (("X-Elastic-Product", "Elasticsearch"),)
    if path == "/":
        said = {
            "name": "banstream",
            "cluster_name": "banstream",
            "version": {"number": elastic_version, "build_flavor": "default"},
            "tagline": "You Know, for Search",
        }
        return HttpAnswer(200, orjson.dumps(said), headers=product)
    if path == "/_license":
        license_ = {"uid": "banstream", "type": "basic", "mode": "basic", "status": "active"}
        return HttpAnswer(200, orjson.dumps({"license": license_}), headers=product)
    if path.startswith("/services/collector/health"):
        return HttpAnswer(200, b'{"text":"HEC is healthy","code":17}')
    if path == "/ready":
        return HttpAnswer(200, b"ready\n", "text/plain")
    return HttpAnswer(200, b"{}", headers=product)


def wrong(path: str, status: int, why: str) -> HttpAnswer:
    """The answer to what is not taken, in the words of whoever is asked."""
    if HEC.fullmatch(path):
        code = {400: 6, 401: 2, 403: 4, 429: 9, 503: 9}.get(status, 6)
        return HttpAnswer(status, orjson.dumps({"text": why, "code": code}))
    return HttpAnswer(status, orjson.dumps({"error": why}))


def _lines(body: bytes, kind: str) -> Taken:
    if kind.startswith("text/"):
        return Taken(list(bodies.read_lines(body)))
    return Taken(list(bodies.read_json(body)))


def _gelf(body: bytes, _kind: str) -> Taken:
    return Taken(list(bodies.read_json(body)), HttpAnswer(202))


def _bulk(body: bytes, _kind: str) -> Taken:
    lines, actions = bodies.read_bulk(body)
    items = b",".join([BULK_ITEMS[name] for name in actions])
    answer = b'{"took":1,"errors":false,"items":[' + items + b"]}"
    return Taken(lines, HttpAnswer(200, answer, headers=(("X-Elastic-Product", "Elasticsearch"),)))


def _hec(body: bytes, _kind: str) -> Taken:
    return Taken(list(bodies.read_hec(body)), HttpAnswer(200, b'{"text":"Success","code":0}'))


def _hec_raw(body: bytes, _kind: str) -> Taken:
    return Taken(list(bodies.read_lines(body)), HttpAnswer(200, b'{"text":"Success","code":0}'))


def _loki(body: bytes, kind: str) -> Taken:
    if not kind.startswith(JSON):
        raise TypeError("Loki's push is taken as JSON (application/json) alone, not as protobuf")
    return Taken(list(bodies.read_loki(body)), HttpAnswer(204))


def _otlp(body: bytes, kind: str) -> Taken:
    if not kind.startswith(JSON):
        raise TypeError("OTLP is taken as JSON (application/json) alone: otlphttp with encoding: json")
    return Taken(list(bodies.read_otlp(body)))


ROUTES: Final[dict[str, Route]] = {
    "/": _lines,
    "/gelf": _gelf,
    "/lines": _lines,
    "/loki/api/v1/push": _loki,
    "/v1/logs": _otlp,
}
