"""An https server for tests, whose answers are functions."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """A server that runs.

    Attributes:
        url: where.
        ca: the certificate to trust.
        answers: by path.
        asked: the headers of every request.
    """

    url: str
    ca: Path
    answers: dict[str, Answer]
    asked: list[dict[str, str]] = field(default_factory=list)


def answer(body: bytes = b"", code: int = 200, *, length: int | None = None, **headers: str) -> Answer:
    """An answer with these headers; `length`: another Content-Length than the body's."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        request.wfile.write(body)

    return send


@contextmanager
def serving(folder: Path, address: str = "localhost") -> Iterator[Server]:
    """A server at an address, with a certificate of its own."""
    kind = "IP" if address[0].isdigit() else "DNS"
    names = ["-subj", "/CN=localhost", "-addext", f"subjectAltName={kind}:{address}"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(["openssl", "req", "-x509", *key, *names, *files], check=True, capture_output=True)
    made = Server("", folder / "cert", {})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer as the test says."""
            made.asked.append(dict(self.headers))
            try:
                made.answers[self.path](self)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the class has it
            """Say nothing."""

    server = ThreadingHTTPServer((address, 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert", folder / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"https://{address}:{server.server_port}"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
