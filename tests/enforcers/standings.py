"""Standing bans written to a log, and what an enforcer recorded, read back."""

from __future__ import annotations

import time
from collections.abc import Callable

from eventlog.contract import Append, EventLog
from schemas.codec import decode_frame, encode
from schemas.records import Enforcement, Hold, Standing
from schemas.topics import BANS, ENFORCEMENTS

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def hold(until_ms: int | None, ports: tuple[int, ...] = (), jail: str = "sshd") -> Hold:
    """One jail's grip."""
    return Hold(jail=jail, ban="0-1-0-0", until_ms=until_ms, ports=ports)


def standing(prefix: str, *holds: Hold, decision: str = "0-1-0-0") -> Append:
    """A message that says who holds a prefix; for ever, when no hold is given."""
    record = Standing(prefix=prefix, decision=decision, decided_at_ms=NOW_MS, holds=holds or (hold(None),))
    return Append(BANS.name, encode(record), key=prefix)


def freed(prefix: str) -> Append:
    """A tombstone."""
    return Append(BANS.name, b"", key=prefix)


def enforcements(log: EventLog) -> list[Enforcement]:
    """All that enforcers recorded, in order."""
    records = [
        record
        for message in log.read(ENFORCEMENTS.name, 0, 0, limit=100_000)
        for record in decode_frame(message.value)
    ]
    assert all(isinstance(record, Enforcement) for record in records)
    return [record for record in records if isinstance(record, Enforcement)]


def outcomes(log: EventLog) -> list[tuple[str, str, str]]:
    """Verb, prefix and outcome of each of them."""
    return [(record.verb, record.prefix, record.outcome) for record in enforcements(log)]


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
