"""Native filters at work: sessions, programs, addresses, times, bounds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from producers.filters.bounds import TOO_SLOW, Guard
from producers.filters.candidates import line_starts
from producers.filters.native import matcher
from producers.filters.native.definition import parse_definition
from producers.filters.native.matcher import MOST_SESSIONS, NO_ADDRESS, NativeMatcher, NativeRules
from producers.filters.rows import AT_MS, FIELDS, IP, KIND, NTH, PORT, SKEWED, START, USER
from producers.stamps import LineClock, Stamps
from schemas.errors import InvalidMessage

NOW_MS = 1_795_338_000_000
CLOCK = LineClock(NOW_MS, "offline")
HEAD = "Nov 22 09:00:00 web app[7]: "


def matcher_of(text: str, stamps: Stamps | None = None) -> NativeMatcher:
    """A matcher of a filter."""
    return NativeMatcher(NativeRules(parse_definition("x", text, "x.toml")), stamps or Stamps(UTC))


def scan(one: NativeMatcher, *lines: str, clock: LineClock = CLOCK) -> list[Any]:
    """The events of lines."""
    return list(one.scan("".join(f"{line}\n" for line in lines).encode(), clock))


SESSIONS = """
programs = ["app"]
[[failed]]
line = '{session}: bad password for {user}'
[[succeeded]]
line = '{session}: welcome {user}'
[[session]]
line = '{session}: connect from {ip} port {port}'
[[session]]
line = '{session}: bye'
ends = true
"""


def test_a_sessions_line_needs_no_address_of_its_own() -> None:
    """The line that names the connection gives address and port; the end of it ends them."""
    one = matcher_of(SESSIONS)
    rows = scan(
        one,
        f"{HEAD}s1: bad password for early",
        f"{HEAD}s1: connect from 192.0.2.7 port 5",
        f"{HEAD}s2: connect from 198.51.100.8 port 6",
        f"{HEAD}s1: bad password for bob",
        f"{HEAD}s2: welcome eve",
        f"{HEAD}s1: bye",
        f"{HEAD}s1: bad password for late",
    )
    assert [(row[KIND], row[IP], row[PORT], row[USER]) for row in rows] == [
        ("failed", "192.0.2.7", 5, "bob"),
        ("succeeded", "198.51.100.8", 6, "eve"),
    ]
    assert one.notices() == {NO_ADDRESS: 2}


def test_a_session_of_another_host_is_another() -> None:
    """Two hosts may use the same name at the same time."""
    rows = scan(
        matcher_of(SESSIONS),
        "Nov 22 09:00:00 web app[7]: s1: connect from 192.0.2.7 port 5",
        "Nov 22 09:00:00 db app[7]: s1: connect from 198.51.100.8 port 6",
        "Nov 22 09:00:00 web app[7]: s1: bad password for bob",
        "Nov 22 09:00:00 app[7]: s1: bad password for bob",
    )
    assert [row[IP] for row in rows] == ["192.0.2.7"]


def test_a_session_may_be_named_anew() -> None:
    """Its last address counts, with its port."""
    rows = scan(
        matcher_of(SESSIONS),
        f"{HEAD}s1: connect from 192.0.2.7 port 5",
        f"{HEAD}s1: connect from 198.51.100.8 port 6",
        f"{HEAD}s1: bad password for bob",
    )
    assert [(row[IP], row[PORT]) for row in rows] == [("198.51.100.8", 6)]


PROCESSES = """
programs = ["app"]
headers = ['\\[{session}\\] {time} ']
sessions = "pid"
[[session]]
line = 'connection from {ip}:{port}'
[[failed]]
line = 'no such user'
[[failed]]
line = 'bad password for {user} from {ip}'
[[probed]]
line = 'gone'
ends = true
"""


def journal(pid: str, message: str) -> str:
    """`journalctl -o json`."""
    entry = {"_HOSTNAME": "web", "SYSLOG_IDENTIFIER": "app", "_PID": pid, "MESSAGE": message}
    return json.dumps(entry | {"__REALTIME_TIMESTAMP": f"{NOW_MS}000"})


@pytest.mark.parametrize(
    "form",
    [
        "Nov 22 09:00:00 web app[{}]: {}",
        "<38>1 2026-11-22T09:00:00Z web app {} - - {}",
        "2026-11-22T09:00:00Z stderr F Nov 22 09:00:00 web app[{}]: {}",
        "[{}] Nov 22 09:00:00 {}",
        "2026-11-22T09:00:00Z stderr F [{}] Nov 22 09:00:00 {}",
        "Nov 22 09:00:00 web app[1]: [{}] Nov 22 09:00:00 {}",
        journal,
    ],
    ids=lambda form: form if isinstance(form, str) else form.__name__,
)
def test_the_messages_of_one_process_are_a_session(form: str | Callable[[str, str], str]) -> None:
    """By the process id of the envelope, or by the session in the service's own header; per process."""
    written = form.format if isinstance(form, str) else form
    rows = scan(
        matcher_of(PROCESSES),
        written("7", "no such user"),
        written("7", "connection from 192.0.2.7:5"),
        written("8", "connection from 198.51.100.8:6"),
        written("7", "no such user"),
        written("8", "bad password for bob from 203.0.113.9"),
        written("8", "no such user"),
        written("7", "gone"),
        written("7", "no such user"),
    )
    assert [(row[KIND], row[IP], row[PORT]) for row in rows] == [
        ("failed", "192.0.2.7", 5),
        ("failed", "203.0.113.9", None),
        ("failed", "198.51.100.8", 6),
        ("probed", "192.0.2.7", 5),
    ]


@pytest.mark.parametrize("head", ["Nov 22 09:00:00 web app: ", "<38>1 2026-11-22T09:00:00Z web app - - - "])
def test_messages_without_a_process_id_are_no_session(head: str) -> None:
    """They may be of any process: nobody is blamed."""
    one = matcher_of(PROCESSES)
    assert scan(one, f"{head}connection from 192.0.2.7:5", f"{head}no such user") == []
    assert one.notices()[NO_ADDRESS] == 1
    assert one.save() == {"sessions": []}


def test_a_process_of_another_host_or_program_is_another() -> None:
    """Hosts count their processes apart; a message of another program is no session's."""
    rows = scan(
        matcher_of(PROCESSES),
        "Nov 22 09:00:00 web app[7]: connection from 192.0.2.7:5",
        "Nov 22 09:00:00 db app[7]: no such user",
        "Nov 22 09:00:00 web other[7]: connection from 203.0.113.9:5",
        "Nov 22 09:00:00 web app[7]: no such user",
    )
    assert [row[IP] for row in rows] == ["192.0.2.7"]


def test_processes_are_sessions_only_where_the_filter_says() -> None:
    """One process may serve many clients at once."""
    text = PROCESSES.replace('sessions = "pid"', "")
    rows = scan(matcher_of(text), f"{HEAD}connection from 192.0.2.7:5", f"{HEAD}no such user")
    assert rows == []


def test_sessions_are_bounded_and_the_oldest_goes_first() -> None:
    """A client who opens any number of them makes the filter remember no more than 1,024."""
    one = matcher_of(SESSIONS)
    scan(one, *(f"{HEAD}s{n}: connect from 192.0.2.7 port 5" for n in range(MOST_SESSIONS)))
    scan(one, f"{HEAD}s0: connect from 192.0.2.7 port 6", f"{HEAD}new: connect from 192.0.2.7 port 5")
    assert len(one.save()["sessions"]) == MOST_SESSIONS
    rows = scan(one, *(f"{HEAD}{name}: bad password for bob" for name in ("s0", "s1", "s2", "new")))
    assert [row[START] for row in rows] == [
        0,
        2 * len(f"{HEAD}s1: bad password for bob\n"),
        3 * len(f"{HEAD}s1: bad password for bob\n"),
    ]


def test_sessions_are_saved_and_loaded() -> None:
    """As JSON; after it, what was remembered before is gone."""
    first, second = matcher_of(SESSIONS), matcher_of(SESSIONS)
    scan(first, f"{HEAD}s1: connect from 192.0.2.7 port 5")
    scan(second, f"{HEAD}s2: connect from 198.51.100.8 port 6")
    second.load(json.loads(json.dumps(first.save())))
    rows = scan(second, f"{HEAD}s1: bad password for bob", f"{HEAD}s2: bad password for bob")
    assert [(row[IP], row[PORT]) for row in rows] == [("192.0.2.7", 5)]


@pytest.mark.parametrize(
    "saved", [{}, {"sessions": 7}, {"sessions": [["a"]]}, {"sessions": [["a", "b", "c"]]}, {"sessions": None}]
)
def test_what_is_no_saved_state_is_refused(saved: dict[str, Any]) -> None:
    """And what the matcher knew stays."""
    one = matcher_of(SESSIONS)
    scan(one, f"{HEAD}s1: connect from 192.0.2.7 port 5")
    with pytest.raises(InvalidMessage, match="not what a filter remembered"):
        one.load(saved)
    assert len(one.save()["sessions"]) == 1


@pytest.mark.parametrize(
    ("programs", "program", "taken"),
    [
        ('["app"]', "app", True),
        ('["app"]', "App", False),
        ('["app"]', "app2", False),
        ('["app"]', "app/smtpd", True),
        ('["app"]', "app(example.com)", True),
        ('["app"]', "app@1", True),
        ('["app/smtpd"]', "app/smtpd", True),
        ('["app/smtpd"]', "app/cleanup", False),
        ('["a", "app"]', "app", True),
        ('["*"]', "whatever", True),
        ("[]", "app", False),
    ],
)
def test_a_message_is_its_programs(programs: str, program: str, taken: bool) -> None:  # noqa: FBT001
    """A filter's programs, with the part that some name behind it; `*` is every one."""
    text = f"programs = {programs}\n[[failed]]\nline = 'bad {{ip}}'"
    rows = scan(matcher_of(text), f"Nov 22 09:00:00 web {program}[7]: bad 192.0.2.7")
    assert len(rows) == taken


@pytest.mark.parametrize(
    ("head", "line", "taken"),
    [
        ("", "bad 192.0.2.7", True),
        ("bare = true", "bad 192.0.2.7", True),
        ("headers = ['{time} ']", "bad 192.0.2.7", False),
        ("headers = ['{time} ']", "2026-11-22 09:00:00 bad 192.0.2.7", True),
        ("bare = true\nheaders = ['{time} ']", "bad 192.0.2.7", True),
        ("bare = true", "Nov 22 09:00:00 web other[7]: bad 192.0.2.7", False),
        ("headers = ['{time} \\w+ other\\[7\\]: ']", "Nov 22 09:00:00 web other[7]: bad 192.0.2.7", True),
        ("headers = ['{time} ']", "2026-11-22T09:00:00.5Z stderr F bad 192.0.2.7", False),
    ],
)
def test_a_line_without_a_program_is_taken_where_the_filter_says(head: str, line: str, taken: bool) -> None:  # noqa: FBT001
    """With the filter's own header, if it has any, or where it says that its messages may stand alone."""
    rows = scan(matcher_of(f"{head}\nprograms = ['app']\n[[failed]]\nline = 'bad {{ip}}'"), line)
    assert len(rows) == taken


def test_the_kind_that_says_most_is_tried_first() -> None:
    """A line that several tables would take is what succeeded, then what failed, then a probe."""
    tables = "".join(
        f"[[{kind}]]\nline = 'x {{ip}}{rest}'\n"
        for kind, rest in (("probed", ".*"), ("failed", "[ab]"), ("succeeded", "a"))
    )
    rows = scan(matcher_of(f"bare = true\n{tables}"), *(f"x 192.0.2.7{end}" for end in "abc"))
    assert [row[KIND] for row in rows] == ["succeeded", "failed", "probed"]


def test_a_pattern_with_an_address_comes_before_one_without() -> None:
    """The first that names somebody has the line; one that names nobody is a notice."""
    text = "bare = true\n[[failed]]\nline = 'x .*'\n[[probed]]\nline = 'x {ip}'"
    one = matcher_of(text)
    assert [row[KIND] for row in scan(one, "x 192.0.2.7", "x nobody")] == ["probed"]
    assert one.notices()[NO_ADDRESS] == 1


@pytest.mark.parametrize(
    ("written", "ip", "name"),
    [
        ("192.0.2.7", "192.0.2.7", False),
        ("::ffff:192.0.2.7", "192.0.2.7", False),
        ("::FFFF:c000:207", "192.0.2.7", False),
        ("2001:DB8:0:0::7", "2001:db8::7", False),
        ("[2001:db8::7]", "2001:db8::7", False),
        ("host.example", "host.example", True),
        ("7.example", "7.example", True),
        ("beef.example", "beef.example", True),
    ],
)
def test_an_address_is_written_in_one_way(written: str, ip: str, name: bool) -> None:  # noqa: FBT001
    """Whatever the service writes; a host name is kept as such, to be looked up."""
    (row,) = scan(matcher_of("bare = true\n[[failed]]\nline = 'x (?P<ip>\\S+)'"), f"x {written}")
    assert row[IP] == ip
    assert row[FIELDS] == ({"dns": ip} if name else None)


@pytest.mark.parametrize(
    "written",
    [
        "999.0.2.7",
        "192.0.2",
        "192.0.2.7:5",
        "2001:db8::7::",
        ":::",
        "1.2.3.4.5",
        "a b",
        "-",
        "unknown,x",
        "[]",
        "7",
    ],
)
def test_what_is_neither_address_nor_name_is_a_notice(written: str) -> None:
    """An event has an address or a host name; what is none bans nobody, and is counted."""
    one = matcher_of("bare = true\n[[failed]]\nline = 'x (?P<ip>.*)'")
    assert scan(one, f"x {written}") == []
    assert one.notices()[NO_ADDRESS] == 1


@pytest.mark.parametrize(
    ("line", "at_ms", "skewed"),
    [
        ("2026-11-22 09:00:30 x 192.0.2.7", NOW_MS + 30_000, False),
        ("2026-11-22 09:02:00 x 192.0.2.7", NOW_MS, True),
        ("2026-11-22 08:58:00 x 192.0.2.7", NOW_MS, True),
        ("22/Xyz/2026:09:00:00 x 192.0.2.7", NOW_MS, True),
    ],
)
def test_a_live_lines_time_that_is_off_is_now(line: str, at_ms: int, skewed: bool) -> None:  # noqa: FBT001
    """More than 60 s either way, or no instant at all: the clock's, and the row says so."""
    one = matcher_of("headers = ['{time} ']\n[[failed]]\nline = 'x {ip}'")
    (row,) = scan(one, line, clock=LineClock(NOW_MS, "live"))
    assert (row[AT_MS], row[SKEWED]) == (at_ms, skewed)


def test_the_outermost_time_counts() -> None:
    """A container's before a syslog header's, and that before the service's own."""
    text = "programs = ['app']\n[[failed]]\nline = '(?:{time} )?x {ip}'"
    own = "2026-11-22 07:00:00 x 192.0.2.7"
    lines = [
        own,
        f"Nov 22 08:00:00 web app[7]: {own}",
        f"2026-11-22T09:00:00Z stderr F Nov 22 08:00:00 web app[7]: {own}",
    ]
    rows = scan(matcher_of(text), *lines)
    assert [row[AT_MS] - NOW_MS for row in rows] == [-7_200_000, -3_600_000, 0]


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22 09:00:00",
        "2026-11-22T09:00:00Z",
        "2026-11-22T10:00:00+01:00",
        "22/Nov/2026:09:00:00",
        "Sun Nov 22 09:00:00 2026",
        "Nov 22 09:00:00",
        "Nov 22, 2026 9:00:00 AM",
        "22.11.2026 09:00:00",
        "20261122 09:00:00",
        "1795338000",
    ],
)
def test_a_service_that_always_writes_utc_does_so_in_every_form(written: str) -> None:
    """`{utc}` holds whatever the local zone, unless the line names another."""
    text = "[[failed]]\nline = '{utc} x {ip}'"
    (row,) = scan(matcher_of(text, Stamps(ZoneInfo("Europe/Berlin"))), f"{written} x 192.0.2.7")
    assert (row[AT_MS], row[SKEWED]) == (NOW_MS, False)


def test_the_same_time_is_another_instant_to_a_service_of_utc() -> None:
    """Times are remembered apart."""
    text = "[[failed]]\nline = '{utc} x {ip}'\n[[probed]]\nline = '{time} y {ip}'"
    lines = ("2026-11-22 09:00:00 x 192.0.2.7", "2026-11-22 09:00:00 y 192.0.2.7")
    rows = scan(matcher_of(text, Stamps(ZoneInfo("Europe/Berlin"))), *lines)
    assert [row[AT_MS] - NOW_MS for row in rows] == [0, -3_600_000]


def test_a_repeated_message_is_several_events() -> None:
    """Each with a number of its own."""
    rows = scan(
        matcher_of("programs = ['app']\n[[failed]]\nline = 'x {ip}'"),
        f"{HEAD}message repeated 3 times: [ x 192.0.2.7]",
    )
    assert [row[NTH] for row in rows] == [0, 1, 2]


def test_what_else_is_captured_is_a_field() -> None:
    """Named by the filter; free texts have no name, and bytes that are no UTF-8 are replaced."""
    text = "bare = true\n[[failed]]\nline = 'x {ip} (?P<method>\\S+) {text} by {user}'"
    (row,) = matcher_of(text).scan(b"x 192.0.2.7 pass\xff hello by b\xffb\r\n", CLOCK)
    assert (row[FIELDS], row[USER]) == ({"method": "pass\ufffd"}, "b\ufffdb")


def test_a_line_that_takes_too_long_is_skipped_and_counted() -> None:
    """64 KiB made for a polynomial expression: about 50 ms of processor time, and the next line is read."""
    one = matcher_of("bare = true\n[[failed]]\nline = '.*=.*=.*=.* x {ip}'")
    bait = "=" * 65_000
    began = time.process_time()
    rows = scan(one, f"{bait} x y", "=== x 192.0.2.7", f"{bait} x y", "=== x 192.0.2.8")
    assert time.process_time() - began < 1
    assert [row[IP] for row in rows] == ["192.0.2.7", "192.0.2.8"]
    assert one.notices()[TOO_SLOW] == 2
    assert one.notices()[f"{TOO_SLOW}, such as {bait[:120].encode()!r}"] == 2


def test_between_two_lines_none_is_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that comes when a slow line has just been read breaks nothing off."""
    guard = Guard(2)
    monkeypatch.setattr(matcher, "bounded", lambda: nullcontext(guard))
    data = b"x 192.0.2.7\n" * 3

    def ticking() -> Iterator[int]:
        for start in line_starts(data):
            guard.tick()
            guard.tick()
            yield start

    starts = cast("Sequence[int]", ticking())
    assert len(matcher_of("bare = true\n[[failed]]\nline = 'x {ip}'").scan(data, CLOCK, starts)) == 3
