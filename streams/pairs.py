"""A jail that counts an address and one user together: how often that address failed as him, not as others.

Of each user of a subject the newest failures are kept; as many of one as maxretry within findtime ban the
address. A failure that names no user does not count.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import Any, ClassVar

from schemas.rules import Jail
from streams.runs import RunRow, user_in
from streams.tally import SubjectTally
from streams.tallying import TallyingJail
from streams.window import MOST_KEPT, at_ms_of, flat, unflat


class UserPairs(SubjectTally[dict[str, list[int]]]):
    """By subject, the failures of each user, sorted; the users who were tried last, MOST_KEPT at most."""

    shape: ClassVar[str] = "p"

    def add(self, subject: str, user: str, failure: int) -> list[int]:
        """Count a failure as a user; his failures."""
        known = self._known.setdefault(subject, {})
        failures = known.pop(user, [])
        insort(failures, failure)
        del failures[: -max(MOST_KEPT, self.rules.maxretry)]
        known[user] = failures
        if len(known) > MOST_KEPT:
            del known[next(iter(known))]
        return failures

    def of(self, subject: str, user: str | None) -> list[int]:
        """The failures of a subject as a user; where it has none as him, as the one it tried most."""
        known = self._known.get(subject, {})
        if user is not None and user in known:
            return known[user]
        return max(known.values(), key=len, default=[])

    def failures_of(self, subject: str) -> list[int]:
        """The failures of a subject as the user it tried most, sorted."""
        return self.of(subject, None)

    def newest(self) -> Iterator[tuple[int, str]]:
        """When each subject failed last, and who that is."""
        for subject, known in self._known.items():
            yield at_ms_of(max(failures[-1] for failures in known.values())), subject

    def load_failures(self, subject: str, failures: list[int]) -> None:
        """Of what a plain jail has counted nobody knows the users: it begins anew."""

    def dumped(self, subject: str) -> list[Any]:
        """What is to be saved of a subject."""
        return [[user, flat(failures)] for user, failures in self._known[subject].items()]

    def load(self, subject: str, *facts: Any) -> None:
        """Put back what was saved."""
        self._known[subject] = {user: unflat(failures) for user, failures in facts}


class PairJail(TallyingJail):
    """A jail's rules, its subjects' users, and its bans."""

    __slots__ = ("_pairs", "_user")
    meets = True

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self._pairs = UserPairs(rules)
        self._user: str | None = None
        super().__init__(rules, lateness_ms, self._pairs)

    def meet(self, row: RunRow) -> bool:
        """The event that is counted next; whether it says what is counted."""
        self._user = user_in(row)
        return self._user is not None

    def begin(self, ip: str, failure: int) -> bool:
        """Count a failure of a subject; whether it may fill a window."""
        return self._user is not None and len(self._pairs.add(ip, self._user, failure)) >= self.maxretry

    def failures_of(self, ip: str) -> list[int]:
        """A subject's failures as the user of the event at hand; else as the one it tried most."""
        return self._pairs.of(ip, self._user)

    @property
    def facts(self) -> dict[str, Any]:
        """What a ban that a failure decides says besides: the user."""
        return {"user": self._user}
