"""One connection over HTTP/1.1: requests in, their lines on, and an answer once these are stored.

One request at a time: while its lines wait to be stored nothing more is read of the connection. A body is
unpacked as it comes and refused at MOST_BODY_BYTES, packed or not; all bodies together have a room of their
own. Who it is, a token says, where the sender has one; else his address or certificate.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import h11

from producers.intakes.counting import (
    BAD,
    NO_ROOM,
    REFUSED_LINES,
    TOKENS,
    TOO_LARGE,
    Allowance,
    IntakeNotices,
)
from producers.intakes.framing import MESSAGE_LIMIT_BYTES, WholeLines, line_of
from producers.intakes.routes import HttpAnswer, Taken, hello, route, wrong
from producers.intakes.settings import AllowedSender

HEAD_BYTES: Final = 16 << 10
MOST_BODY_BYTES: Final = 16 << 20
"""As agents' batches are at most; a body may be unpacked to as much."""
ROOM_BYTES: Final = 64 << 20
MOST_PARTS: Final = 1_000
"""So many parts may be packed one behind the other: an empty one costs work, too."""
UNPACK_ANY: Final = 32 + zlib.MAX_WBITS
"""zlib finds out by itself whether it is gzip's or its own format."""
NOTHING: Final = WholeLines(b"", 0, 0)

Deliver = Callable[[AllowedSender, bytes, Callable[[], None]], None]
"""Takes lines of a sender; calls back once they are stored."""


class RequestRefused(Exception):  # noqa: N818 - it is an answer, and nobody's fault
    """A request that is not taken."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(slots=True)
class Desk:
    """What all connections of an intake share."""

    deliver: Deliver
    notices: IntakeNotices
    allowance: Allowance
    now_ms: Callable[[], int]
    elastic_version: str
    tokens: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    room_bytes: int = ROOM_BYTES


class HttpTalk:
    """What is said on one connection.

    Attributes:
        may_be: the senders that may speak here.
        output: what is to be written.
        closing: the connection ends once that is written.
        deaf: nothing is to be read now.
    """

    def __init__(self, desk: Desk, may_be: Sequence[AllowedSender]) -> None:
        self.may_be = may_be
        self.output = bytearray()
        self.closing = False
        self.deaf = False
        self._desk = desk
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._request: h11.Request | None = None
        self._sender: AllowedSender | None = None
        self._body = bytearray()
        self._size = self._packed = self._parts = self._reserved = 0
        self._unpack: zlib._Decompress | None = None

    @property
    def unfinished(self) -> bool:
        """Whether a request has begun and is not whole."""
        return not self.deaf and (self._request is not None or bool(self._http.trailing_data[0]))

    def take(self, data: bytes) -> WholeLines:
        """Go on with what these bytes say; lines go their own way."""
        if data:
            self._http.receive_data(data)
        try:
            while not self.deaf and not self.closing and self._next():
                pass
        except h11.RemoteProtocolError as error:
            self._desk.notices.add(BAD)
            self._refuse(RequestRefused(error.error_status_hint, f"no HTTP/1.1: {error!s:.120}"))
        except RequestRefused as refusal:
            self._refuse(refusal)
        return NOTHING

    def renew(self, senders: Sequence[AllowedSender]) -> None:
        """Others may speak here from the next request on."""
        self.may_be = senders

    def ended(self) -> None:
        """The connection is gone."""
        self._free()

    def _next(self) -> bool:
        """Go on with one thing; whether there was one."""
        event = self._http.next_event()
        match event:
            case h11.Request():
                self._begin(event)
            case h11.Data():
                self._add(bytes(event.data))
            case h11.EndOfMessage():
                self._end()
            case h11.ConnectionClosed():
                self.closing = True
                return False
            case _:
                return False
        return True

    def _begin(self, request: h11.Request) -> None:
        self._request = request
        self._sender = self._who(_header(request, b"authorization"))
        if request.method == b"CONNECT":
            raise RequestRefused(405, "nothing is passed on from here")
        if request.method not in {b"POST", b"PUT"}:
            return
        if route(_path(request)) is None:
            raise RequestRefused(404, "nothing is taken there")
        left = self._desk.allowance.of(self._sender, self._desk.now_ms())
        if left is not None and left < 1:
            raise RequestRefused(429, "more lines than this sender may send in a second")
        packed = _header(request, b"content-encoding").lower()
        if packed not in {b"", b"identity", b"gzip", b"deflate"}:
            raise RequestRefused(415, "a body may be packed by gzip or deflate, or not at all")
        self._unpack = zlib.decompressobj(UNPACK_ANY) if packed in {b"gzip", b"deflate"} else None
        length = _header(request, b"content-length")
        if length and int(length) > MOST_BODY_BYTES:
            self._too_large()
        if self._http.they_are_waiting_for_100_continue:
            self._say(h11.InformationalResponse(status_code=100, headers=[]))

    def _add(self, data: bytes) -> None:
        if self._unpack is not None:
            try:
                data = self._unpacked(data, self._unpack)
            except zlib.error as error:
                raise RequestRefused(400, f"the body is not what it is packed as: {error}") from error
        self._size += len(data)
        if self._size > MOST_BODY_BYTES:
            self._too_large()
        if self._desk.room_bytes < len(data):
            self._desk.notices.add(NO_ROOM)
            raise RequestRefused(503, "too many bodies at once: send it again later")
        self._desk.room_bytes -= len(data)
        self._reserved += len(data)
        self._body += data

    def _unpacked(self, data: bytes, unpack: zlib._Decompress) -> bytes:
        """What packed bytes hold, part behind part (RFC 1952). Raises zlib.error, RequestRefused."""
        self._packed += len(data)
        found = b""
        while data:
            if unpack.eof:
                self._parts += 1
                unpack = self._unpack = zlib.decompressobj(UNPACK_ANY)
            found += unpack.decompress(data, MOST_BODY_BYTES - self._size - len(found) + 1)
            if self._parts > MOST_PARTS or max(self._packed, self._size + len(found)) > MOST_BODY_BYTES:
                self._too_large()
            data = unpack.unused_data
        return found

    def _too_large(self) -> None:
        self._desk.notices.add(TOO_LARGE, self._sender)
        raise RequestRefused(413, f"a body has at most {MOST_BODY_BYTES} bytes, packed or not")

    def _end(self) -> None:
        """A request is whole: hand its lines on, and answer when they are stored."""
        if self._packed and self._unpack is not None and not self._unpack.eof:
            raise RequestRefused(400, "the body ends before what is packed in it does")
        request, sender, body = self._request, self._sender, bytes(self._body)
        self._body.clear()
        if request is None or sender is None:
            return
        path = _path(request)
        if request.method not in {b"POST", b"PUT"}:
            self._answer(hello(path, self._desk.elastic_version))
            return
        taken = self._read(path, body, _header(request, b"content-type").decode("latin-1").lower())
        own = {host: sender.speaks_for(host) for host in {each.host for each in taken.lines}}
        lines = [each for each in taken.lines if own[each.host]]
        self._desk.notices.add(REFUSED_LINES, sender, len(taken.lines) - len(lines))
        self._desk.allowance.take(sender, len(taken.lines))
        data = b"".join([line_of(each.line[:MESSAGE_LIMIT_BYTES]) for each in lines])
        if not data:
            self._answer(taken.answer)
            return
        self.deaf = True
        self._desk.deliver(sender, data, lambda: self._stored(taken.answer))

    def _read(self, path: str, body: bytes, kind: str) -> Taken:
        taker = route(path)
        try:
            return Taken() if taker is None else taker(body, kind)
        except TypeError as error:
            raise RequestRefused(415, str(error)) from error
        except (ValueError, RecursionError, AttributeError) as error:
            self._desk.notices.add(BAD)
            raise RequestRefused(400, f"{error!s:.200}") from error

    def _stored(self, answer: HttpAnswer) -> None:
        """Its lines are stored."""
        self.deaf = False
        self._answer(answer)

    def _answer(self, answer: HttpAnswer) -> None:
        """Say it, and go on with the next request, unless either side has had enough."""
        self._free()
        body = b"" if self._request is not None and self._request.method == b"HEAD" else answer.body
        headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body))), *answer.headers]
        if answer.status == 204:  # noqa: PLR2004 - no content
            headers = list(answer.headers)
        self._request = self._sender = None
        self._say(h11.Response(status_code=answer.status, headers=headers))
        if body:
            self._say(h11.Data(data=body))
        self._say(h11.EndOfMessage())
        if self._http.our_state is h11.MUST_CLOSE:
            self.closing = True
        elif self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()

    def _refuse(self, refusal: RequestRefused) -> None:
        """Say what is wrong, and end the connection: what is left of the body is nobody's."""
        path = _path(self._request) if self._request is not None else ""
        self._free()
        self.closing = True
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        answer = wrong(path, refusal.status, refusal.why)
        headers = [
            ("Content-Type", answer.kind),
            ("Content-Length", str(len(answer.body))),
            ("Connection", "close"),
            *([("Retry-After", "1")] if refusal.status in {429, 503} else []),
            *([("WWW-Authenticate", 'Bearer realm="banstream"')] if refusal.status == 401 else []),  # noqa: PLR2004
        ]
        self._say(h11.Response(status_code=answer.status, headers=headers))
        self._say(h11.Data(data=answer.body))
        self._say(h11.EndOfMessage())

    def _say(self, event: h11.Event) -> None:
        self.output += self._http.send(event) or b""

    def _free(self) -> None:
        self._desk.room_bytes += self._reserved
        self._size = self._packed = self._parts = self._reserved = 0
        self._unpack = None
        self._body.clear()

    def _who(self, authorization: bytes) -> AllowedSender:
        """The first of those it may be whose token it bears, or that has none. Raises RequestRefused."""
        given = _tokens(authorization)
        for each in self.may_be:
            token = self._desk.tokens.get(each.name)
            if each.token_file is None or (token and _is_one_of(token, given)):
                return each
        self._desk.notices.add(TOKENS)
        raise RequestRefused(403 if given else 401, "no sender here has such a token")


def _is_one_of(token: bytes, given: Sequence[bytes]) -> bool:
    """In a time that says nothing of the token."""
    return sum(hmac.compare_digest(token, one) for one in given) > 0


def _tokens(authorization: bytes) -> list[bytes]:
    """What of an Authorization header may be a token: Bearer's, Splunk's, parts of Basic and ApiKey."""
    scheme, _, value = authorization.strip().partition(b" ")
    value = value.strip()
    if scheme.lower() in {b"basic", b"apikey"}:
        try:
            decoded = base64.b64decode(value, validate=True)
        except binascii.Error:
            return []
        return [value, decoded, decoded.partition(b":")[2]]
    return [value] if value else []


def _path(request: h11.Request) -> str:
    return bytes(request.target).decode("latin-1").partition("?")[0]


def _header(request: h11.Request, name: bytes) -> bytes:
    return next((bytes(value) for key, value in request.headers if key == name), b"")
