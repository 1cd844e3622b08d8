"""Every header that daemons, supervisors, containers and routers put before a message, for every filter."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.filters import EventRow, NativeFilter, load_filter
from producers.filters.entries import unwrap
from producers.filters.rows import AT_MS, HOST, IP, KIND, SKEWED, USER
from producers.stamps import LineClock, Stamps

AT_MS_MEANT = int(datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()) * 1_000
CLOCK = LineClock(AT_MS_MEANT + 86_400_000, "offline")
MESSAGES = {
    "sshd": "Failed password for invalid user admin from 203.0.113.5 port 4711 ssh2",
    "dropbear": "Bad password attempt for 'admin' from 203.0.113.5:4711",
    "dovecot": (
        "imap-login: Info: Disconnected (auth failed, 1 attempts in 2 secs): user=<admin>, method=PLAIN, "
        "rip=203.0.113.5, lip=192.0.2.1, session=<x>"
    ),
}
NAMED = (
    "Nov 20 10:00:00 gate {program}[1]: ",
    "<38>Nov 20 10:00:00 gate {program}[1]: ",
    "Nov 20 10:00:00.250 gate {program}[1]: ",
    "2026-11-20T10:00:00.123456+00:00 gate {program}[1]: ",
    "2026-11-20 10:00:00.123456+0000  gate {program}[1]: ",
    "Fri 2026-11-20 10:00:00 UTC gate {program}[1]: ",
    "1795168800.123456 gate {program}[1]: ",
    "Nov 20 10:00:00 gate auth.info {program}[1]: ",
    "Nov 20 10:00:00 <auth.info> gate {program}[1]: ",
    "Nov 20 10:00:00 <4.6> gate {program}[1]: ",
    "Nov 20 10:00:00 gate {program}[1]: [ID 800047 auth.info] ",
    "Nov 20 10:00:00 gate @vserver_web {program}[1]: ",
    "Nov 20 10:00:00 gate gate {program}[1]: ",
    "Nov 20 10:00:00 gate gate.example.org {program}[1]: ",
    "Nov 20 2026 10:00:00 gate {program}[1]: ",
    "Nov 20 10:00:00 2026 gate {program}[1]: ",
    "2026 Nov 20 10:00:00 gate {program}[1]: ",
    "Nov 20 10:00:00 gate {program}[1] ",
    "2026-11-20T10:00:00.123456+00:00 gate {program} 1 - - ",
    "<38>1 2026-11-20T10:00:00Z gate {program} 1 - - ",
    "2026-11-20T10:00:00.12345 auth.info: Nov 20 10:00:00 gate {program}[1]: ",
    "{program}-1  | Nov 20 10:00:00 gate {program}[1]: ",
    "\x1b[36m{program}-1  | \x1b[0mNov 20 10:00:00 gate {program}[1]: ",
    "{program}-1  | 2026-11-20T10:00:00.123456789Z Nov 20 10:00:00 gate {program}[1]: ",
    "2026-11-20T10:00:00.123456789Z stderr F Nov 20 10:00:00 gate {program}[1]: ",
)
HOSTLESS = (
    "Nov 20 10:00:00 {program}[1]: ",
    "Nov 20 10:00:00 auth.info {program}[1]: ",
    "Fri Nov 20 10:00:00 2026 auth.info {program}[1]: ",
    "2026-11-20 10:00:00.123456789  {program}[1]: ",
    "2026-11-20_10:00:00.12345 {program}[1]: ",
    "@400000006b001a2a075bca00 {program}[1]: ",
    "2026-11-20T10:00:00.12345 auth.info: Nov 20 10:00:00 {program}[1]: ",
)
PROGRAMLESS = (
    "@400000006b001a2a075bca00 ",
    "2026-11-20_10:00:00.12345 ",
    "2026-11-20T10:00:00.12345 ",
    "2026-11-20 10:00:00.123456789  ",
)
CONTAINED = (
    "sshd-1  | {message}",
    "[pod/git-7f9c/sshd] {message}",
    "[pod/git-7f9c/sshd] 2026-11-20T10:00:00.123456789Z {message}",
    "web-1  | 2026-11-20T10:00:00.123456789Z {message}",
    "2026-11-20T10:00:00.123456789Z stderr F {message}",
    "Nov 20 10:00:00 gate docker/3f2a1b4c5d6e[12]: {message}",
    "Nov 20 10:00:00 gate 3f2a1b4c5d6e[12]: {message}",
)


def scan(name: str, *lines: str) -> list[EventRow]:
    """The events of lines, in a stream of their own."""
    filter_ = load_filter(name)
    assert isinstance(filter_, NativeFilter)
    data = "".join(f"{line}\n" for line in lines).encode()
    return filter_.matcher(Stamps(UTC)).scan(data, CLOCK)


def said(rows: list[EventRow]) -> list[tuple[object, ...]]:
    """(kind, address, user, second, whether the clock's) of each."""
    return [(row[KIND], row[IP], row[USER], row[1] // 1_000, row[SKEWED]) for row in rows]


MEANT = [("failed", "203.0.113.5", "admin", AT_MS_MEANT // 1_000, False)]


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("header", [*NAMED, *HOSTLESS])
def test_a_message_is_read_behind_every_header(name: str, header: str) -> None:
    """Whoever wrote it down; host and time are those of the header."""
    rows = scan(name, header.format(program=name) + MESSAGES[name])
    assert said(rows) == MEANT
    assert rows[0][HOST] == ("gate" if header in NAMED else None)


@pytest.mark.parametrize("name", ["sshd", "dovecot"])
@pytest.mark.parametrize("header", PROGRAMLESS)
def test_a_supervisors_time_is_taken_off(name: str, header: str) -> None:
    """Behind it stands the service's own line, which needs no time of its own then."""
    assert said(scan(name, header + MESSAGES[name])) == MEANT


@pytest.mark.parametrize("form", CONTAINED)
def test_a_containers_line_needs_no_header(form: str) -> None:
    """Sshd's own output; its container's time counts, and there is none with compose alone."""
    rows = scan("sshd", form.format(message=MESSAGES["sshd"]))
    assert [row[:1] + row[2:3] for row in rows] == [("failed", "203.0.113.5")]
    assert rows[0][1] // 1_000 in {AT_MS_MEANT // 1_000, CLOCK.now_ms // 1_000}


@pytest.mark.parametrize("day", ["Nov 9", "Nov  9"])
def test_a_day_may_have_one_digit(day: str) -> None:
    """Padded as RFC 3164 wants it, or not."""
    for name, message in MESSAGES.items():
        rows = scan(name, f"{day} 10:00:00 gate {name}[1]: {message}")
        assert [row[AT_MS] for row in rows] == [AT_MS_MEANT - 11 * 86_400_000]


def test_a_relay_may_write_both_names_of_a_host() -> None:
    """The first one counts; of two hosts nobody knows which, so such a line is nobody's."""
    message = MESSAGES["sshd"]
    rows = scan("sshd", f"Nov 20 10:00:00 gate.example.org gate sshd[1]: {message}")
    assert [row[HOST] for row in rows] == ["gate.example.org"]
    for other in ("gatex", "ate", "example", "gate.x gate"):
        assert scan("sshd", f"Nov 20 10:00:00 gate.example.org {other} sshd[1]: {message}") == []


def test_a_host_may_be_an_address() -> None:
    """IPv4 or IPv6, in every form of header."""
    for host in ("192.0.2.9", "2001:db8::9", "fe80::1%eth0"):
        for name, message in MESSAGES.items():
            for line in (
                f"2026-11-20T10:00:00Z {host} {name}[1]: {message}",
                f"Nov 20 10:00:00 {host} {name}[1]: {message}",
            ):
                assert [row[HOST] for row in scan(name, line)] == [host]


def test_a_monotonic_time_is_none() -> None:
    """`journalctl -o short-monotonic` counts from the start: the event is read, its time is not believed."""
    for name, message in MESSAGES.items():
        rows = scan(name, f"[    5.123456] gate {name}[1]: {message}")
        assert [(row[KIND], row[AT_MS], row[SKEWED]) for row in rows] == [("failed", CLOCK.now_ms, True)]


@pytest.mark.parametrize(
    "line",
    [
        "Nov 20 10:00:00 app: sshd[2]: {message}",
        "Nov 20 10:00:00 app[1]: sshd[2]: {message}",
        "Nov 20 10:00:00 app[1] sshd[2]: {message}",
        "Nov 20 10:00:00 gate app[1]: Nov 20 10:00:00 gate sshd[2]: {message}",
        "Nov 20 10:00:00 gate app[1]: @400000006b001a2a075bca00 {message}",
        "Nov 20 10:00:00 gate app[1]: sshd-1  | {message}",
        "Nov 20 10:00:00 gate one sshd[2]: {message}",
        "Nov 20 10:00:00 gate last sshd[2]: {message}",
        "Nov 20 10:00:00 one.two sshd sshd[2]: {message}",
        "Nov 20 10:00:00 gate {message}",
        "Nov 20 10:00:00 {message}",
        "2026-11-20T10:00:00Z {message}",
        "2026-11-20T10:00:00.123456789Z {message}",
        "2026-11-20T10:00:00.123456789Z 2026-11-20T10:00:00.123456789Z {message}",
        "[2026-11-20 10:00:00] [info] {message}",
        "2026-11-20 10:00:00.123 {message}",
        "[2026-11-20 10:00:00] {message}",
        "Nov 20 10:00:00 gate user=x sshd[2]: {message}",
        "Nov 20 10:00:00 gate auth.x sshd[2]: {message}",
        "Nov 20 10:00:00 gate docker/x[1]: Nov 20 10:00:00 gate app[2]: {message}",
        "x Nov 20 10:00:00 gate sshd[2]: {message}",
    ],
)
def test_what_stands_within_a_message_is_no_header(line: str) -> None:
    """A client may write any of these into another program's message, or into a log of its own."""
    assert scan("sshd", line.format(message=MESSAGES["sshd"])) == []


@pytest.mark.parametrize("stamp", ["2026-11-20T10:00:00.123456789Z", "[2026-11-20 10:00:00] [info]"])
def test_a_time_that_services_write_too_lends_no_line_a_header(stamp: str) -> None:
    """What a client wrote may follow it: a filter whose messages may stand alone wants its header there."""
    message = 'Authentication attempt from 203.0.113.5 for user "eve" failed.'
    header = "10:00:00.051 [http-nio-8080-exec-8] WARN  o.a.g.r.auth.AuthenticationService - "
    assert scan("guacamole", f"{stamp} {message}") == []
    assert said(scan("guacamole", f"{stamp} {header}{message}")) == [
        ("failed", "203.0.113.5", "eve", *MEANT[0][3:])
    ]
    assert [row[IP] for row in scan("guacamole", f"web-1  | {stamp} {header}{message}")] == ["203.0.113.5"]


def test_a_line_of_containers_within_containers_is_a_line() -> None:
    """However often a client repeats a header, it is taken off once."""
    line = "Nov 20 10:00:00 gate docker/x[1]: " * 1_900 + "x"
    assert unwrap(line.encode()).program == b"docker/x"
    assert len(list(unwrap(b"@400000006b001a2a075bca00 " * 2_500).readings())) == 3


headers = st.sampled_from([*NAMED, *HOSTLESS, *PROGRAMLESS])
neighbours = st.sampled_from(
    (
        "hello",
        '{"a":1}',
        "Nov 20 10:00:00 gate CRON[7]: (root) CMD (x)",
        '203.0.113.9 - - [20/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "Failed password for x"',
        orjson.dumps({"log": "hello\n", "stream": "stderr", "time": "2026-11-20T10:00:00Z"}).decode(),
        "2026-11-20T10:00:00.123456789Z stdout F hello",
        "sshd-1  | hello",
    )
)


@given(
    st.lists(st.tuples(headers, neighbours), min_size=1, max_size=12),
    st.lists(st.integers(0, 24), max_size=4),
)
@settings(deadline=None, max_examples=150)
def test_neighbours_and_chunks_change_nothing(mixed: list[tuple[str, str]], cuts: list[int]) -> None:
    """Whatever header a line has, whatever stands beside it and however it is cut: it is the line alone."""
    lines, alone = [], []
    for number, (header, neighbour) in enumerate(mixed):
        message = MESSAGES["sshd"].replace("203.0.113.5", f"203.0.113.{number}")
        line = header.replace("[1]", f"[{number + 1}]").format(program="sshd") + message
        lines += [neighbour, line]
        alone += [(row[KIND], row[AT_MS], row[IP], row[HOST], row[SKEWED]) for row in scan("sshd", line)]
    filter_ = load_filter("sshd")
    assert isinstance(filter_, NativeFilter)
    matcher = filter_.matcher(Stamps(UTC))
    found = []
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    for first, last in pairwise(edges):
        data = "".join(f"{line}\n" for line in lines[first:last]).encode()
        found += [
            (row[KIND], row[AT_MS], row[IP], row[HOST], row[SKEWED]) for row in matcher.scan(data, CLOCK)
        ]
    assert found == alone
    assert len(alone) == len(mixed)


@pytest.mark.parametrize("escape", ["\x1b", "#033"])
def test_colours_are_no_part_of_a_message(escape: str) -> None:
    """Whatever they colour, for every filter; as the terminal has them, and as rsyslog spells them."""
    text = (
        "2026/11/20 10:00:00 routers/web/auth/auth.go:204:SignInPost() {}[36m[I]{}[0m "
        "{}[1mFailed authentication{}[0m attempt for {}[1meve{}[0m from {}[1m203.0.113.5:57094{}[0m: "
        "user does not exist [uid: 0, name: eve]"
    )
    line = text.replace("{}", escape)
    assert [row[IP] for row in scan("gitea", line)] == ["203.0.113.5"]


@pytest.mark.parametrize(
    "header", ["", "sshd-1  | ", "2026-11-20T10:00:00.123456789Z stderr F ", "@400000006b001a2a075bca00 "]
)
def test_a_repeated_message_needs_a_header_that_syslog_writes(header: str) -> None:
    """Only syslog counts messages so; elsewhere it is a text like any other, however often it is nested."""
    repeated = "message repeated 3 times: [ {}]"
    for text in (repeated.format(MESSAGES["sshd"]), repeated.format(repeated.format(MESSAGES["sshd"]))):
        assert scan("sshd", header + text) == []
    for named in ("Nov 20 10:00:00 gate auth.info sshd[1]: ", "Nov 20 10:00:00 gate sshd[1]: "):
        rows = scan("sshd", named + repeated.format(MESSAGES["sshd"]))
        assert [(row[KIND], row[9]) for row in rows] == [("failed", 0), ("failed", 1), ("failed", 2)]


@pytest.mark.parametrize("header", [*NAMED[:20], *HOSTLESS])
def test_a_bare_line_among_headed_ones_is_nobodys(header: str) -> None:
    """Whatever headers the others have: who could write such a line into their log is not sshd."""
    first, bare = header.format(program="sshd") + MESSAGES["sshd"], MESSAGES["sshd"].replace("4711", "4712")
    assert len(scan("sshd", first, bare)) == 1
    assert [row[7] for row in scan("sshd", bare, bare)] == [None, None]
