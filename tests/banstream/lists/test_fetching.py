"""Lists over https, from real servers, well-meaning and hostile; and from files."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from banstream.lists import fetching
from banstream.lists.fetching import AsRead, fetch, read_file, state_of
from banstream.lists.formats import Unusable
from tests.banstream.lists.serving import Answer, Server, answer, serving

MOST = 100_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on this machine."""
    with serving(tmp_path_factory.mktemp("tls")) as made:
        yield made


@pytest.fixture(autouse=True)
def trusted(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its certificate is believed."""
    monkeypatch.setenv("SSL_CERT_FILE", str(served.ca))


def test_a_list_is_fetched_and_not_again_while_it_is_the_same(served: Server) -> None:
    """By its ETag, and its date."""
    date = "Mon, 30 Nov 2026 00:00:00 GMT"
    served.answers["/list"] = answer(b"192.0.2.1\n", ETag='"one"', Last_Modified=date)
    fetched = fetch(f"{served.url}/list", MOST, AsRead())
    assert fetched is not None
    assert fetched.data == b"192.0.2.1\n"
    served.answers["/list"] = answer(code=304)
    assert fetch(f"{served.url}/list", MOST, fetched.seen) is None
    asked = {name.lower(): value for name, value in served.asked[-1].items()}
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"one"', date)


def endless(request: BaseHTTPRequestHandler) -> None:
    """A body that does not end."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b"192.0.2.1\n" * 1_000)


def dripping(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then."""
    request.send_response(200)
    request.end_headers()
    for _ in range(200):
        request.wfile.write(b"#")
        request.wfile.flush()
        time.sleep(0.05)


def torn(request: BaseHTTPRequestHandler) -> None:
    """A body that ends before its chunk does."""
    request.protocol_version = "HTTP/1.1"
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    request.wfile.write(b"1000\r\n192.0.2.1\n")
    request.close_connection = True


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        pytest.param(endless, "more than the 100000 bytes", id="endless"),
        pytest.param(dripping, "not all there after 1 s", id="dripping"),
        pytest.param(torn, "cannot be fetched", id="torn"),
        pytest.param(answer(b"192.0.2.1\n", length=20), "ended after 10 of 20 bytes", id="short"),
        pytest.param(answer(b"no", 503), "the server answers 503", id="503"),
        pytest.param(answer(code=302, Location="file:///etc/passwd"), "is not allowed", id="to a file"),
        pytest.param(answer(code=302, Location="http://localhost/list"), "which is no https", id="to http"),
        pytest.param(answer(code=301, Location="ftp://localhost/list"), "which is no https", id="to ftp"),
        pytest.param(answer(code=302, Location="/hostile"), "answers 302", id="in a circle"),
        pytest.param(answer(code=302), "answers 302", id="nowhere"),
    ],
)
def test_a_hostile_answer_is_refused(served: Server, hostile: Answer, why: str) -> None:
    """Within its limits of size and time, and nothing else is read."""
    served.answers["/hostile"] = hostile
    started = time.monotonic()
    with pytest.raises(Unusable, match=why) as refused:
        fetch(f"{served.url}/hostile", MOST, AsRead(), longest_s=1)
    assert time.monotonic() - started < 5
    assert str(refused.value).isprintable()


def test_a_server_nobody_trusts_or_that_is_not_there_is_said(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a certificate that leads to a known one there is no list."""
    monkeypatch.delenv("SSL_CERT_FILE")
    served.answers["/list"] = answer(b"192.0.2.1\n")
    with pytest.raises(Unusable, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(f"{served.url}/list", MOST, AsRead())
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unusable, match="refused"):
        fetch(f"https://localhost:{port}/list", MOST, AsRead())


def test_a_server_that_takes_connections_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After so much silence."""
    monkeypatch.setattr(fetching, "SILENT_S", 0.2)
    with socket.create_server(("localhost", 0)) as silent, pytest.raises(Unusable, match="timed out"):
        fetch(f"https://localhost:{silent.getsockname()[1]}/list", MOST, AsRead())


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda path: path, "not there", id="none"),
        pytest.param(lambda path: os.mkfifo(path, 0o600), "no plain file", id="a pipe"),
        pytest.param(lambda path: path.mkdir(), "Is a directory", id="a folder"),
        pytest.param(
            lambda path: os.truncate(_touched(path), 1 << 30), "more than the 100000", id="a gigabyte"
        ),
        pytest.param(lambda path: _touched(path).chmod(0o666), "cannot be trusted", id="anybody's"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, make: Callable[[Path], object], why: str) -> None:
    """At once, and nothing is read of it."""
    path = tmp_path / "list"
    make(path)
    started = time.monotonic()
    with pytest.raises(Unusable, match=why):
        read_file(str(path), MOST)
    assert time.monotonic() - started < 1


def _touched(path: Path) -> Path:
    path.touch()
    return path


def test_a_file_that_changes_has_another_state(tmp_path: Path) -> None:
    """Its size, its times, or another file in its place; also that it goes."""
    path = tmp_path / "list"
    states = [state_of(str(path))]
    for text in ("192.0.2.1\n", "192.0.2.2\n"):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(path)
        states.append(state_of(str(path)))
    path.unlink()
    assert len(set(states)) == 3
    assert state_of(str(path)) == states[0]
