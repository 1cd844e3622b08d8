"""Webhooks to a real HTTP server: signed, templated, sent again, in halves."""

from __future__ import annotations

import hmac
import json
import socket
import time
from base64 import b64decode
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given, settings

from schemas.errors import Transient
from sinks.contract import TAKEN, Reception
from tests.sinks.certificates import Certificates
from tests.sinks.following import ban, failed
from tests.sinks.hostile import hostile_text
from tests.sinks.sending import doubt, sending, transport, written
from tests.sinks.servers import Told, http_server


def secret(folder: Path, text: str) -> str:
    """A file with a secret."""
    path = folder / "secret"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_one_item_a_request_signed(tmp_path: Path) -> None:
    """The receiver can tell that it is ours, when it was sent, and that it came before."""
    with http_server() as server:
        to = f"webhook+{server.url}/hook?a=b"
        made = transport(to, secret_file=secret(tmp_path, "k3y"), headers={"X-Team": "ops"})
        assert made.send([sending(ban(0)), sending(ban(1))]) == [TAKEN]
        made.close()
    (request,) = server.requests
    assert request.path == "/hook?a=b"
    assert json.loads(request.body)["prefix"] == "203.0.113.7"
    assert request.headers["idempotency-key"] == "q7x2kd3m-0-0-0-0"
    assert (request.headers["content-type"], request.headers["x-team"]) == ("application/json", "ops")
    at_s, mac = (each.partition("=")[2] for each in request.headers["x-banstream-signature"].split(","))
    assert abs(time.time() - int(at_s)) < 60
    assert mac == hmac.new(b"k3y", f"{at_s}.".encode() + request.body, sha256).hexdigest()


def test_many_in_lines_compressed() -> None:
    """`https:` and `http:` send NDJSON."""
    with http_server() as server:
        made = transport(f"{server.url}/in")
        assert made.send([sending(ban(number)) for number in range(3)]) == [TAKEN] * 3
        made.close()
    (request,) = server.requests
    assert request.headers["content-encoding"] == "gzip"
    assert [json.loads(line)["id"] for line in request.body.splitlines()] == ["0-0-0-0", "0-1-0-0", "0-2-0-0"]


def test_what_is_too_large_goes_in_halves() -> None:
    """413: the first half, and one item alone is hopeless."""
    with http_server() as server:
        made = transport(f"{server.url}/in")
        server.usual = lambda request: Told(413 if request.body.count(b"\n") > 1 else 200)
        batch = [sending(ban(number)) for number in range(5)]
        assert made.send(batch) == [TAKEN]
        server.usual = lambda _: Told(413, b"too large")
        (answer,) = made.send(batch)
        assert (answer.reception, answer.said) == (Reception.HOPELESS, "413 too large")
        made.close()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 401, 403, 404, 301])
def test_later_is_later(status: int) -> None:
    """Nothing is given up for a receiver in trouble, or for a mistake in its configuration."""
    with http_server() as server:
        made = transport(f"webhook+{server.url}/in")
        server.answers.append(Told(status, b"why \x1b[31m", {"Retry-After": "7", "Location": "http://evil/"}))
        with pytest.raises(Transient, match=f"{status} why") as caught:
            made.send([sending(ban())])
        assert "\x1b" not in str(caught.value)
        assert caught.value.retry_after_ms in {7_000, 30_000}
        made.close()


def test_a_connection_that_breaks_is_made_anew() -> None:
    """In the middle of a request, and between two."""
    with http_server() as server:
        made = transport(f"webhook+{server.url}/in")
        server.answers.extend([Told(), Told(cut=True), Told()])
        assert made.send([sending(ban())]) == [TAKEN]
        with pytest.raises(Transient):
            made.send([sending(ban())])
        assert made.send([sending(ban())]) == [TAKEN]
        made.close()
    with pytest.raises(Transient, match="refused"):
        made.send([sending(ban())])


def test_over_tls_with_a_certificate_of_our_own(tmp_path: Path) -> None:
    """The server's is looked at, and it looks at ours."""
    files = Certificates(tmp_path)
    with http_server(files.server_context(wants_client=True)) as server:
        ours = {"cert_file": str(files.client), "key_file": str(files.client.with_suffix(".key"))}
        made = transport(f"webhook+{server.url}/", ca_file=str(files.ca), **ours)
        assert made.send([sending(ban())]) == [TAKEN]
        made.close()
        with pytest.raises(Transient, match="certificate verify failed"):
            transport(f"webhook+{server.url}/", **ours).send([sending(ban())])
        with pytest.raises(Transient):
            transport(f"webhook+{server.url}/", ca_file=str(files.ca)).send([sending(ban())])


def test_a_token_and_a_password_are_read_anew_and_never_shown(tmp_path: Path) -> None:
    """From files that nobody else can read."""
    with http_server() as server:
        path = secret(tmp_path, "t0ken")
        made = transport(f"webhook+{server.url}/", token_file=path)
        made.send([sending(ban())])
        Path(path).write_text("n3w", encoding="utf-8")
        made.send([sending(ban())])
        made.close()
    assert [each.headers["authorization"] for each in server.requests] == ["Bearer t0ken", "Bearer n3w"]
    Path(path).chmod(0o644)
    with pytest.raises(Transient, match="everybody can read"):
        made.send([sending(ban())])


@settings(max_examples=100, deadline=None)
@given(text=hostile_text)
def test_whatever_is_in_a_value_a_template_stays_what_it_is(text: str) -> None:
    """JSON is read back with the same value, and no key more."""
    template = '{"text": "<user> from <ip>", "lines": "<matches>", "known": 1}'
    found = json.loads(written(failed(user=text, line=text), "template", template=template))
    assert found == {"text": f"{text} from 203.0.113.7", "lines": text, "known": 1}
    shown = written(failed(user=text, line=text), "template", template="<user>", escape="html").decode()
    assert not set(shown) & set("<>\"'\r\n\x1b")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    """A url that is none, a password within it."""
    assert "a url such as" in (doubt("https:nothing") or "")
    assert "no password in the url" in (doubt("https://a:b@example.org/") or "")
    assert "plain ASCII" in (doubt("https://example.org/", headers={"X": "a\r\nY: b"}) or "")
    path = secret(tmp_path, "s3cret")
    Path(path).chmod(0o644)
    assert "everybody can read" in (doubt("webhook+https://example.org/", secret_file=path) or "")


@pytest.mark.parametrize("token", ["first-s3cret\nsecond-s3cret", "s3cret\N{EURO SIGN}", "s3cret\x01"])
def test_a_token_that_no_header_holds_is_not_told(tmp_path: Path, token: str) -> None:
    """The file is named, and nothing of what is in it; the sink waits for a better one."""
    with http_server() as server:
        made = transport(f"webhook+{server.url}", token_file=secret(tmp_path, token))
        with pytest.raises(Transient, match="one line of plain ASCII") as refused:
            made.send([sending(ban())])
        made.close()
    assert str(tmp_path / "secret") in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert not server.requests


def test_a_password_is_any_text(tmp_path: Path) -> None:
    """It goes as UTF-8 (RFC 7617)."""
    with http_server() as server:
        made = transport(
            f"webhook+{server.url}", user="banstream", password_file=secret(tmp_path, "\N{EURO SIGN}")
        )
        assert made.send([sending(ban())]) == [TAKEN]
        made.close()
    (request,) = server.requests
    given = b64decode(request.headers["authorization"].removeprefix("Basic "))
    assert given.decode() == "banstream:\N{EURO SIGN}"


def test_a_proxy_has_no_password() -> None:
    """It would be shown with the configuration, and is never sent."""
    assert doubt("https://a/in", proxy="http://me:s3cret@proxy:3128") == (
        "proxy with a url such as http://host:port, and no user or password in it"
    )
    assert doubt("https://a/in", proxy="socks4://proxy") is not None
    assert doubt("https://a/in", proxy="http://proxy:3128") is None


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"HTTP/1.1 200 OK\r\nX-Header: ",
        b"HTTP/1.1 200 O",
    ],
)
@pytest.mark.parametrize("proxied", [False, True])
def test_an_answer_that_never_ends_is_none(begin: bytes, *, proxied: bool) -> None:
    """A receiver, or a proxy, that says a byte now and then holds a sink no longer than `timeout`."""
    ended = Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(begin)
        with suppress(OSError):
            while not ended.wait(0.1):
                connection.sendall(b"x")
        connection.close()

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        receiver = Thread(target=lambda: drip(server.accept()[0]))
        receiver.start()
        there = f"http://127.0.0.1:{server.getsockname()[1]}"
        to, proxy = ("webhook+https://192.0.2.1/", there) if proxied else (f"webhook+{there}", "")
        made = transport(to, timeout=300, proxy=proxy)
        begin_s = time.monotonic()
        with pytest.raises(Transient, match="not whole within"):
            made.send([sending(ban())])
        took_s = time.monotonic() - begin_s
        ended.set()
        receiver.join()
        made.close()
    assert took_s < 5
