"""Where what a role says goes: stderr, the system's syslog, or systemd's journal with every fact as a field.

| target | a line is |
|---|---|
| stderr | as logs.Lines or logs.JsonLines write it; after `<5>` where stderr is the journal (sd-daemon(3)) |
| syslog | `<29>banstream[PID]: NOTICE [sshd] Ban ...` (RFC 3164, no time), to /dev/log or another socket |
| journal | fields, by systemd's Native Journal Protocol |

Nothing here waits: where nobody takes a line, it goes to stderr, and the next one tries again.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from banstream.logs import NOTICE, JsonLines, Lines, taken_apart
from schemas.errors import ConfigError

NAME: Final = "banstream"
DEV_LOG: Final = "/dev/log"
JOURNAL: Final = "/run/systemd/journal/socket"
JOURNAL_STREAM: Final = "JOURNAL_STREAM"
PRIORITIES: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    NOTICE: 5,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
DAEMON: Final = 3 << 3
"""The facility, as syslog(3) counts it."""
MOST_BYTES: Final = 8_192
"""Of one line to syslog, which daemons cut there; and of one field to the journal."""
NO_FIELD: Final = re.compile(r"[^A-Z0-9_]")

Format = Callable[[logging.LogRecord], bytes]


def handler(target: str, *, log_format: str) -> logging.Handler:
    """What takes a role's lines to a target; ConfigError where there is no such, or nobody there."""
    formatter = JsonLines() if log_format == "json" else Lines()
    name, _, place = target.partition(":")
    if name == "stderr" and not place:
        made = Stderr(sys.stderr)
        made.setFormatter(formatter)
        return made
    if name == "syslog":
        plain = JsonLines() if log_format == "json" else Lines(timed=False)
        return _there(Datagrams(place or DEV_LOG, lambda record: to_syslog(record, plain), formatter), target)
    if name == "journal":
        return _there(Datagrams(place or JOURNAL, to_journal, formatter), target)
    raise ConfigError(f"--log-to {target}: expected stderr, syslog or journal")


def _there(made: Datagrams, target: str) -> Datagrams:
    try:
        made.connect()
    except OSError as error:
        raise ConfigError(
            f"--log-to {target}: nobody listens at {made.path} ({error.strerror}); start the daemon, or log "
            "to stderr"
        ) from error
    return made


class Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """To stderr; with each line's priority where that is the journal."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        text = super().format(record)
        if not stderr_is_journal():
            return text
        mark = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(mark + line for line in text.splitlines())


def stderr_is_journal() -> bool:
    """Whether stderr goes straight to the journal, which $JOURNAL_STREAM says (systemd.exec(5))."""
    said = os.environ.get(JOURNAL_STREAM)
    if not said:
        return False
    with suppress(OSError):
        found = os.fstat(sys.stderr.fileno())
        return said == f"{found.st_dev}:{found.st_ino}"
    return False


class Datagrams(logging.Handler):
    """To a daemon's socket, a datagram a line; to stderr what the daemon does not take."""

    def __init__(self, path: str, make: Format, spare: logging.Formatter) -> None:
        super().__init__()
        self.path = path
        self._make = make
        self._spare = logging.StreamHandler(sys.stderr)
        self._spare.setFormatter(spare)
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        """Connect anew; OSError where nobody listens."""
        self._disconnect()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            made.connect(self.path)
        except OSError:
            made.close()
            raise
        self._socket = made

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        try:
            message = self._make(record)
        except Exception:  # noqa: BLE001 - as logging does: a line that cannot be made ends nothing
            self.handleError(record)
            return
        if not self._sent(message):
            self._spare.handle(record)

    def close(self) -> None:
        """Let go."""
        self._disconnect()
        super().close()

    def _sent(self, message: bytes) -> bool:
        for _ in range(2):  # a daemon that was started again has another socket of the same name
            try:
                if self._socket is None:
                    self.connect()
                if self._socket is not None:
                    self._socket.send(message)
                    return True
            except BlockingIOError:
                return False
            except OSError:
                self._disconnect()
        return False

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def to_syslog(record: logging.LogRecord, formatter: logging.Formatter) -> bytes:
    """A record as a line of syslog: RFC 3164's priority and tag; the daemon adds time and host."""
    priority = DAEMON | PRIORITIES.get(record.levelno, 6)
    return f"<{priority}>{NAME}[{os.getpid()}]: {formatter.format(record)}".encode()[:MOST_BYTES]


def to_journal(record: logging.LogRecord) -> bytes:
    """A record in the journal's native protocol: its line, its priority, and each fact as BANSTREAM_NAME."""
    _, facts = taken_apart(record)
    fields: dict[str, str] = {
        "MESSAGE": Lines(timed=False).format(record),
        "PRIORITY": str(PRIORITIES.get(record.levelno, 6)),
        "SYSLOG_IDENTIFIER": NAME,
        "SYSLOG_FACILITY": str(DAEMON >> 3),
        "SYSLOG_PID": str(os.getpid()),
        "BANSTREAM_LOGGER": record.name,
        **{f"BANSTREAM_{NO_FIELD.sub('_', name.upper())}"[:64]: str(value) for name, value in facts.items()},
    }
    return b"".join(_field(name, value) for name, value in fields.items())


def _field(name: str, value: str) -> bytes:
    """A field; its length is told, so that nothing in it can begin another."""
    content = value.encode("utf-8", "backslashreplace")[:MOST_BYTES]
    return name.encode("ascii") + b"\n" + len(content).to_bytes(8, "little") + content + b"\n"
