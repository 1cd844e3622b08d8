"""Splunk's HTTP Event Collector, Grafana Loki's push and OTLP/HTTP: batches wrapped as each wants them.

| | taken | a dead letter |
|---|---|---|
| Splunk | 200, code 0; with `ack` once it is indexed | 400 of one event; a batch is sent again one by one |
| Loki | 204 | 400 of one entry; a batch is sent again one by one: it has taken the valid rest of it |
| OTLP | 200 | what `rejectedLogRecords` counts (it does not say which: all of the batch is told) |

Splunk's answers: docs.splunk.com, "Troubleshoot HTTP Event Collector"; OTLP:
https://opentelemetry.io/docs/specs/otlp/#otlphttp; Loki: https://grafana.com/docs/loki/latest/reference/loki-http-api/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from schemas.errors import Transient
from sinks.contract import (
    TAKEN,
    Option,
    Options,
    Parcel,
    Reception,
    Sending,
    SentBy,
    SinkAnswer,
    TransportKind,
)
from sinks.facts import facts_of
from sinks.transports.acknowledging import Acknowledging, ack_url
from sinks.transports.posting import HTTP_OPTIONS, Answered, Posting, http_doubt

JSON: Final = {"Content-Type": "application/json"}
NS: Final = 1_000_000
TOO_LARGE: Final = 413
LABELS: Final = ("record", "jail", "kind")
LOKI_VALUE: Final = 1_024
DETAILS: Final = ("id", "ip", "prefix", "user", "host", "service", "technique")

Wrap = Callable[[Sequence[Sending]], bytes]
Ruling = Callable[[Answered, int], "list[SinkAnswer] | None"]
"""What an answer means for so many items; None: the batch goes one by one."""


class CollectorTransport:
    """Posts wrapped batches."""

    def __init__(
        self, posting: Posting, wrap: Wrap, judge: Ruling, acknowledging: Acknowledging | None = None
    ) -> None:
        self._posting = posting
        self._wrap = wrap
        self._judge = judge
        self._acknowledging = acknowledging
        self._headers = JSON if acknowledging is None else {**JSON, **acknowledging.headers}

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Post a batch, or its first part. Raises Transient."""
        answered = self._posting.post(self._wrap(batch), self._headers)
        if answered.status == TOO_LARGE and len(batch) > 1:
            return self.send(batch[: len(batch) // 2])
        answers = self._judge(answered, len(batch))
        if self._acknowledging is not None and answers is not None and TAKEN in answers:
            self._acknowledging.wait(answered)
        return [self.send([each])[0] for each in batch] if answers is None else answers

    def close(self) -> None:
        """Let go of the connections."""
        self._posting.close()
        if self._acknowledging is not None:
            self._acknowledging.close()


def _hopeless(answered: Answered, count: int) -> list[SinkAnswer]:
    return [SinkAnswer(Reception.HOPELESS, answered.said)] * count


def judge_splunk(answered: Answered, count: int) -> list[SinkAnswer] | None:
    """Code 0 alone is success. It names the event that is wrong; those before it may be taken or not."""
    try:
        said: dict[str, Any] = orjson.loads(answered.body)
        code = int(said["code"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        if answered.status == 200:  # noqa: PLR2004 - OK, and nothing of Splunk's: a proxy, a login page
            raise Transient(f"no answer of Splunk's: {answered.said}", retry_after_ms=30_000) from None
        return _hopeless(answered, count) if count == 1 else None
    if code == 0:
        return [TAKEN] * count
    if code in {1, 2, 3, 4, 10, 11}:
        raise Transient(answered.said, retry_after_ms=30_000)
    if code in {8, 9}:
        raise Transient(answered.said)
    return _hopeless(answered, count) if count == 1 else None


def judge_loki(answered: Answered, count: int) -> list[SinkAnswer] | None:
    """2xx is success; 400 means that what is valid was taken."""
    if answered.status < 300:  # noqa: PLR2004 - 2xx
        return [TAKEN] * count
    return _hopeless(answered, count) if count == 1 else None


def judge_otlp(answered: Answered, count: int) -> list[SinkAnswer] | None:
    """Success, and of a partial one how much was refused: that is never sent again."""
    if answered.status >= 300:  # noqa: PLR2004 - not 2xx
        return _hopeless(answered, count) if count == 1 else None
    try:
        partial = orjson.loads(answered.body or b"{}").get("partialSuccess") or {}
        refused = int(partial.get("rejectedLogRecords", 0))
    except (AttributeError, TypeError, ValueError, ArithmeticError):
        refused, partial = 0, {}
    if refused <= 0:
        return [TAKEN] * count
    said = f"{refused} of {count} refused: {partial.get('errorMessage', '')}"
    return [SinkAnswer(Reception.HOPELESS, said)] * count


def splunk_body(options: Options, sender: SentBy) -> Wrap:
    """Events one after the other, each with its time in seconds."""
    given = {name: options[name] for name in ("index", "source", "sourcetype") if options[name]}

    def wrap(batch: Sequence[Sending]) -> bytes:
        return b"\n".join(
            orjson.dumps(
                {
                    "time": getattr(sending.item.record, "at_ms", 0) / 1_000,
                    "host": getattr(sending.item.record, "host", None) or sender.host,
                    **given,
                    "event": orjson.Fragment(sending.body)
                    if sending.body[:1] == b"{"
                    else sending.body.decode("utf-8", "replace"),
                }
            )
            for sending in batch
        )

    return wrap


def loki_body(_: Options, __: SentBy) -> Wrap:
    """Streams of few labels; address, user and id beside the line."""

    def wrap(batch: Sequence[Sending]) -> bytes:
        streams: dict[tuple[tuple[str, str], ...], list[Any]] = {}
        for sending in batch:
            facts = facts_of(sending.item)
            labels = {"service_name": "banstream", "what": sending.item.what}
            labels |= {name: str(facts[name]) for name in LABELS if name in facts}
            details = {name: str(facts[name])[:LOKI_VALUE] for name in DETAILS if name in facts}
            at_ns = str(getattr(sending.item.record, "at_ms", 0) * NS)
            entry = [at_ns, sending.body.decode("utf-8", "replace"), details]
            streams.setdefault(tuple(labels.items()), []).append(entry)
        return orjson.dumps(
            {"streams": [{"stream": dict(labels), "values": values} for labels, values in streams.items()]}
        )

    return wrap


def otlp_body(_: Options, sender: SentBy) -> Wrap:
    """One resource, one scope, all records."""
    attributes = [
        {"key": name, "value": {"stringValue": value}}
        for name, value in (("service.name", "banstream"), ("host.name", sender.host))
    ]
    scope = {"name": "banstream", "version": sender.version}

    def wrap(batch: Sequence[Sending]) -> bytes:
        records = [orjson.Fragment(sending.body) for sending in batch]
        logs = {"scope": scope, "logRecords": records}
        return orjson.dumps({"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [logs]}]})

    return wrap


def _kind(  # noqa: PLR0913 - what tells one from the other
    name: str,
    path: str,
    body: Callable[[Options, SentBy], Wrap],
    judge: Ruling,
    *,
    format_: str,
    scheme: str = "Bearer",
    options: Mapping[str, Option] | None = None,
) -> TransportKind:
    def url(to: str) -> str:
        base = to.removeprefix(f"{name}+")
        return base if base.partition("://")[2].partition("/")[2] else f"{base.rstrip('/')}{path}"

    def opened(to: str, given: Options, _: Parcel, sender: SentBy) -> CollectorTransport:
        acknowledging = None
        if given.get("ack"):
            beside = Posting(ack_url(url(to)), {**given, "gzip": False}, sender, scheme)
            acknowledging = Acknowledging(beside, given["timeout"] / 1_000)
        posting = Posting(url(to), given, sender, scheme)
        return CollectorTransport(posting, body(given, sender), judge, acknowledging)

    return TransportKind(
        opened,
        options={**HTTP_OPTIONS, **(options or {})},
        doubt=lambda to, given: http_doubt(url(to), given),
        format=format_,
    )


SPLUNK: Final = _kind(
    "splunk",
    "/services/collector/event",
    splunk_body,
    judge_splunk,
    format_="json",
    scheme="Splunk",
    options={
        "index": Option("text", ""),
        "source": Option("text", "banstream"),
        "sourcetype": Option("text", "banstream:json"),
        "ack": Option("flag", default=False),
    },
)
LOKI: Final = _kind("loki", "/loki/api/v1/push", loki_body, judge_loki, format_="json")
OTLP: Final = _kind("otlp", "/v1/logs", otlp_body, judge_otlp, format_="otlp")
