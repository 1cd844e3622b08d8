"""Splunk's acknowledgements: what its HTTP Event Collector took in is taken once an indexer has it.

A channel's requests have numbers; whoever asks for them is told once that one is indexed. A number that
Splunk has forgotten, since it was restarted or a balancer asked another, is never said: then all of it is
sent again.
docs.splunk.com, "About HTTP Event Collector Indexer Acknowledgment".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import orjson

from schemas.errors import Transient
from sinks.transports.posting import REFUSED_MS, Answered, Posting

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


class Acknowledging:
    """One channel, and the wait for its acknowledgements."""

    def __init__(self, posting: Posting, within_s: float) -> None:
        """`posting`: to the collector's `/ack`; what is not indexed within so long is sent again."""
        self._posting = posting
        self._within_s = within_s
        self.headers: Mapping[str, str] = {"X-Splunk-Request-Channel": str(uuid4())}

    def wait(self, answered: Answered) -> None:
        """Return once what was answered is indexed. Raises Transient."""
        number = _number(answered)
        body = orjson.dumps({"acks": [number]})
        headers = {"Content-Type": "application/json", **self.headers}
        until_s, pause_s = time.monotonic() + self._within_s, FIRST_PAUSE_S
        while not _is_acknowledged(self._posting.post(body, headers), number):
            if time.monotonic() + pause_s > until_s:
                raise Transient(f"no indexer has acknowledged it within {self._within_s:g} s")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def close(self) -> None:
        """Let go of the connection."""
        self._posting.close()


def _number(answered: Answered) -> int:
    try:
        return int(orjson.loads(answered.body)["ackId"])
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        said = "ack = true, and no ackId in the answer: the token has no indexer acknowledgement"
        raise Transient(said, retry_after_ms=REFUSED_MS) from error


def _is_acknowledged(answered: Answered, number: int) -> bool:
    try:
        said: Any = orjson.loads(answered.body)
        if answered.status < 300:  # noqa: PLR2004 - 2xx
            return said["acks"].get(str(number)) is True
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise Transient(f"no acknowledgements: {answered.said}", retry_after_ms=REFUSED_MS)


def ack_url(url: str) -> str:
    """Where acknowledgements are asked for, beside where events go."""
    return url.removesuffix("/event").rstrip("/") + "/ack"
