"""What a decider forgets: what is too old, whom there are too many of, and what a wrong clock made up."""

from __future__ import annotations

from typing import Final

from schemas.rules import Rules
from streams.verdicts import Verdicts

SWEEP_MS: Final = 3_600_000
FEWEST_KEPT: Final = 2
"""Fewer could not even take turns."""


class Forgetting(Verdicts):
    """What is in force, within bounds.

    Attributes:
        rules: in force.
    """

    rules: Rules

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self._newcomers = 0

    def step_back(self, at_ms: int, skew_ms: int) -> None:
        """The clock was ahead, and is right again: what it made to lie in the future never was.

        Failures of then would hide those of now, and the ends of bans of then make those belong to such bans;
        `skew_ms`: how much clocks may differ.
        """
        self.now_ms = at_ms
        self.sweep_at_ms = min(self.sweep_at_ms, at_ms + SWEEP_MS)
        for jail in self.jails.values():
            self.touched |= jail.step_back(at_ms, skew_ms)
        self._wake()

    def _make_room(self) -> None:
        """Let there be one failing subject more."""
        limit = max(self.rules.max_subjects, FEWEST_KEPT)
        if self._newcomers >= limit:  # since they were last counted: they are no more than that
            self._newcomers = sum(each.failing for each in self.jails.values())
            if self._newcomers >= limit:
                self._shed()
        self._newcomers += 1

    def _shed(self) -> None:
        """Drop the tenth of all subjects that failed least recently, the smaller address first.

        Bans in force stay, whatever their number, and are no part of it.
        """
        loose = sorted(each for jail in self.jails.values() for each in jail.newest())
        for _, ip, name in loose[: max(len(loose) // 10, 1)]:
            self.jails[name].drop(ip)
            self.touched.add(ip)
            self._newcomers -= 1

    def _sweep(self) -> None:
        """Forget what is too old to matter; at most every SWEEP_MS of event time."""
        self.sweep_at_ms = self.now_ms + SWEEP_MS
        for jail in self.jails.values():
            self.touched |= jail.forget(self.now_ms)
