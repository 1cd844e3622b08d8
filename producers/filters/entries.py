r"""A line taken out of its envelopes, once for all filters of a source.

| envelope | written by | holds |
|---|---|---|
| `{"log":"LINE\n","stream":"stderr","time":"..."}` | Docker's json-file | a line |
| `TIME stderr F LINE` | containerd, CRI-O | a line |
| `web-1  | LINE`, `[pod/web-7f/app] LINE` | docker compose logs, kubectl logs --prefix | a line |
| `{"MESSAGE":"...","SYSLOG_IDENTIFIER":"..."}` | journalctl -o json | a message of a program, or a line |
| `TIME HOST PROGRAM[PID]: MESSAGE` and its kin | syslog (`headers.py`) | a message of a program |
| `TIME HOST docker/NAME[PID]: LINE` | Docker's syslog driver, the journal source | a line |
| `message repeated 3 times: [ MESSAGE]` | rsyslog, syslogd | a message, three times |

A container's line may itself be a message of a program. The time of the outermost envelope that has one
counts: a container's own clock may show another zone. A terminal's colours are no part of a line.

A time that supervisors write before a line may also be the service's own: such a line has two readings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from producers.filters.headers import supervised, syslog_header, without_colours
from producers.journal import CONTAINER_ID, journal_entry

MOST_REPEATS: Final = 32
MOST_READINGS: Final = 3
PIECES: Final = frozenset({"CONTAINER_PARTIAL_MESSAGE", "CONTAINER_PARTIAL_ID"})
"""By these Docker's journald driver marks the pieces of a split line (`PartialLines`)."""
SURE: Final = frozenset({"__CURSOR", "_BOOT_ID"})
"""What journalctl writes into every entry, and no program: a field of its own begins with a letter."""
DOCKER: Final = frozenset({"log", "stream", "attrs", "time"})
"""json-file's keys, as Docker's `daemon/logger/jsonfilelog/jsonlog` writes them."""
CRI: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) "
    rb"(?:stdout|stderr) [FP](?::\w+)? (.*)",
    re.DOTALL,
)
PREFIX: Final = re.compile(
    rb"(?:(?!\d{1,3}(?:\.\d{1,3}){3} )[A-Za-z0-9][\w.@-]{0,255} +\|"
    rb"|\[pod/[\w.-]{1,255}/[\w.-]{1,255}\]) (.*)",
    re.DOTALL,
)
"""What `docker compose logs`, `docker service logs` and `kubectl logs --prefix` write before a line."""
REPEATED: Final = re.compile(rb"message repeated (\d{1,4}) times: \[ (.*)\]", re.DOTALL)
PART: Final = re.compile(rb"[/(@]")
CONTAINER: Final = re.compile(rb"docker[/_](.*)|" + CONTAINER_ID.pattern.encode(), re.DOTALL)
"""A program's name that is a container's: Docker's syslog driver writes an id, and older ones `docker/ID`."""


def program_of(name: bytes) -> bytes:
    """The program that a name in a header is of: `postfix/smtpd` of postfix, `sshd@x` of sshd."""
    return PART.split(name, 1)[0]


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
        names: what a container is called: programs whose messages its lines may be.
        wrapped: it came out of an envelope that only a runtime or a supervisor writes.
        supervised: a supervisor has written its time before it, where the service's own header may have one.
        headed: it is none unless it begins with a header: else a client's words may stand at its beginning.
        sure: the envelope is the one that it seems to be, whatever a client may write into a line.
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
    names: tuple[bytes, ...] = ()
    wrapped: bool = False
    supervised: bool = False
    headed: bool = False
    sure: bool = True

    def plain(self) -> Entry:
        """The line, taken for no message of a program: what looks like a header is the service's own."""
        if self.program is None:
            return self
        return Entry(
            self.line,
            self.line,
            self.time,
            wrapped=self.wrapped,
            supervised=self.supervised,
            headed=self.headed,
        )

    @property
    def doubtful(self) -> bool:
        """One word with a colon, behind a time and nothing else, may be the service's own and no program."""
        return self.program is not None and not (self.host or self.pid or self.journal)

    def readings(self) -> Iterator[Entry]:
        """What it may be: the line as it is, then as what a supervisor wrote down."""
        reading: Entry | None = self
        for _ in range(MOST_READINGS):
            if reading is None:
                return
            yield reading
            reading = reading.behind()

    def behind(self) -> Entry | None:
        """The line behind a supervisor's time; None where none stands before it."""
        named = self.program is not None and not self.doubtful
        found = supervised(self.text if named else self.line)
        if found is None:
            return None
        if named:
            return replace(self, text=found.line)
        sure = self.wrapped or not found.doubtful
        inner = _message(found.line, self.time or found.time, wrapped=sure)
        names = inner.names or self.names
        return replace(inner, host=inner.host or self.host, names=names, supervised=True, headed=not sure)

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


def is_doubtful(line: bytes) -> bool:
    """Whether a line looks like the journal's JSON, and lacks what journalctl alone writes."""
    return line[:1] == b"{" and not unwrap(line.rstrip(b"\r\n")).sure


def unwrap(line: bytes) -> Entry:
    """Take a line, without its newline, out of its envelopes."""
    if line[:1] == b"{":
        value = json_object(line)
        if value is not None and "MESSAGE" in value:
            return _journal(value)
        if value is not None and is_docker(value):
            inner = value["log"].rstrip("\r\n").encode("utf-8", "replace")
            return _message(without_colours(inner), str(value["time"]).encode(), wrapped=True)
    line = without_colours(line)
    if (cri := CRI.fullmatch(line)) is not None:
        return _message(cri[2], cri[1], wrapped=True)
    if (prefix := PREFIX.fullmatch(line)) is not None:
        return _message(prefix[1], b"", wrapped=True)
    return _message(line, b"")


def _message(line: bytes, time: bytes, *, wrapped: bool = False) -> Entry:
    header = syslog_header(line)
    if header is None:
        return Entry(line, line, time, wrapped=wrapped)
    host = header.host.decode("utf-8", "replace") or None
    container = None if wrapped else CONTAINER.fullmatch(header.program)
    if container is not None:
        inner = _message(header.text, time or header.time, wrapped=True)
        names = tuple(filter(None, (container[1] or b"").split(b"/")))
        return replace(inner, host=inner.host or host, names=inner.names or names)
    times, text = _repeated(header.text)
    return Entry(line, text, time, host, header.program, times, header.time, header.pid, wrapped=wrapped)


def _repeated(text: bytes) -> tuple[int, bytes]:
    if text.startswith(b"message repeated "):
        found = REPEATED.fullmatch(text)
        if found is not None:
            return min(int(found[1]), MOST_REPEATS), found[2]
    return 1, text


def _journal(value: dict[str, Any]) -> Entry:
    """An entry of `journalctl -o json`."""
    found = journal_entry(value)
    text = b"" if PIECES & value.keys() else without_colours(found.message)
    entry = Entry(
        text,
        text,
        found.at_us.encode(),
        found.host or None,
        found.program.encode("utf-8", "replace") if found.program else None,
        pid=found.pid.encode("utf-8", "replace"),
        journal=True,
        sure=value.keys() >= SURE,
    )
    if not found.container:
        return entry
    inner = _message(text, entry.time, wrapped=True)
    names = tuple(name.encode("utf-8", "replace") for name in found.names)
    return replace(
        inner, host=inner.host or entry.host, names=inner.names or names, journal=True, sure=entry.sure
    )
