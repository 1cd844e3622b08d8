"""Bytes of a list: from a file that can be trusted, or over https. Bounded in size and in time.

Over https nothing else is followed: no redirect to a file, or to what comes unencrypted.
"""

from __future__ import annotations

import os
import ssl
import stat
import time
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any, Final, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from banstream.lists.formats import Unusable
from banstream.overview import VERSION
from eventlog.trust import doubt

CHUNK_BYTES: Final = 1 << 16
SILENT_S: Final = 10.0
LONGEST_S: Final = 120.0
"""All of a list has to come within that."""
UNCHANGED: Final = 304
MISSING: Final = "it is not there"


class AsRead(NamedTuple):
    """What tells whether a list has changed: a file's state, or what a server said of its answer."""

    mark: tuple[Any, ...] = ()


class Fetched(NamedTuple):
    """The bytes of a list, and what it is known by."""

    data: bytes
    seen: AsRead


def state_of(path: str) -> AsRead:
    """A file's state; what is not there, or cannot be reached, has one as well."""
    try:
        state = Path(path).stat()
    except OSError as error:
        return AsRead((error.errno,))
    return AsRead((state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


def read_file(path: str, most_bytes: int) -> bytes:
    """What a file holds. Raises Unusable: it is missing, no plain file, too large, or anybody's."""
    try:
        if why := doubt(Path(path)):
            raise Unusable(f"it is not read, since it cannot be trusted: {why}")
        with open(path, "rb", opener=_unblocked) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise Unusable("it is no plain file")
            if state.st_size > most_bytes:
                raise Unusable(too_large(most_bytes))
            data = file.read(most_bytes + 1)
    except FileNotFoundError as error:
        raise Unusable(MISSING) from error
    except OSError as error:
        raise Unusable(f"it cannot be read: {error.strerror}") from error
    if len(data) > most_bytes:
        raise Unusable(too_large(most_bytes))
    return data


def _unblocked(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to does not wait."""
    return os.open(path, flags | os.O_NONBLOCK)


def fetch(url: str, most_bytes: int, seen: AsRead, *, longest_s: float = LONGEST_S) -> Fetched | None:
    """What a server answers; None where that has not changed. Raises Unusable."""
    request = Request(url, headers={"User-Agent": f"banstream/{VERSION}", "Accept-Encoding": "identity"})  # noqa: S310 - the opener takes https alone
    for name, value in zip(("If-None-Match", "If-Modified-Since"), seen.mark, strict=False):
        if value:
            request.add_header(name, value)
    try:
        with _opener().open(request, timeout=SILENT_S) as answer:
            data = _body(answer, most_bytes, longest_s)
            return Fetched(data, AsRead((answer.headers.get("ETag"), answer.headers.get("Last-Modified"))))
    except HTTPError as error:
        error.close()
        if error.code == UNCHANGED:
            return None
        raise Unusable(f"the server answers {error.code} {ascii(error.reason)[:80]}") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise Unusable(
            f"it cannot be fetched: {ascii(str(reason) or type(reason).__name__)[:120]}"
        ) from error


def _body(answer: HTTPResponse, most_bytes: int, longest_s: float) -> bytes:
    """All that a server sends. Raises Unusable."""
    deadline, data = time.monotonic() + longest_s, bytearray()
    while chunk := answer.read1(CHUNK_BYTES):
        data += chunk
        if len(data) > most_bytes:
            raise Unusable(too_large(most_bytes))
        if time.monotonic() > deadline:
            raise Unusable(f"it was not all there after {longest_s:g} s")
    length = answer.headers.get("Content-Length")
    if length is not None and int(length) != len(data):
        raise Unusable(f"it ended after {len(data)} of {length} bytes")
    return bytes(data)


class _OnlyHttps(HTTPRedirectHandler):
    """Redirects to https are followed, ten at most."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - urllib's own
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme != "https":
            fp.close()
            raise Unusable(f"the server leads on to {ascii(newurl)[:80]}, which is no https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPSHandler(context=ssl.create_default_context()),
        HTTPDefaultErrorHandler(),
        _OnlyHttps(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def too_large(most_bytes: int) -> str:
    """That a list has more bytes than are read."""
    return f"it has more than the {most_bytes} bytes that are read"
