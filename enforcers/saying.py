"""What is said as it takes effect: which jail's ban of a prefix is new here, or over, or was refused.

| the firewall | is said of each jail whose hold is |
|---|---|
| took it | new: Ban (at the start: Restore Ban); over: Unban; of another end: Prolong |
| is not in use | the same, as what it would do |
| did not take it | the same, as failed; and again as done, once a retry succeeds |
| was not asked, since safety refuses it | asked for: Refused; what was in force: Unban |

Each is said once. What was said last of a prefix is kept only while its newest word is not settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple, Protocol

from enforcers.standing import Holders, HostBan, Packed, spread

Manner = Literal["", "Restore", "Would", "Failed"]
Word = Literal["Ban", "Unban", "Prolong", "Refused"]


class Said(NamedTuple):
    """One thing that took effect, or did not.

    Attributes:
        word: what; `manner`: how: done, restored at the start, would be done, or tried in vain.
        jail, prefix: whose hold on what.
        decision: the id of the decision behind it, of a ban its own; None where the prefix was freed.
        until_ms: when the hold ends; None for ever.
        reason: why not; None where it was done.
    """

    word: Word
    manner: Manner
    jail: str
    prefix: str
    decision: str | None
    until_ms: int | None
    reason: str | None


Tell = Callable[[Said], None]
Grip = tuple[Holders, Packed]
"""Who holds a prefix, and until when."""
NO_GRIP: Final[Grip] = ((), ())


class Elder(Protocol):
    """Who can say what is known of a prefix."""

    def known(self, prefix: str) -> HostBan | None:
        """The prefix; None where it is free."""
        ...


class Sayings:
    """Tells one register's changes."""

    def __init__(self, tell: Tell, *, observing: bool) -> None:
        self._tell = tell
        self._done: Manner = "Would" if observing else ""
        self._told: dict[str, Grip] = {}
        self._older: Elder | None = None

    def succeed(self, older: Elder) -> None:
        """Until `started` only what differs from an older register is news."""
        self._older = older

    def started(self) -> None:
        """Every prefix has been judged."""
        self._older = None

    def word_comes(self, known: HostBan) -> None:
        """A newer word on a prefix comes; keep what was in force by the last one that was settled."""
        if known.prefix not in self._told:
            self._told[known.prefix] = self._in_force(known)

    def settled(self, ban: HostBan, was: str | None, detail: str | None, *, start: bool) -> None:
        """Tell what came of the newest word on a prefix; `was`: its outcome before."""
        prefix, jail, older = ban.prefix, ban.holders, self._older
        wanted: Grip = (jail, ban.wanted)
        before = self._told.pop(prefix, None) if self._told else None
        manner: Manner = "Restore" if start and older is None and not self._done else self._done
        if before is None:
            if was is None and older is None and isinstance(jail, str) and ban.outcome == "applied":
                end = ban.wanted  # as nearly all are, and there may be a hundred thousand
                until_ms = end if isinstance(end, int) else end[0][1]
                self._tell(Said("Ban", manner, jail, prefix, ban.decision, until_ms, None))
                return
            before = wanted if was == "applied" else self._inherited(ban, was)
        match ban.outcome:
            case "applied":
                self._say(ban, before, wanted, manner)
            case "failed":
                self._told[ban.prefix] = before
                self._say(ban, before, wanted, "Failed", detail)
            case _:
                self._say(ban, before, NO_GRIP, self._done, detail)
                if ban.outcome == "refused" and not self._was_refused(ban):
                    for jail, until_ms in by_jail(wanted).items():
                        self._tell(Said("Refused", "", jail, ban.prefix, ban.decision, until_ms, detail))

    def _say(
        self, ban: HostBan, before: Grip, after: Grip, manner: Manner, reason: str | None = None
    ) -> None:
        newest = ban.decision if ban.wanted else None
        for word, jail, until_ms in changes(before, after):
            how: Manner = self._done if manner == "Restore" and word != "Ban" else manner
            decision = own_ban(ban, jail) if word == "Ban" else newest
            self._tell(Said(word, how, jail, ban.prefix, decision, until_ms, reason))

    def _in_force(self, known: HostBan) -> Grip:
        if known.outcome == "applied":
            return known.holders, known.wanted
        return self._inherited(known, known.outcome)

    def _inherited(self, ban: HostBan, was: str | None) -> Grip:
        older = None if self._older is None or was is not None else self._older.known(ban.prefix)
        return NO_GRIP if older is None or older.outcome != "applied" else (older.holders, older.wanted)

    def _was_refused(self, ban: HostBan) -> bool:
        older = None if self._older is None else self._older.known(ban.prefix)
        return older is not None and (older.outcome, older.decision) == ("refused", ban.decision)


def changes(before: Grip, after: Grip) -> Iterator[tuple[Word, str, int | None]]:
    """What is new, prolonged and over, by jail, and when it ends."""
    if before == after:
        return
    old, new = by_jail(before), by_jail(after)
    for jail, until_ms in new.items():
        if jail not in old:
            yield "Ban", jail, until_ms
        elif old[jail] != until_ms:
            yield "Prolong", jail, until_ms
    for jail, until_ms in old.items():
        if jail not in new:
            yield "Unban", jail, until_ms


def by_jail(grip: Grip) -> dict[str, int | None]:
    """Until when each jail holds."""
    holders, wanted = grip
    if isinstance(holders, str):
        return {holders: spread(wanted)[0][1]}
    return {jail: until_ms for jail, until_ms, _ in holders}


def own_ban(ban: HostBan, jail: str) -> str:
    """The id of the ban by which a jail holds a prefix."""
    others = () if isinstance(ban.holders, str) else ban.holders
    return next((own for name, _, own in others if name == jail), ban.decision)
