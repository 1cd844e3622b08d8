"""Real servers on loopback: HTTP and SMTP, which keep what they get and can be told how to answer."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What came: the body as it was before compression."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Told(NamedTuple):
    """How to answer; `cut`: close the connection without a word."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = {}
    cut: bool = False


@dataclass
class HttpReceiver:
    """An HTTP server.

    Attributes:
        requests: what came.
        answers: how it answers the next requests; then as `usual` says.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: deque[Told] = field(default_factory=deque)
    usual: Callable[[Request], Told] = lambda _: Told()


@contextmanager
def http_server(tls: ssl.SSLContext | None = None) -> Iterator[HttpReceiver]:
    """An HTTP server on a port of its own."""
    made = HttpReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = Request(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            made.requests.append(request)
            told = made.answers.popleft() if made.answers else made.usual(request)
            if told.cut:
                self.close_connection = True
                return
            self.send_response(told.status)
            for name, text in {"Content-Length": str(len(told.body)), **told.headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    made.url = f"{'https' if tls else 'http'}://localhost:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class MailServer:
    """An SMTP server (aiosmtpd).

    Attributes:
        mails: what it has taken; `envelopes`: from whom, to whom.
        says: what it answers to a mail's contents; to a recipient's name.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    says: deque[str] = field(default_factory=deque)
    says_to: dict[str, str] = field(default_factory=dict)


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None, *, auth: bool = False) -> Iterator[MailServer]:
    """An SMTP server on a port of its own; with `tls` it offers STARTTLS."""
    from aiosmtpd.controller import Controller  # noqa: PLC0415 - only tests of mail need it
    from aiosmtpd.smtp import AuthResult, LoginPassword  # noqa: PLC0415 - as above

    made = MailServer()

    class Handler:
        async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
            self, server: Any, session: Any, envelope: Any, address: str, options: Any
        ) -> str:
            del server, session, options
            if (said := made.says_to.get(address)) is not None:
                return said
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as above
            del server, session
            if made.says and (said := made.says.popleft()):
                return said
            parsed = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(parsed, EmailMessage)
            made.mails.append(parsed)
            made.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            return "250 OK"

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        del server, session, envelope, mechanism
        assert isinstance(data, LoginPassword)
        made.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3cret", handled=False)

    options: dict[str, Any] = {"tls_context": tls} if tls is not None else {}
    if auth:
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": tls is not None}
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        made.port = int(free.getsockname()[1])
    controller = Controller(Handler(), hostname="127.0.0.1", port=made.port, **options)
    controller.start()
    try:
        yield made
    finally:
        controller.stop()
