r"""A line taken out of its envelopes, once for all filters of a source.

| envelope | written by | holds |
|---|---|---|
| `{"log":"LINE\n","stream":"stderr","time":"..."}` | Docker's json-file | a line |
| `TIME stderr F LINE` | containerd, CRI-O | a line |
| `web-1  | LINE` | docker compose logs | a line |
| `{"MESSAGE":"...","SYSLOG_IDENTIFIER":"..."}` | journalctl -o json | a message of a program |
| `<38>1 TIME HOST PROGRAM PID ID [data] MESSAGE` | RFC 5424 | a message of a program |
| `<38>TIME HOST PROGRAM[PID]: MESSAGE` | RFC 3164, rsyslog, journalctl -o short | a message of a program |
| `TIME FACILITY.LEVEL PROGRAM[PID]: MESSAGE` | OpenWrt's logread, BusyBox | a message of a program |
| `message repeated 3 times: [ MESSAGE]` | rsyslog, syslogd | a message, three times |

A container's line may itself be a message of a program. The time of the outermost envelope that has one
counts: a container's own clock may show another zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from producers.filters.times import CLOCK
from producers.stamps import TIME as SYSLOG_TIME

MOST_REPEATS: Final = 32
PIECES: Final = frozenset({"CONTAINER_PARTIAL_MESSAGE", "CONTAINER_PARTIAL_ID"})
"""By these Docker's journald driver marks the pieces of a split line (`PartialLines`)."""
MOST_PID: Final = 128
"""As many characters as RFC 5424 lets a process id have."""
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
DOCKER: Final = frozenset({"log", "stream", "attrs", "time"})
"""json-file's keys, as Docker's `daemon/logger/jsonfilelog/jsonlog` writes them."""
CRI: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) "
    rb"(?:stdout|stderr) [FP](?::\w+)? (.*)",
    re.DOTALL,
)
COMPOSE: Final = re.compile(rb"[A-Za-z0-9][\w.-]{0,127} +\| (.*)", re.DOTALL)
SYSLOG: Final = re.compile(
    rb"(?:<\d{1,3}>)?(?P<time>"
    + SYSLOG_TIME
    + rb"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d "
    + CLOCK
    + rb" \d{4}) "
    rb"(?:(?P<host>[^\s:\[\]\"',;=<>()]{1,255}) )??(?:[a-z0-9]{3,9}\.[a-z]{3,7} )?"
    rb"(?P<program>[^\s:\[\]]{1,128})(?:\[(?P<pid>\d{1,10})\])?: (?P<text>.*)",
    re.DOTALL,
)
RFC5424: Final = re.compile(
    rb"(?:<\d{1,3}>)1 (?P<time>\S{1,40}) (?P<host>\S{1,255}) (?P<program>\S{1,48}) (?P<pid>\S{1,128}) "
    rb"\S{1,32} (?:-|(?:\[(?:[^\]\\\"]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: (?P<text>.*))?",
    re.DOTALL,
)
REPEATED: Final = re.compile(rb"message repeated (\d{1,4}) times: \[ (.*)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line without its envelopes.

    Attributes:
        line: the line a service wrote, after a container's envelope; a program's message if the envelope
            named a program.
        text: the message: `line` after a syslog header, or `line` itself.
        time: a container's or the journal's time; empty where there is none.
        host: the host a syslog header names.
        program: the program it names; None where there is no such header.
        times: how often the message was written.
        sent: the time in a syslog header.
        pid: the process id that a syslog header or the journal names; empty where there is none.
        journal: an entry of the journal.
    """

    line: bytes
    text: bytes
    time: bytes = b""
    host: str | None = None
    program: bytes | None = None
    times: int = 1
    sent: bytes = b""
    pid: bytes = b""
    journal: bool = False

    def plain(self) -> Entry:
        """The line, taken for no message of a program: what looks like a header is the service's own."""
        return self if self.program is None else Entry(self.line, self.line, self.time)

    def value(self) -> Any:
        """The JSON object that the message is; None when it is none."""
        return json_object(self.text) if self.text.lstrip()[:1] == b"{" else None


def json_object(text: bytes) -> dict[str, Any] | None:
    """The JSON object that a text is; None when it is none.

    Bytes that are no UTF-8 are replaced: nginx's `escape=json` lets a client's pass.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        replaced = text.decode("utf-8", "replace").encode()
        return None if replaced == text else json_object(replaced)
    return value if isinstance(value, dict) else None


def is_docker(value: dict[str, Any]) -> bool:
    """Whether an object is Docker's envelope, and no service's own that has such keys among others."""
    return value.keys() <= DOCKER and isinstance(value.get("log"), str) and "time" in value


def unwrap(line: bytes) -> Entry:
    """Take a line, without its newline, out of its envelopes."""
    time, inner = b"", line
    if line[:1] == b"{":
        value = json_object(line)
        if value is not None and "MESSAGE" in value:
            return _journal(value)
        if value is not None and is_docker(value):
            time, inner = str(value["time"]).encode(), value["log"].rstrip("\r\n").encode("utf-8", "replace")
    elif (cri := CRI.fullmatch(line)) is not None:
        time, inner = cri[1], cri[2]
    elif (compose := COMPOSE.fullmatch(line)) is not None:
        inner = compose[1]
    return _message(inner, time)


def _message(line: bytes, time: bytes) -> Entry:
    found = RFC5424.fullmatch(line) or SYSLOG.fullmatch(line)
    if found is None:
        return Entry(line, line, time)
    host, program = found["host"], found["program"]
    text = (found["text"] or b"").removeprefix(BYTE_ORDER_MARK)
    times, text = _repeated(text)
    name = None if host is None or host == b"-" else host.decode("utf-8", "replace")
    pid = found["pid"] or b""
    return Entry(line, text, time, name, program, times, found["time"], b"" if pid == b"-" else pid)


def _repeated(text: bytes) -> tuple[int, bytes]:
    if text.startswith(b"message repeated "):
        found = REPEATED.fullmatch(text)
        if found is not None:
            return min(int(found[1]), MOST_REPEATS), found[2]
    return 1, text


def _journal(value: dict[str, Any]) -> Entry:
    """An entry of `journalctl -o json` (Journal Export Formats): byte strings are lists, long ones null."""
    message = None if PIECES & value.keys() else value["MESSAGE"]
    try:
        text = bytes(message if isinstance(message, list) else ())
    except (ValueError, TypeError):
        text = b""
    if isinstance(message, str):
        text = message.encode("utf-8", "replace")
    stamp = value.get("_SOURCE_REALTIME_TIMESTAMP") or value.get("__REALTIME_TIMESTAMP") or ""
    program = value.get("SYSLOG_IDENTIFIER") or value.get("_COMM")
    host = value.get("_HOSTNAME")
    return Entry(
        text,
        text,
        str(stamp).encode(),
        host if isinstance(host, str) else None,
        program.encode("utf-8", "replace") if isinstance(program, str) else None,
        pid=str(value.get("_PID") or value.get("SYSLOG_PID") or "")[:MOST_PID].encode("utf-8", "replace"),
        journal=True,
    )
