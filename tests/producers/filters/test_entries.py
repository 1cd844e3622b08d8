"""Lines taken out of their envelopes, kind ones and hostile ones."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from producers.filters.entries import Entry, json_object, unwrap

STAMP = "2026-11-22T09:00:00.123456789Z"
SYSLOG = [
    ("Nov 22 09:00:00 web sshd[7]: hello", "Nov 22 09:00:00", "web", "sshd", "hello", "7"),
    ("<38>Nov 22 09:00:00 web sshd[7]: hello", "Nov 22 09:00:00", "web", "sshd", "hello", "7"),
    ("Nov  2 09:00:00 sshd: hello", "Nov  2 09:00:00", None, "sshd", "hello", ""),
    (
        "2026-11-22T09:00:00.5+01:00 web postfix/smtpd[7]: a: b",
        "2026-11-22T09:00:00.5+01:00",
        "web",
        "postfix/smtpd",
        "a: b",
        "7",
    ),
    ("2026-11-22 09:00:00 web php: x", "2026-11-22 09:00:00", "web", "php", "x", ""),
    ("Sun 2026-11-22 09:00:00 UTC web sshd[7]: x", "Sun 2026-11-22 09:00:00 UTC", "web", "sshd", "x", "7"),
    ("1795338000.123456 web sshd[7]: x", "1795338000.123456", "web", "sshd", "x", "7"),
    (
        "Sun Nov 22 09:00:00 2026 authpriv.warn dropbear[7]: x",
        "Sun Nov 22 09:00:00 2026",
        None,
        "dropbear",
        "x",
        "7",
    ),
    (
        "Nov 22 09:00:00 router authpriv.warn dropbear[7]: x",
        "Nov 22 09:00:00",
        "router",
        "dropbear",
        "x",
        "7",
    ),
    ("<38>1 2026-11-22T09:00:00Z web sshd 7 - - x", "2026-11-22T09:00:00Z", "web", "sshd", "x", "7"),
    ("<38>1 2026-11-22T09:00:00Z - sshd - - - x", "2026-11-22T09:00:00Z", None, "sshd", "x", ""),
    (
        '<38>1 2026-11-22T09:00:00Z web sshd 7 ID [a@1 b="c \\" ] d"][e] \ufeffx',
        "2026-11-22T09:00:00Z",
        "web",
        "sshd",
        "x",
        "7",
    ),
    ("<38>1 2026-11-22T09:00:00Z web sshd 7 - -", "2026-11-22T09:00:00Z", "web", "sshd", "", "7"),
]
PLAIN = [
    "",
    "hello",
    "Nov 22 09:00:00 web kernel",
    '2026-11-22 09:00:00.123 UTC,", auth: no host has such a name',
    "Nov 22 09:00:00 user=x, sshd[7]: no host has such a name",
    "Nov 22 09:00:00",
    "hello Nov 22 09:00:00 web sshd[7]: x",
    "<38>1 2026-11-22T09:00:00Z web sshd 7 - [a",
    "2026-11-22T09:00:00Z stdout X hello",
    "{not json",
    '["log", "time"]',
    '{"log": 7, "time": "x"}',
    '{"log": "x"}',
    '{"log": "Nov 22 09:00:00 web sshd[7]: x", "time": "y", "level": "info"}',
    '{"log": "Nov 22 09:00:00 web sshd[7]: x", "time": "y", "level": "info"}',
    '{"message": "x"}',
    "a b | c",
    "\0\0\0",
]


@pytest.mark.parametrize(("line", "sent", "host", "program", "text", "pid"), SYSLOG)
def test_a_header_names_time_host_and_program(  # noqa: PLR0913, PLR0917 - a row of the table
    line: str, sent: str, host: str | None, program: str, text: str, pid: str
) -> None:
    """Whatever wrote the header; the line stays as the service's own log would hold it."""
    raw = line.encode()
    expected = Entry(raw, text.encode(), b"", host, program.encode(), sent=sent.encode(), pid=pid.encode())
    assert unwrap(raw) == expected


@pytest.mark.parametrize("line", PLAIN)
def test_what_has_no_envelope_is_the_line_itself(line: str) -> None:
    """A line that is none of the forms to its last character is nobody's message."""
    assert unwrap(line.encode()) == Entry(line.encode(), line.encode())


@pytest.mark.parametrize(
    "envelope",
    [
        lambda line: orjson.dumps({"log": line + "\r\n", "stream": "stderr", "time": STAMP}),
        lambda line: orjson.dumps({"log": line, "stream": "stdout", "attrs": {"tag": "x"}, "time": STAMP}),
        lambda line: f"{STAMP} stderr F {line}".encode(),
        lambda line: f"{STAMP} stdout P:tag {line}".encode(),
    ],
    ids=["docker", "docker with attributes", "containerd", "cri-o in parts"],
)
@pytest.mark.parametrize("inner", ["hello", SYSLOG[0][0], '{"msg":"x"}', '{"log":"x","time":"y"}', "a | b"])
def test_a_containers_line_is_read_as_a_line_of_its_own(envelope: Callable[[str], bytes], inner: str) -> None:
    """A header within counts, an envelope within does not; the time is the container's."""
    entry = unwrap(envelope(inner))
    headed = inner == SYSLOG[0][0]
    assert (entry.line, entry.time) == (inner.encode(), STAMP.encode())
    assert entry.program == (b"sshd" if headed else None)
    assert entry.text == (b"hello" if headed else inner.encode())
    assert entry.value() == (orjson.loads(inner) if inner.startswith("{") else None)


@pytest.mark.parametrize("name", ["web-1  ", "my.app_2 ", "0 ", "web.1.k3j2h1@node-2    "])
def test_composes_column_is_taken_off(name: str) -> None:
    """`docker compose logs` writes a container's name and a bar before each line, and no time."""
    assert unwrap(f"{name}| Nov 22 09:00:00 web sshd[7]: x".encode()).program == b"sshd"
    assert unwrap(f"{name}| hello | there".encode()) == Entry(
        b"hello | there", b"hello | there", wrapped=True
    )


@pytest.mark.parametrize(
    ("more", "text", "time", "program", "pid"),
    [
        ({"MESSAGE": "x"}, b"x", b"", None, b""),
        ({"MESSAGE": [120, 255, 0]}, b"x\xff\0", b"", None, b""),
        ({"MESSAGE": [[120], [121]]}, b"", b"", None, b""),
        ({"MESSAGE": [300]}, b"", b"", None, b""),
        ({"MESSAGE": None}, b"", b"", None, b""),
        ({"MESSAGE": 9_000_000_000}, b"", b"", None, b""),
        ({"MESSAGE": {"a": 1}}, b"", b"", None, b""),
        ({"MESSAGE": "x", "SYSLOG_IDENTIFIER": "sshd", "_COMM": "y", "_PID": "7"}, b"x", b"", b"sshd", b"7"),
        ({"MESSAGE": "x", "_COMM": "sshd", "SYSLOG_PID": "8", "_PID": "7"}, b"x", b"", b"sshd", b"7"),
        ({"MESSAGE": "x", "_COMM": "sshd", "SYSLOG_PID": "8"}, b"x", b"", b"sshd", b"8"),
        ({"MESSAGE": "x", "SYSLOG_PID": "8" * 999}, b"x", b"", None, b"8" * 128),
        ({"MESSAGE": "x", "__REALTIME_TIMESTAMP": "2"}, b"x", b"2", None, b""),
        (
            {"MESSAGE": "x", "__REALTIME_TIMESTAMP": "2", "_SOURCE_REALTIME_TIMESTAMP": "1"},
            b"x",
            b"1",
            None,
            b"",
        ),
        ({"MESSAGE": "x", "SYSLOG_IDENTIFIER": ["a", "b"]}, b"x", b"", None, b""),
    ],
)
def test_an_entry_of_the_journal(
    more: dict[str, object], text: bytes, time: bytes, program: bytes | None, pid: bytes
) -> None:
    """`journalctl -o json`: bytes are lists, what is too long is null, a field may be there twice."""
    entry = unwrap(orjson.dumps({"_HOSTNAME": "web", **more}))
    assert entry == Entry(text, text, time, "web", program, pid=pid, journal=True, sure=False)


def test_the_journals_message_is_no_header() -> None:
    """What a program logs to the journal is its message, though it looks like another program's."""
    entry = unwrap(orjson.dumps({"MESSAGE": SYSLOG[0][0], "SYSLOG_IDENTIFIER": "app"}))
    assert (entry.program, entry.text) == (b"app", SYSLOG[0][0].encode())


@pytest.mark.parametrize(
    ("text", "times", "inner"),
    [
        ("message repeated 3 times: [ hello]", 3, "hello"),
        ("message repeated 9999 times: [ hello]", 32, "hello"),
        ("message repeated 3 times: [ message repeated 3 times: [ x]]", 3, "message repeated 3 times: [ x]"),
        ("message repeated 3 times: [ hello", 1, "message repeated 3 times: [ hello"),
        ("message repeated 99999 times: [ x]", 1, "message repeated 99999 times: [ x]"),
        ("x message repeated 3 times: [ hello]", 1, "x message repeated 3 times: [ hello]"),
    ],
)
def test_a_repeated_message_counts_as_often_as_it_was(text: str, times: int, inner: str) -> None:
    """Up to 32 times, one level deep, and only behind a header: a service's own log repeats nothing."""
    entry = unwrap(f"Nov 22 09:00:00 web sshd[7]: {text}".encode())
    assert (entry.times, entry.text) == (times, inner.encode())
    assert unwrap(text.encode()).times == 1


@pytest.mark.parametrize(
    "text",
    [
        "Nov 22 09:00:00 db sshd[1]: Failed",
        "<38>1 2026-11-22T09:00:00Z db sshd 1 - - Failed",
        '{"MESSAGE":"Failed","SYSLOG_IDENTIFIER":"sshd"}',
        '{"log":"Failed","time":"x"}',
        f"{STAMP} stderr F Failed",
        "web-1 | Failed",
    ],
)
def test_a_programs_text_that_looks_like_an_envelope_stays_its_text(text: str) -> None:
    """The first header is the true one: what a client wrote behind it names no other program."""
    for line in (f"Nov 22 09:00:00 web app[7]: {text}", f"<38>1 2026-11-22T09:00:00Z web app 7 - - {text}"):
        entry = unwrap(line.encode())
        assert (entry.host, entry.program, entry.text) == ("web", b"app", text.encode())


def test_a_plain_entry_is_the_line_again() -> None:
    """Taken for no message of a program, a line is what it was, with its container's time."""
    entry = unwrap(f"{STAMP} stderr F {SYSLOG[0][0]}".encode())
    line = SYSLOG[0][0].encode()
    assert entry.plain() == Entry(line, line, STAMP.encode(), wrapped=True)
    assert (plain := unwrap(b"hello")).plain() is plain


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 65_536,
        b"\xff\xfe" * 32_768,
        b"Nov 22 09:00:00 web sshd[7]: " + b"\xff" * 65_536,
        b"{" * 65_536,
        b'{"a":' * 13_000 + b"1" + b"}" * 13_000,
        b'{"MESSAGE":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"<38>1 2026-11-22T09:00:00Z web sshd 9 - " + b"[a]" * 21_000,
        b'<38>1 2026-11-22T09:00:00Z web sshd 9 - [a b="' + b"\\" * 65_000,
        b"a" * 65_536 + b" | x",
        b"a" * 100 + b" " * 65_000,
        b"Nov 22 09:00:00 web " + b"sshd[" * 13_000,
        b"Nov 22 09:00:00 " + b"a.b " * 16_000,
        b"Nov 22 09:00:00 web sshd[7]: message repeated 3 times: [ " + b"]" * 65_000 + b"x",
    ],
    ids=lambda line: repr(line[:40]),
)
def test_a_hostile_line_is_a_line(line: bytes) -> None:
    """NULs, bytes that are no UTF-8, deep JSON and 64 KiB of one thing: no error, and no more than a line."""
    entry = unwrap(line)
    assert len(entry.text) <= len(line)
    assert entry.value() is None


def test_only_an_object_is_one() -> None:
    """A JSON list, number or text is no object."""
    assert [json_object(text) for text in (b"[]", b"7", b'"x"', b"", b"{}")] == [None, None, None, None, {}]
