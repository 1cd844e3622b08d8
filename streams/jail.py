"""What one jail knows about its subjects: the failures of each, the bans it holds, the bans it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.rules import Jail
from streams.window import MOST_KEPT, at_ms_of


class Past(NamedTuple):
    """A subject's bans so far in a jail: how many, and until when the last one held (event time)."""

    ban_count: int
    free_from_ms: int


@dataclass(slots=True)
class Held:
    """A ban in force. `while_banned` counts the subject's failures since it was decided."""

    ban: str
    at_ms: int
    until_ms: int | None
    ban_count: int
    while_banned: int = 0


class Ignored:
    """Marks a subject that an ignore or allow list covers; it holds no failures."""

    __slots__ = ()


IGNORED: Final = Ignored()
Subject = int | list[int] | Held | Ignored


class JailState:
    """A jail's rules and its subjects; the decider mutates it in place.

    Attributes:
        subjects: per address or prefix its failures (one packed integer, or a sorted list of them), its
            ban in force, or the mark that it is ignored.
        history: per address its past bans.
        failures, ignored: events counted and events of ignored subjects, ever.
        bans: bans decided, ever.
        dropped: subjects dropped because there were too many, ever.
    """

    __slots__ = (
        "bans",
        "dropped",
        "failures",
        "findtime_ms",
        "history",
        "ignored",
        "keep_ms",
        "kinds",
        "maxretry",
        "most",
        "rules",
        "subjects",
        "trim_at",
    )

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self.subjects: dict[str, Subject] = {}
        self.history: dict[str, Past] = {}
        self.failures = 0
        self.ignored = 0
        self.bans = 0
        self.dropped = 0
        self.adopt(rules, lateness_ms)

    def adopt(self, rules: Jail, lateness_ms: int) -> None:
        """Go on under new rules; what was counted stays counted."""
        self.rules = rules
        self.kinds = frozenset(rules.kinds)
        self.findtime_ms = rules.findtime_ms
        self.maxretry = rules.maxretry
        self.trim_at = 2 * rules.maxretry + 8
        self.most = max(MOST_KEPT, rules.maxretry)
        self.keep_ms = rules.findtime_ms + lateness_ms
        self.forget_ignored()

    def forget_ignored(self) -> None:
        """Look ignored subjects up anew when they next appear: a list has changed."""
        for subject in [name for name, known in self.subjects.items() if known is IGNORED]:
            del self.subjects[subject]

    def held(self) -> dict[str, Held]:
        """The bans in force, by prefix."""
        return {name: known for name, known in self.subjects.items() if type(known) is Held}

    def counts(self) -> dict[str, int]:
        """Subjects failing and banned now; failures, bans, ignored and dropped ever."""
        banned = sum(type(known) is Held for known in self.subjects.values())
        ignored = sum(known is IGNORED for known in self.subjects.values())
        return {
            "failing": len(self.subjects) - banned - ignored,
            "banned": banned,
            "failures": self.failures,
            "bans": self.bans,
            "ignored": self.ignored,
            "dropped": self.dropped,
        }

    def belongs_to_past(self, ip: str, failure: int) -> bool:
        """Whether a failure is older than the end of the subject's last ban."""
        past = self.history.get(ip)
        return past is not None and at_ms_of(failure) < past.free_from_ms

    def next_ban_count(self, prefix: str) -> int:
        """The how-manieth ban of this prefix the next one is."""
        past = self.history.get(prefix)
        return past.ban_count + 1 if past else 1

    def forget(self, failures_before_ms: int, bans_before_ms: int) -> set[str]:
        """Drop subjects whose newest failure is older, and bans that ended earlier; returns whom.

        Bans in force stay.
        """
        old = {name for name, known in self.subjects.items() if _newest_ms(known) < failures_before_ms}
        for name in old:
            del self.subjects[name]
        ended = {name for name, past in self.history.items() if past.free_from_ms < bans_before_ms}
        for name in ended:
            del self.history[name]
        return old | ended

    def shed(self) -> set[str]:
        """Drop the tenth of the subjects that failed least recently, the smaller address first; returns whom.

        Bans in force stay, whatever their number.
        """
        loose = sorted(
            (_newest_ms(known), name) for name, known in self.subjects.items() if type(known) is not Held
        )
        shed = {name for _, name in loose[: max(len(loose) // 10, 1)]}
        for name in shed:
            del self.subjects[name]
        self.dropped += len(shed)
        return shed

    def retire(self) -> set[str]:
        """The jail is gone from the rules: only its bans in force stay. Returns whom it forgets."""
        return self.forget(_NEVER_OLD_MS, _NEVER_OLD_MS)


_NEVER_OLD_MS: Final = 1 << 62


def _newest_ms(known: Subject) -> int:
    """When the newest of a subject's failures happened; a ban in force is never old, a mark always."""
    if type(known) is list:
        return at_ms_of(known[-1])
    if type(known) is int:
        return at_ms_of(known)
    return _NEVER_OLD_MS if type(known) is Held else -_NEVER_OLD_MS
