"""A log's id, made once with it: what leaves the log is named by it, since a new log counts from 0 again."""

from __future__ import annotations

from secrets import token_hex
from typing import Final

from eventlog.contract import EventLog
from schemas.errors import Fenced, LogError

READER: Final = "log/id"
"""The name under which the positions keep it."""
WRITER: Final = "log-id"
BYTES: Final = 4
TRIES: Final = 10


def new_id() -> bytes:
    """An id for a log: eight characters."""
    return token_hex(BYTES).encode("ascii")


def log_id(log: EventLog) -> str:
    """The id of a log; one from before that has none is given one. Raises LogError and Transient."""
    value = log.position(READER)
    for _ in range(TRIES):
        if value is not None:
            break
        value = _given(log)
    if value is None:
        raise LogError("the log has no id, and others keep it from being given one; try again")
    return value.decode("ascii")


def known_id(log: EventLog) -> str:
    """The id of a log that may be open to be read alone; empty where nobody has given it one yet."""
    return (log.position(READER) or b"").decode("ascii")


def keep_id(log: EventLog, value: str) -> None:
    """Give a log the id of the one that it goes on for. Raises LogError and Transient."""
    writer = log.writer(WRITER)
    try:
        writer.commit([], {READER: value.encode("ascii")})
    finally:
        writer.close()


def _given(log: EventLog) -> bytes | None:
    """The id that a log has now; None where another gives it one at the same time."""
    writer = log.writer(WRITER)  # who comes later fences this one, and then reads what it has written
    try:
        value = log.position(READER)
        if value is None:
            value = new_id()
            writer.commit([], {READER: value})
    except Fenced:
        return log.position(READER)
    else:
        return value
    finally:
        writer.close()
