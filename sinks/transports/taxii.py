"""Into a collection of a TAXII 2.1 server: `to = "taxii+https://host/api1/collections/ID/"`.

https://docs.oasis-open.org/cti/taxii/v2.1/os/taxii-v2.1-os.html, 5.4 and 5.6. An object is taken where the
server's status counts it among its successes, or has taken it in to see to it later. What is among its
failures is looked for: it may be there already; else it is a dead letter with the server's words.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from sinks.formats.stix import identifier_of
from sinks.transports.posting import HTTP_OPTIONS, Posting, http_doubt

TYPE: Final = "application/taxii+json;version=2.1"
HEADERS: Final = {"Accept": TYPE, "Content-Type": TYPE}


class TaxiiTransport:
    """Adds objects."""

    def __init__(self, posting: Posting) -> None:
        """`posting`: to the collection's objects."""
        self._posting = posting

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Add them, or the first part of them. Raises Transient."""
        body = b'{"objects":[' + b",".join(sending.body for sending in batch) + b"]}"
        answered = self._posting.post(body, HEADERS)
        if answered.status >= 300:  # noqa: PLR2004 - other than 2xx
            if len(batch) > 1:  # they are too many, or one of them is wrong
                return self.send(batch[: len(batch) // 2])
            return [SinkAnswer(Reception.HOPELESS, answered.said)]
        failures = _failures(answered.body)
        return [self._answer(sending, failures) for sending in batch]

    def close(self) -> None:
        """Let go of the connection."""
        self._posting.close()

    def _answer(self, sending: Sending, failures: dict[str, str]) -> SinkAnswer:
        """An object that the server has already is a failure to some."""
        identifier = identifier_of(sending.item)
        said = failures.get(identifier)
        if said is None or self._has(identifier):
            return TAKEN
        return SinkAnswer(Reception.HOPELESS, said)

    def _has(self, identifier: str) -> bool:
        found = self._posting.get(f"{identifier}/", {"Accept": TYPE})
        return found.status < 300 and identifier.encode() in found.body  # noqa: PLR2004 - 2xx


def _failures(body: bytes) -> dict[str, str]:
    """By identifier, what the server says of those that it does not take. Raises Transient."""
    try:
        status: Any = orjson.loads(body)
        found = status.get("failures", [])
        if "status" in status:
            return {str(each["id"]): str(each.get("message", "failed"))[:1_000] for each in found}
    except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError):
        pass
    raise Transient("the answer is no status of TAXII's: is it a collection's url?")


def _url(to: str) -> str:
    return to.removeprefix("taxii+").rstrip("/") + "/objects/"


def _doubt(to: str, options: Options) -> str | None:
    if "/collections/" not in to:
        return "a collection's url, such as taxii+https://host/api1/collections/ID/"
    return http_doubt(_url(to), options)


def _open(to: str, options: Options, _: Parcel, sender: SentBy) -> TaxiiTransport:
    return TaxiiTransport(Posting(_url(to), options, sender))


KIND: Final = TransportKind(
    _open,
    options={**HTTP_OPTIONS, "gzip": Option("flag", default=False)},
    doubt=_doubt,
    format="stix",
    on=("ban",),
    most=200,
)
