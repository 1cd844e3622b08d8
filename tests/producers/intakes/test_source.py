"""An intake under what is sent to it: it takes what it may, says what it did not take, and goes on."""

from __future__ import annotations

import gzip
import json
import random
import resource
import socket
import ssl
import zlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from producers.intakes.connections import GREETING_MOST, MESSAGE_MS, SILENT_MS
from producers.intakes.settings import Intake, is_intake, origins_pattern
from producers.intakes.source import IntakeSource
from tests.banstream.service import eventually
from tests.producers.intakes.listening import (
    Clock,
    chunks,
    connected,
    is_closed,
    listening,
    port_of,
    sender,
    told,
)
from tests.sinks.certificates import Certificates


def test_senders_are_told_apart_and_strangers_are_not_let_in() -> None:
    """What one sends meets nothing of what another sends; a position goes up for both."""
    two = sender("two", networks=("127.0.0.2/32",), hosts=("*",))
    one = sender("one", networks=("127.0.0.1/32",))
    with listening(one, two) as source, connected(source) as made:
        made.sendall(b"<38>a\n")
        other = socket.create_connection(("127.0.0.1", port_of(source)), 10, source_address=("127.0.0.2", 0))
        other.sendall(b"5 <38>b")
        found = chunks(source, 2)
        stranger = socket.create_connection(
            ("127.0.0.1", port_of(source)), 10, source_address=("127.0.0.3", 0)
        )
        eventually(lambda: source.read(1) or told(source, "no sender may have"), "the stranger was seen")
        assert is_closed(stranger)
        for each in (stranger, other):
            each.close()
    by_origin = {each.origin: each for each in found}
    assert by_origin[f"{source.id}#one"].data == b"<38>a\n"
    assert by_origin[f"{source.id}#two"].data == b"<38>b\n"
    assert sorted(each.start for each in found) == [0, 6]


def test_a_sender_speaks_for_its_hosts_alone() -> None:
    """A host is compared without regard to case; who is no sender speaks for nobody."""
    with listening(sender(hosts=("web*", "db1.example.org"))) as source:
        origin = f"{source.id}#web"
        assert source.speaks_for(origin, "WEB7")
        assert source.speaks_for(origin, "db1.example.org")
        assert source.speaks_for(origin, None)
        assert not source.speaks_for(origin, "db1")
        assert not source.speaks_for("file:/x", "web1")
        assert told(source, "may not speak for") == 2


@pytest.mark.parametrize("listen", ["syslog+tcp://[::1]:514", "http://127.0.0.1:80", "kafka://raw.x"])
def test_jails_that_select_by_source_see_each_sender_of_an_intake(listen: str) -> None:
    """And no other intake's: an address in brackets is no pattern."""
    assert is_intake(listen)
    origin = Intake(name="t", listen=listen, senders=(sender(),)).origin(sender())
    assert fnmatchcase(origin, origins_pattern(listen))
    assert not fnmatchcase(origin.replace("#", "0#"), origins_pattern(listen))


def test_a_reload_keeps_connections_and_what_nobody_has_stored() -> None:
    """The same settings, or others: no connection ends, no line is lost, none comes twice."""
    clock = Clock()
    with listening(clock=clock) as source, connected(source) as made:
        before = source.position()
        made.sendall(b"<38>one\n<38>tw")
        (first,) = chunks(source, 1)
        intake = Intake(name="t", listen=source.id, senders=(sender(hosts=("*",)),))
        unsaved = IntakeSource(intake, before, clock)
        saved = IntakeSource(intake, first.resume, clock)
        source.close()
        assert unsaved.read(1 << 20) == first
        unsaved.close()
        made.sendall(b"o\n")
        (second,) = chunks(saved, 1)
        assert second.data == b"<38>two\n"
        assert (second.start, second.incarnation) == (len(first.data), first.incarnation)
        assert saved.speaks_for(second.origin, "db1")
        nobody = Intake(name="t", listen=source.id, senders=(sender("other", networks=("10.0.0.0/8",)),))
        last = IntakeSource(nobody, saved.position(), clock)
        saved.close()
        last.read(1)
        assert is_closed(made)
        last.close()


def test_slow_silent_and_many_connections_are_bounded() -> None:
    """A message that does not end, a connection nobody uses, one too many: each ends, and is counted."""
    clock = Clock()
    with listening(sender(connections=2), clock=clock) as source:
        slow, silent = connected(source), connected(source)
        slow.sendall(b"900 <38>only a beg")
        eventually(lambda: source.read(1) or told(source, "") or silent.fileno() > 0, "they are in")
        third = connected(source)
        eventually(lambda: source.read(1) or told(source, "past the number"), "the third is counted")
        assert is_closed(third)
        clock.now_ms += MESSAGE_MS + 1
        slow.sendall(b"i")
        eventually(lambda: source.read(1) or told(source, "did not end in time"), "the slow one is out")
        assert is_closed(slow)
        fourth = connected(source)
        fourth.sendall(b"<38>x\n")
        chunks(source, 1)
        clock.now_ms += SILENT_MS + 1
        fifth = connected(source)
        eventually(lambda: source.read(1) or told(source, "silent for long"), "a silent one made room")
        fifth.sendall(b"<38>y\n")
        assert chunks(source, 1)[0].data == b"<38>y\n"
        for each in (slow, silent, third, fourth, fifth):
            each.close()


def test_garbage_and_a_flood_of_connections_hold_nothing_up() -> None:
    """5,000 connections with garbage within bounded memory and files; then a line comes through."""
    noise = random.Random(16)
    with listening() as source:
        files = files_open()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(5_000):
            with connected(source) as made:
                made.sendall(noise.randbytes(200) if number % 3 else b"9999999 <38>" + noise.randbytes(20))
            if number % 100 == 0:
                while source.read(1 << 20) is not None:
                    pass
        eventually(lambda: source.read(1 << 20) or files_open() <= files, "all are gone")
        while source.read(1 << 20) is not None:
            pass
        with connected(source) as made:
            made.sendall(b"<38>through\n")
            assert chunks(source, 1)[-1].data.endswith(b"<38>through\n")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 64 << 10


@pytest.mark.parametrize("scheme", ["syslog+tcp", "syslog+udp"])
def test_a_sender_past_its_limit_waits_or_is_dropped(scheme: str) -> None:
    """Over TCP he waits and nothing is lost; over UDP what is too much is dropped and counted."""
    clock = Clock()
    kind = socket.SOCK_DGRAM if scheme.endswith("udp") else socket.SOCK_STREAM
    with (
        listening(sender(lines_per_s=100), scheme=scheme, clock=clock) as source,
        socket.socket(socket.AF_INET, kind) as made,
    ):
        made.connect(("127.0.0.1", port_of(source)))
        for number in range(1_000):
            made.sendall(b"<38>%d\n" % number if kind == socket.SOCK_STREAM or number else b"<38>a\nb")
        found = b""
        for _ in range(30 if kind == socket.SOCK_STREAM else 1):
            clock.now_ms += 1_000
            for _ in range(20):
                chunk = source.read(1 << 20)
                found += b"" if chunk is None else chunk.data
        if kind == socket.SOCK_STREAM:
            assert found == b"".join(b"<38>%d\n" % number for number in range(1_000))
        else:
            assert found.startswith(b"<38>a#012b\n<38>1\n")
            assert found.count(b"\n") + told(source, "dropped") == 1_000
            assert told(source, "dropped") == 900


def gelf(number: int, host: str = "web1", **more: str) -> bytes:
    """A message as Graylog takes it."""
    message = {"version": "1.1", "host": host, "short_message": f"line {number}", **more}
    return json.dumps(message).encode()


def test_gelf_over_tcp_and_udp() -> None:
    """Plain, packed, in pieces; what is none, of another host or never whole is counted."""
    with listening(scheme="gelf+tcp") as source, connected(source) as made:
        made.sendall(gelf(1) + b"\0" + gelf(2, full_message="line\n2") + b"\0{\0" + gelf(3, "db1") + b"\0")
        assert chunks(source, 2)[0].data == b"line 1\nline#0122\n"
        assert (told(source, "could not be read"), told(source, "lines of a host")) == (1, 1)
        made.sendall(b"{" * (2 << 20))
        eventually(lambda: source.read(1) or told(source, "could not be read") == 2, "it is closed")
    clock = Clock()
    with (
        listening(scheme="gelf+udp", clock=clock) as source,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made,
    ):
        made.connect(("127.0.0.1", port_of(source)))
        whole = gzip.compress(gelf(3))
        pieces = [
            b"\x1e\x0fabcdefgh" + bytes([nth, 2]) + part for nth, part in enumerate((whole[:9], whole[9:]))
        ]
        bomb = zlib.compress(b" " * (64 << 20))
        for each in (gelf(1), zlib.compress(gelf(2)), *reversed(pieces), b"\x1e\x0f", bomb[:60_000]):
            made.send(each)
        assert b"".join(each.data for each in chunks(source, 3)) == b"line 1\nline 2\nline 3\n"
        made.send(pieces[0])
        made.send(b"\x1e\x0fnot-here\x00\x02x")
        eventually(lambda: source.read(1) or told(source, "could not be read"), "the bomb is counted")
        clock.now_ms += 6_000
        made.send(b"\x1e\x0fnot-last\x00\x02x")
        eventually(lambda: source.read(1) or told(source, "pieces") > 1, "what is not whole is dropped")


def test_plain_lines_may_begin_with_anything() -> None:
    """Over tcp:// nothing is taken for a count of octets."""
    with listening(scheme="tcp") as source, connected(source) as made:
        made.sendall(b"5 <38>a line\n7 <1>\n")
        assert chunks(source, 2)[0].data == b"5 <38>a line\n7 <1>\n"


def test_a_certificate_says_who_sends_over_tls(tmp_path: Path) -> None:
    """With the wrong one or none nobody is let in; half a handshake holds nobody up."""
    files = Certificates(tmp_path)
    options: dict[str, Any] = {
        "certificate": str(files.server),
        "key": str(files.server.with_suffix(".key")),
        "client_ca": str(files.ca),
    }
    clock = Clock()
    client = ssl.create_default_context(cafile=str(files.ca))
    bearing = ssl.create_default_context(cafile=str(files.ca))
    bearing.load_cert_chain(files.client, files.client.with_suffix(".key"))
    allowed = sender(networks=(), certificates=("localhost",))
    with listening(allowed, scheme="syslog+tls", clock=clock, **options) as source:
        half = [connected(source) for _ in range(GREETING_MOST + 5)]
        eventually(lambda: source.read(1) or told(source, "began no TLS") == 5, "the oldest made room")
        assert told(source, "began no TLS") == 5
        made = _wrapped(bearing, source)
        made.sendall(b"<38>" + b"x" * 30_000 + b"\n")
        assert len(chunks(source, 1)[0].data) == 30_005
        bare = _wrapped(client, source)
        eventually(lambda: source.read(1) or told(source, "began no TLS") > 5, "one without is sent away")
        for each in (made, bare, *half):
            each.close()
    with (
        listening(
            sender(networks=(), certificates=("db1",)),
            scheme="syslog+tls",
            **options,
        ) as source,
        _wrapped(bearing, source),
    ):
        eventually(lambda: source.read(1) or told(source, "certificate is no sender's"), "it is no sender's")


def files_open() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def _wrapped(context: ssl.SSLContext, source: IntakeSource) -> ssl.SSLSocket:
    """A client's side, which shakes hands while the source is read."""
    made = context.wrap_socket(connected(source), server_hostname="localhost", do_handshake_on_connect=False)
    made.setblocking(False)  # noqa: FBT003 - the standard library's

    def shaken() -> bool:
        source.read(1)
        try:
            made.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    eventually(shaken, "hands are shaken")
    made.setblocking(True)  # noqa: FBT003 - as above
    return made


def test_where_nobody_can_listen_now_is_said_and_tried_again() -> None:
    """Others' sources go on meanwhile: a port that is taken protects nobody less than it has to."""
    clock = Clock()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"syslog+tcp://127.0.0.1:{other.getsockname()[1]}"
        source = IntakeSource(Intake(name="lan", listen=listen, senders=(sender(),)), None, clock)
        assert (source.read(1), source.filenos()) == (None, [])
        assert told(source, f"[intake.lan] cannot listen on {listen}, and tries again: Address already") == 1
    clock.now_ms += 2_000
    assert source.read(1) is None
    assert not source.notices()
    with connected(source) as made:
        made.sendall(b"<38>x\n")
        assert chunks(source, 1)[0].data == b"<38>x\n"
    source.close()
