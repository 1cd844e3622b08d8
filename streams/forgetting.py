"""Whom a decider forgets because there are too many."""

from __future__ import annotations

from typing import Final

from schemas.rules import Rules
from streams.verdicts import Verdicts

FEWEST_KEPT: Final = 2
"""Fewer could not even take turns."""


class Forgetting(Verdicts):
    """What is in force, within bounds.

    Attributes:
        rules: in force.
        newcomers: subjects that were counted since all were: there are hardly more.
    """

    rules: Rules

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self.newcomers = 0

    def make_room(self) -> None:
        """One subject more is to be counted: drop others where there are too many."""
        limit = max(self.rules.max_subjects, FEWEST_KEPT)
        if self.newcomers >= limit:  # since they were last counted: they are no more than that
            self.newcomers = sum(each.failing for each in self.jails.values())
            if self.newcomers >= limit:
                self._shed()
        self.newcomers += 1

    def _shed(self) -> None:
        """Drop the tenth of all subjects that failed least recently, the smaller address first.

        Bans in force stay, whatever their number, and are no part of it.
        """
        loose = sorted(each for jail in self.jails.values() for each in jail.newest())
        for _, ip, name in loose[: max(len(loose) // 10, 1)]:
            self.jails[name].drop(ip)
            self.touched.add(ip)
            self.newcomers -= 1
