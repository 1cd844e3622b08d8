"""To an HTTP server of your own, or a chat's: JSON, one item a request, or lines of them.

| `to` | a request holds |
|---|---|
| `webhook+https://...` | one item, as its format writes it |
| `https://...` | many, one a line (NDJSON) |

With a `secret_file` each request is signed: `X-Banstream-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of
`SECONDS.BODY` before compression. `Idempotency-Key` is the item's id, or a hash of all ids: a request that
comes again has the same. 2xx is taken; 408, 425, 429, 5xx and no answer: again; 401, 403, 404: again, late;
413: in halves; any other: a dead letter.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

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
from sinks.secrets import secret, secret_problem
from sinks.transports.posting import HTTP_OPTIONS, Posting, http_doubt

TOO_LARGE: Final = 413


class WebhookTransport:
    """Posts items."""

    def __init__(self, posting: Posting, options: Options, parcel: Parcel, *, single: bool) -> None:
        """`single`: one item a request."""
        self._posting = posting
        self._secret_file: str | None = options["secret_file"]
        self._single = single
        self._type = options["content_type"] or ("application/json" if single else parcel.content_type)

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Post them. Raises Transient."""
        if self._single:
            return [self._post(batch[0].body, batch[0].item.id)]
        return self._lines(batch)

    def close(self) -> None:
        """Let go of the connection."""
        self._posting.close()

    def _lines(self, batch: Sequence[Sending]) -> list[SinkAnswer]:
        key = sha256("\n".join(sending.item.id for sending in batch).encode()).hexdigest()[:32]
        answer = self._post(b"".join(sending.body + b"\n" for sending in batch), key)
        if answer.reception is Reception.HOPELESS and answer.after_ms == TOO_LARGE and len(batch) > 1:
            return self._lines(batch[: len(batch) // 2])
        return [answer._replace(after_ms=0)] * len(batch)

    def _post(self, body: bytes, key: str) -> SinkAnswer:
        headers = {"Content-Type": self._type, "Idempotency-Key": key}
        if self._secret_file is not None:
            headers["X-Banstream-Signature"] = signature(secret(self._secret_file), body, int(time.time()))
        answered = self._posting.post(body, headers)
        if answered.status < 300:  # noqa: PLR2004 - 2xx
            return TAKEN
        return SinkAnswer(Reception.HOPELESS, answered.said, answered.status)


def signature(key: str, body: bytes, at_s: int) -> str:
    """What `X-Banstream-Signature` says of a body."""
    signed = f"{at_s}.".encode("ascii") + body
    return f"t={at_s},v1={hmac.new(key.encode(), signed, sha256).hexdigest()}"


def _url(to: str) -> str:
    return to.removeprefix("webhook+")


def _doubt(to: str, options: Options) -> str | None:
    return http_doubt(_url(to), options) or secret_problem(options["secret_file"])


def _open(to: str, options: Options, parcel: Parcel, sender: SentBy) -> WebhookTransport:
    single = to.startswith("webhook+")
    return WebhookTransport(Posting(_url(to), options, sender), options, parcel, single=single)


OPTIONS: Final = {**HTTP_OPTIONS, "secret_file": Option("file"), "content_type": Option("text", "")}
LINES: Final = TransportKind(_open, options=OPTIONS, doubt=_doubt)
WEBHOOK: Final = TransportKind(
    _open,
    options={**OPTIONS, "gzip": Option("flag", default=False)},
    doubt=_doubt,
    on=("ban", "unban"),
    most=100,
)
