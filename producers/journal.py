"""An entry of the journal: what it says of a message, by whatever way it came.

Formats: systemd.journal-fields(7), https://systemd.io/JOURNAL_EXPORT_FORMATS, and the fields that Docker's
and Podman's journal drivers add. What a container wrote is its output and no message of a program: the
identifier is the container's id, or whatever name its owner chose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CONTAINER: Final = ("CONTAINER_TAG", "CONTAINER_NAME")
CONTAINER_ID: Final = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{52})?")
IMAGE: Final = ("IMAGE_NAME", "CONTAINER_IMAGE")
MOST_PID: Final = 128
"""As many characters as RFC 5424 lets a process id have."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What an entry says.

    Attributes:
        at_us: when, in Unix microseconds, as it was written; empty where it does not say.
        host, pid: empty where none is named.
        program: who logged it; empty for a container, or where nobody is named.
        container: it is a container's output.
        names: of a container, what its owner calls it and its image; else its program.
        message: the bytes of the message; empty for what is none.
    """

    at_us: str
    host: str
    program: str
    pid: str
    container: bool
    names: tuple[str, ...]
    message: bytes


def journal_entry(value: Mapping[str, Any]) -> JournalEntry:
    """An entry as `journalctl -o json` writes it: byte strings are lists, what is too long is null."""
    try:
        message = message_of(value.get("MESSAGE"))
    except (TypeError, ValueError):
        message = b""
    program = _text(value.get("SYSLOG_IDENTIFIER") or value.get("_COMM"))
    container = any(key in value for key in ("CONTAINER_ID", "CONTAINER_ID_FULL", *CONTAINER))
    names: tuple[str, ...] = (program,) if program else ()
    if container:
        images = [_text(value.get(key)).rpartition("/")[2].partition(":")[0] for key in IMAGE]
        found = (program, *(_text(value.get(key)) for key in CONTAINER), *images)
        names = tuple(dict.fromkeys(name for name in found if name and not CONTAINER_ID.fullmatch(name)))
    return JournalEntry(
        str(value.get("_SOURCE_REALTIME_TIMESTAMP") or value.get("__REALTIME_TIMESTAMP") or ""),
        _text(value.get("_HOSTNAME")),
        "" if container else program,
        str(value.get("_PID") or value.get("SYSLOG_PID") or "")[:MOST_PID],
        container,
        names,
        message,
    )


def message_of(message: Any) -> bytes:
    """A message as bytes. Raises TypeError or ValueError when it is none, or was left out as too long."""
    if isinstance(message, str):
        return message.encode("utf-8", "replace")
    if not isinstance(message, list):
        raise TypeError("expected a text or a list of bytes")
    return bytes(message)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
