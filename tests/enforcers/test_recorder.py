"""The recorder: what the log cannot take waits, and an outage does not cost a host its enforcer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from enforcers import recorder
from enforcers.recorder import Recorder, Result
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from eventlog.writer import LogWriter
from schemas.bounds import STATEMENT_CHARACTERS
from schemas.codec import decode
from schemas.errors import Fenced, Transient
from schemas.records import Enforcement
from schemas.topics import ENFORCEMENTS


class AwayLog(MemoryLog):
    """A log whose writers cannot reach it for a while."""

    away = False

    def writer(self, name: str) -> LogWriter:
        """A writer that is Transient while the log is away."""
        inner = super().writer(name)

        def commit(appends: Sequence[Append], positions: Mapping[str, bytes]) -> list[int]:
            if self.away:
                raise Transient("away")
            return inner.commit(appends, positions)

        return LogWriter(name, commit)


def silenced(log: AwayLog) -> Recorder:
    """A recorder with a word to say, fenced while the log was away."""
    made = Recorder(log, "h1", "null")
    made.note("ban", "203.0.113.1", Result("0-1-0-0", "applied"), 1)
    log.away = True
    assert not made.commit()
    log.away = False
    log.writer("enforcer/h1")
    return made


def test_a_long_outage_costs_no_host_its_enforcer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that fences for a commit cut short is no other enforcer: the name is taken back, once."""
    monkeypatch.setattr(recorder, "SILENT_S", 0.0)
    log = AwayLog()
    made = silenced(log)
    assert made.commit()
    assert len(log.read(ENFORCEMENTS.name, 0, 0)) == 1
    log.writer("enforcer/h1")
    made.note("ban", "203.0.113.2", Result("0-2-0-0", "applied"), 2)
    with pytest.raises(Fenced):
        made.commit()


def test_after_a_short_outage_another_enforcer_is_one() -> None:
    """The broker waits for a minute with that: so soon it was somebody else."""
    with pytest.raises(Fenced):
        silenced(AwayLog()).commit()


def test_what_a_firewall_says_is_cut_to_what_readers_take() -> None:
    """Whatever a backend raises, its record can be read."""
    log = MemoryLog()
    made = Recorder(log, "h1", "null")
    made.note("ban", "203.0.113.1", Result("0-1-0-0", "failed", "x" * 10_000), 1)
    assert made.commit()
    record = decode(log.read(ENFORCEMENTS.name, 0, 0)[0].value)
    assert isinstance(record, Enforcement)
    assert record.detail == "x" * STATEMENT_CHARACTERS
