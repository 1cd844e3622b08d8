"""Enveloped lines for code that reads plain ones: places, times, and what is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from typing import Any

import orjson
import pytest

from producers.filters import EventRow, load_filter
from producers.filters.native.filter import NativeFilter
from producers.filters.rows import AT_MS, HOST, IP, KIND, SKEWED, USER
from producers.stamps import LineClock, Stamps

AT = 1_795_338_000_000
CLOCK = LineClock(AT + 3_600_000, "offline")
HEAD = "Nov 22 08:00:00 web sshd[9]: "
MESSAGES = (
    "Invalid user bob from 192.0.2.7 port 5",
    "pam_unix(sshd:auth): check pass; user unknown",
    "Failed password for invalid user bob from 192.0.2.7 port 5 ssh2",
    "hello",
    "Failed password for invalid user bob from 192.0.2.7 port 5 ssh2",
    "Connection closed by invalid user bob 192.0.2.7 port 5 [preauth]",
    "Accepted publickey for eve from 198.51.100.8 port 6 ssh2: ED25519 SHA256:x",
)


def docker(number: int, message: str) -> str:
    """Docker's json-file."""
    line = {"log": f"{HEAD}{message}\n", "stream": "stderr", "time": f"2026-11-22T09:00:0{number}.25Z"}
    return orjson.dumps(line).decode()


def containerd(number: int, message: str) -> str:
    """Containerd's form."""
    return f"2026-11-22T10:00:0{number}.25+01:00 stderr F {HEAD}{message}"


def journal(number: int, message: str) -> str:
    """`journalctl -o json`."""
    entry = {
        "__REALTIME_TIMESTAMP": f"{AT // 1_000 + number}250000",
        "SYSLOG_IDENTIFIER": "sshd",
        "_HOSTNAME": "web",
        "_PID": "9",
        "MESSAGE": list(message.encode()) if number == 2 else message,
    }
    return orjson.dumps(entry).decode()


FORMS: tuple[Callable[[int, str], str], ...] = (docker, containerd, journal)


def matcher() -> Any:
    """The library's sshd, in UTC."""
    filter_ = load_filter("sshd")
    assert isinstance(filter_, NativeFilter)
    return filter_.matcher(Stamps(UTC))


def plain_rows() -> list[EventRow]:
    """The rows of the lines as they are within."""
    return list(matcher().scan("".join(f"{HEAD}{each}\n" for each in MESSAGES).encode(), CLOCK))


@pytest.mark.parametrize("form", FORMS)
def test_events_have_the_places_and_times_of_the_lines_they_came_in(form: Callable[[int, str], str]) -> None:
    """The events are those of the plain lines; the enveloped line's place counts, and the envelope's time."""
    lines = [form(number, message).encode() + b"\n" for number, message in enumerate(MESSAGES)]
    rows = matcher().scan(b"".join(lines), CLOCK)
    plain = plain_rows()
    assert len(plain) > 3
    picked = (KIND, IP, USER, HOST)
    assert [[row[at] for at in picked] for row in rows] == [[row[at] for at in picked] for row in plain]
    starts = [sum(map(len, lines[:number])) for number in range(len(lines))]
    plain_starts = [len(f"{HEAD}{each}\n") for each in MESSAGES]
    numbers = [[sum(plain_starts[:number]) for number in range(len(lines))].index(row[3]) for row in plain]
    assert [row[3:5] for row in rows] == [(starts[n], starts[n] + len(lines[n])) for n in numbers]
    assert [(row[AT_MS], row[SKEWED]) for row in rows] == [(AT + n * 1_000 + 250, False) for n in numbers]


@pytest.mark.parametrize("form", FORMS)
def test_where_the_stream_is_cut_makes_no_difference(form: Callable[[int, str], str]) -> None:
    """Cut behind any line, saved and loaded: what a connection has counted is known."""
    lines = [form(number, message).encode() + b"\n" for number, message in enumerate(MESSAGES)]
    whole = matcher().scan(b"".join(lines), CLOCK)
    for cut in range(1, len(lines)):
        first, second = matcher(), matcher()
        head = b"".join(lines[:cut])
        rows = first.scan(head, CLOCK)
        second.load(json.loads(json.dumps(first.save())))
        for row in second.scan(b"".join(lines[cut:]), CLOCK):
            rows.append((*row[:3], row[3] + len(head), row[4] + len(head), *row[5:]))
        assert rows == whole


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("other", ["torn", '{"log":"torn', "", f"{HEAD}hello"])
@pytest.mark.parametrize("first", [True, False])
def test_a_torn_line_or_a_plain_one_blinds_nobody(
    form: Callable[[int, str], str],
    other: str,
    first: bool,  # noqa: FBT001
) -> None:
    """A crash may tear a line, a writer be set up anew: the events are those of the lines that are whole."""
    lines = "".join(f"{form(number, message)}\n" for number, message in enumerate(MESSAGES))
    mixed = f"{other}\n{lines}" if first else f"{lines}{other}\n"
    rows = matcher().scan(mixed.encode(), CLOCK)
    assert [row[:3] for row in rows] == [row[:3] for row in matcher().scan(lines.encode(), CLOCK)]


@pytest.mark.parametrize("form", [docker, journal])
def test_plain_lines_and_json_may_be_mixed_anyhow(form: Callable[[int, str], str]) -> None:
    """Between plain lines, too: a connection's lines belong together in whatever form each came."""
    lines = [
        f"{HEAD}{message}" if number in {0, 3, 6} else form(number, message)
        for number, message in enumerate(MESSAGES)
    ]
    rows = matcher().scan("".join(f"{line}\n" for line in lines).encode(), CLOCK)
    assert [(row[KIND], row[IP]) for row in rows] == [(row[KIND], row[IP]) for row in plain_rows()]


def test_a_newline_within_a_message_begins_no_line() -> None:
    """What a program logs with a newline is one message: nobody can write a line of sshd's by one."""
    lines = docker(0, "hello\n" + HEAD + MESSAGES[0]), journal(1, "hello\nFailed password for x from 1.2.3.4")
    for line in lines:
        assert matcher().scan(f"{line}\n".encode(), CLOCK) == []


@pytest.mark.parametrize("time", ["22/Xyz/2026:09:00:00", "yesterday", "", None, 7, {"a": 1}])
def test_an_envelopes_time_that_is_none_is_no_error(time: object) -> None:
    """It counts as now, and the rest of the line as ever."""
    line = orjson.dumps({"log": f"{HEAD}{MESSAGES[0]}\n", "stream": "stderr", "time": time}) + b"\n"
    assert [row[IP] for row in matcher().scan(line, CLOCK)] == ["192.0.2.7"]
    entry = orjson.dumps({"MESSAGE": MESSAGES[0], "SYSLOG_IDENTIFIER": "sshd", "__REALTIME_TIMESTAMP": time})
    matcher().scan(entry + b"\n", CLOCK)


def test_notices_are_the_inner_matchers() -> None:
    """A host name instead of an address is a notice in an envelope, too."""
    one = matcher()
    line = docker(0, "User bob from host.example not allowed because listed in DenyUsers")
    assert one.scan(f"{line}\n".encode(), CLOCK) == []
    assert list(one.notices().values()) == [1]
