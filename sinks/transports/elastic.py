"""Elasticsearch and OpenSearch: `_bulk`, each document created under its id, so that it is there once.

| an item's status | it is |
|---|---|
| 200, 201 | taken |
| 409 | taken: it is there already |
| 429, 5xx | sent again |
| any other (400: the mapping) | a dead letter |

413 of the whole request: in halves. The index, or data stream, is the path of `to`. Reference: the Bulk API
of https://www.elastic.co/docs/api/doc/elasticsearch; a data stream takes `create` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from schemas.errors import Transient
from sinks.contract import (
    TAKEN,
    Options,
    Parcel,
    Reception,
    Sending,
    SentBy,
    SinkAnswer,
    TransportKind,
)
from sinks.transports.posting import HTTP_OPTIONS, Answered, Posting, http_doubt

ASKED: Final = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
HEADERS: Final = {"Content-Type": "application/x-ndjson"}
TOO_LARGE, TOO_MANY, CONFLICT, BROKEN = 413, 429, 409, 500


class ElasticTransport:
    """Posts batches to `_bulk`."""

    def __init__(self, posting: Posting) -> None:
        """`posting`: to the index's `_bulk`."""
        self._posting = posting

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Post a batch; where it is too large, its first part. Raises Transient."""
        body = b"".join(map(_pair, batch))
        answered = self._posting.post(body, HEADERS)
        if answered.status == TOO_LARGE and len(batch) > 1:
            return self.send(batch[: len(batch) // 2])
        if answered.status >= 300:  # noqa: PLR2004 - not 2xx
            return [SinkAnswer(Reception.HOPELESS, answered.said)] * len(batch)
        return _answers(answered, len(batch))

    def close(self) -> None:
        """Let go of the connection."""
        self._posting.close()


def _pair(sending: Sending) -> bytes:
    return b'{"create":{"_id":"%b"}}\n%b\n' % (sending.item.id.encode("ascii"), sending.body)


def _answers(answered: Answered, count: int) -> list[SinkAnswer]:
    """An answer for each item. Raises Transient where it says nothing of them."""
    try:
        said: dict[str, Any] = orjson.loads(answered.body)
        if said["errors"] is False:
            return [TAKEN] * count
        items = [next(iter(each.values())) for each in said["items"]]
        if len(items) != count:
            raise Transient(f"an answer for {len(items)} items of {count}")
        return [_answer(each) for each in items]
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, StopIteration) as error:
        raise Transient(f"no answer of Elasticsearch's: {answered.said}") from error


def _answer(item: dict[str, Any]) -> SinkAnswer:
    status = int(item["status"])
    if status < 300 or status == CONFLICT:  # noqa: PLR2004 - 2xx
        return TAKEN
    error = item.get("error") or {}
    said = f"{status} {error.get('type', '')}: {error.get('reason', '')}"
    later = status == TOO_MANY or status >= BROKEN
    return SinkAnswer(Reception.AGAIN if later else Reception.HOPELESS, said)


def _url(to: str) -> str:
    return to.removeprefix("elastic+")


def _doubt(to: str, options: Options) -> str | None:
    if why := http_doubt(_url(to), options):
        return why
    index = urlsplit(_url(to)).path.strip("/")
    return None if index else "elastic+https://host:9200/INDEX, such as logs-banstream.events-default"


def _open(to: str, options: Options, _: Parcel, sender: SentBy) -> ElasticTransport:
    url = f"{_url(to).rstrip('/')}/_bulk?{ASKED}"
    return ElasticTransport(Posting(url, options, sender, "ApiKey"))


KIND: Final = TransportKind(_open, options=HTTP_OPTIONS, doubt=_doubt, format="ecs")
