"""One HTTP request after the other to one place, by urllib3: what all sinks over HTTP share.

Redirects are not followed: a receiver that has moved is a change of the configuration. Of an answer no
more is read than it may have.
"""

from __future__ import annotations

import gzip
import ssl
from base64 import b64encode
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import urllib3

from schemas.errors import Transient
from schemas.secrets import hidden
from schemas.steering import printable
from sinks.contract import Option, Options, SentBy
from sinks.secrets import secret, secret_problem
from sinks.transports.deadline import Deadline, end_by

ANSWER_BYTES: Final = 8 << 20
SAID_CHARACTERS: Final = 500
COMPRESSION: Final = 5
LONGEST_RETRY_MS: Final = 3_600_000
REFUSED_MS: Final = 30_000
"""Whoever does not let us in, or does not know the place, is asked again so late."""
LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
NOT_FOUND: Final = 404
CLOSED: Final = frozenset({401, 403, NOT_FOUND, 405, 407})

HttpRequest = tuple[str, str, bytes | None, Mapping[str, str]]
"""A method, a url, a body and headers."""

HTTP_OPTIONS: Final[Mapping[str, Option]] = {
    "timeout": Option("duration", 30_000),
    "gzip": Option("flag", default=True),
    "user": Option("text", ""),
    "password_file": Option("file"),
    "token_file": Option("file"),
    "ca_file": Option("file"),
    "cert_file": Option("file"),
    "key_file": Option("file"),
    "proxy": Option("text", ""),
    "headers": Option("labels", {}),
}


class Answered(NamedTuple):
    """What came back.

    Attributes:
        after_ms: as Retry-After asks for; 0 where it does not.
    """

    status: int
    body: bytes
    after_ms: int

    @property
    def said(self) -> str:
        """It in a sentence."""
        told = printable(self.body[: 4 * SAID_CHARACTERS].decode("utf-8", "replace").strip())
        return f"{self.status} {told[:SAID_CHARACTERS]}".strip()


class Posting:
    """Posts to one place. A connection is kept open between requests."""

    def __init__(  # noqa: PLR0913 - receivers differ in little, and in any of it
        self,
        url: str,
        options: Options,
        sender: SentBy,
        scheme: str = "Bearer",
        *,
        header: str = "Authorization",
        closed: AbstractSet[int] = CLOSED,
    ) -> None:
        """`scheme`: what stands before a token, in this `header`; `closed`: nobody is let in."""
        self._url = url
        self._options = options
        self._scheme = scheme
        self._header = header
        self._closed = closed
        self._agent = f"banstream/{sender.version}"
        self._deadline = Deadline()
        self._pool: Any = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Send a body, compressed where the configuration says so.

        Raises Transient where nothing came back, and where nobody is let in.
        """
        sent = self._headers(headers)
        if self._options["gzip"]:
            body, sent["Content-Encoding"] = gzip.compress(body, COMPRESSION, mtime=0), "gzip"
        return self._told(("POST", self._url, body, sent), self._closed)

    def get(self, beyond: str, headers: Mapping[str, str]) -> Answered:
        """Ask for what stands beyond the place, or is not there (404). Raises as `post`."""
        asked = "GET", self._url + beyond, None, self._headers(headers)
        return self._told(asked, self._closed - {NOT_FOUND})

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"User-Agent": self._agent, **self._options["headers"], **headers, **self._credentials()}

    def _told(self, asked: HttpRequest, closed: AbstractSet[int]) -> Answered:
        try:
            with self._deadline.within(self._options["timeout"] / 1_000):
                told = self._asked(asked)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            raise Transient(f"{hidden(self._url)}: {_reason(error)}") from error
        if told.status in closed or 300 <= told.status < 400:  # noqa: PLR2004 - redirections
            after_ms = max(REFUSED_MS, told.after_ms)
            raise Transient(f"{hidden(self._url)}: {told.said}", retry_after_ms=after_ms)
        if told.status in LATER:
            raise Transient(f"{hidden(self._url)}: {told.said}", retry_after_ms=told.after_ms)
        return told

    def _asked(self, asked: HttpRequest) -> Answered:
        method, url, body, headers = asked
        answer = self._opened().request(
            method,
            url,
            body=body,
            headers=headers,
            preload_content=False,
            redirect=False,
            retries=False,
        )
        try:
            told = Answered(answer.status, _body(answer), _after_ms(answer))
            whole = not answer.read(1)
        finally:
            answer.release_conn()
        if not whole:
            self.close()
        return told

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        if self._pool is not None:
            self._pool.clear()
            self._pool = None

    def _opened(self) -> Any:
        if self._pool is None:
            options = self._options
            made: dict[str, Any] = {
                "timeout": urllib3.Timeout(options["timeout"] / 1_000),
                "num_pools": 2,
                "maxsize": 1,
            }
            if self._url.startswith("https:"):
                made["ssl_context"] = tls_context(options)
            proxy = options["proxy"]
            pool = urllib3.ProxyManager(proxy, **made) if proxy else urllib3.PoolManager(**made)
            self._pool = end_by(pool, self._deadline)
        return self._pool

    def _credentials(self) -> dict[str, str]:
        options = self._options
        if options["token_file"]:
            token = secret(options["token_file"])
            if not token.isascii() or not token.isprintable():
                raise Transient(
                    f"{options['token_file']}: not sent, since a token is one line of plain ASCII",
                    retry_after_ms=REFUSED_MS,
                )
            return {self._header: f"{self._scheme} {token}".lstrip()}
        if options["user"]:
            password = secret(options["password_file"]) if options["password_file"] else ""
            given = b64encode(f"{options['user']}:{password}".encode()).decode("ascii")
            return {"Authorization": f"Basic {given}"}
        return {}


def _body(answer: Any) -> bytes:
    """An answer's body, as much as is read of it."""
    body = b""
    while len(body) < ANSWER_BYTES and (part := answer.read1(ANSWER_BYTES - len(body), decode_content=True)):
        body += part
    return body


def tls_context(options: Options) -> ssl.SSLContext:
    """TLS as the configuration says: whom to believe, and a certificate of our own. Raises Transient."""
    try:
        context = ssl.create_default_context(cafile=options["ca_file"])
        if options["cert_file"]:
            if options["key_file"] and (why := secret_problem(options["key_file"])):
                raise Transient(why)
            context.load_cert_chain(options["cert_file"], options["key_file"])
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(options[name] for name in ("ca_file", "cert_file", "key_file") if options[name])
        raise Transient(f"{files}: {error}") from error
    return context


def http_doubt(url: str, options: Options) -> str | None:
    """What is wrong with a url or with what goes with it; None: nothing."""
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        named = None
        parts = urlsplit("")
    if not named or not url.isprintable() or " " in url:
        return "a url such as https://host:port/path"
    if parts.password is not None:
        return "no password in the url: user and password_file, or token_file"
    if options["proxy"] and not _is_proxy(options["proxy"]):
        return "proxy with a url such as http://host:port, and no user or password in it"
    headers = "".join(name + value for name, value in options["headers"].items())
    if not headers.isascii() or not headers.isprintable():
        return "headers of plain ASCII"
    for name in ("password_file", "token_file", "key_file"):
        if why := secret_problem(options[name]):
            return f"{name}: {why}"
    return None


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        return False
    return bool(named) and "@" not in parts.netloc


def _after_ms(answer: Any) -> int:
    """Retry-After (RFC 9110): seconds, or a date."""
    text = answer.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1_000, LONGEST_RETRY_MS)
    try:
        left = parsedate_to_datetime(text) - datetime.now(UTC)
    except (TypeError, ValueError):
        return 0
    return min(max(0, int(left.total_seconds() * 1_000)), LONGEST_RETRY_MS)


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None) or error
    return printable(str(inner) or type(inner).__name__)[:SAID_CHARACTERS]
