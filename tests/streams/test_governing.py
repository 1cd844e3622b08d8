"""Rules that several workers put in force at once."""

from __future__ import annotations

import pytest

from eventlog.memory import MemoryLog
from eventlog.writer import LogWriter
from schemas.errors import Transient
from streams.rules import Jail, Rules
from streams.worker.governing import in_force, put_in_force

RULES = Rules(jails=(Jail(name="sshd", filters=("sshd",)),))


class Contested(MemoryLog):
    """A log on which somebody else becomes the newest writer right after us, once, and is slow to commit."""

    rival: LogWriter | None = None

    def writer(self, name: str) -> LogWriter:
        """A writer that is fenced already, the first time."""
        ours = super().writer(name)
        if self.rival is None:
            self.rival = super().writer(name)
        return ours


def test_a_worker_that_another_one_overtakes_looks_again_later() -> None:
    """Fenced by one that has not committed yet it fences nobody, and succeeds later."""
    log = Contested(partitions=2)
    with pytest.raises(Transient, match="another worker"):
        put_in_force(log, RULES, 0)
    assert in_force(log) is None
    assert put_in_force(log, RULES, 0) == RULES.version
    assert put_in_force(log, Rules(jails=()), 0) == RULES.version
