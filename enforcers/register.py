"""What one host knows of every prefix, and its dealings with the firewall about them.

Each prefix has a HostBan. To settle prefixes is to judge them, to tell the firewall the difference between
what is wanted and what it holds as one batch, and to record what came of it: once for each outcome of a
decision, and again for a repair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nlargest
from math import inf
from typing import Final

from enforcers.contract import Backend, Element, Failure
from enforcers.judge import Judge, Judgement
from enforcers.recorder import Recorder, Result
from enforcers.saying import Sayings, Tell
from enforcers.standing import Ends, HostBan, Ports, live, missing, packed, surplus
from enforcers.tally import Tally
from schemas.records import EnforcementVerb, Outcome

REPAIRED: Final = "repaired: others had changed the firewall"
FLUSHED: Final = "flushed by an operator"
OBSERVED: Final = "observing only"
SLICE: Final = 8_192
"""A reconcile settles as many prefixes at once, so that memory stays bounded."""

Reasons = dict[Ports, str]
Judged = list[tuple[HostBan, Judgement]]


class Register:
    """Every prefix that is banned, or was and is still held.

    Attributes:
        failed: the prefixes that the firewall did not take or let go.
        repaired: how many prefixes were put right after others had changed them.
    """

    def __init__(
        self,
        backend: Backend,
        judge: Judge,
        recorder: Recorder,
        *,
        observing: bool,
        tell: Tell | None = None,
    ) -> None:
        """Keep one host's bans; `tell` is told what takes effect."""
        self._backend = backend
        self._judge = judge
        self._recorder = recorder
        self._observing = observing
        self._bans: dict[str, HostBan] = {}
        self._tally = Tally()
        self.failed: set[str] = set()
        self._sayings = None if tell is None else Sayings(tell, observing=observing)
        self.repaired = 0

    def take(self, word: HostBan, now_ms: int, *, start: bool = False) -> None:
        """Take in the newest word on a prefix; one before it that was never settled counts as skipped.

        `start`: nothing is settled yet, and what was before is history.
        """
        known = self._bans.get(word.prefix)
        if known is None or start:
            self._bans[word.prefix] = word
            return
        if known.decision != word.decision:
            self._supersede(known, now_ms)
        if self._sayings is not None:
            self._sayings.word_comes(known)
        known.outcome, known.holders = None, word.holders
        known.decision, known.decided_at_ms, known.wanted = word.decision, word.decided_at_ms, word.wanted

    def free(self, prefix: str, now_ms: int, *, start: bool = False) -> None:
        """Take in that a prefix is free, by whatever decision; one that is not known is free already."""
        known = self._bans.get(prefix)
        if start:
            self._bans.pop(prefix, None)
        elif known is not None:
            self._supersede(known, now_ms)
            if self._sayings is not None:
                self._sayings.word_comes(known)
            known.wanted, known.decided_at_ms, known.outcome, known.holders = (), None, None, ()

    def settle(self, prefixes: Iterable[str], now_ms: int, *, new: bool = True, repair: bool = False) -> None:
        """Bring these prefixes in line. Bans that are not `new` do not count for the breaker's rate."""
        judge, known = self._judge.judge, self._bans
        judged = [
            (known[prefix], judge(known[prefix], now_ms, new=new)) for prefix in prefixes if prefix in known
        ]
        unban, ban = _changes(judged, now_ms)
        kept = _reasons(self._backend.unban(unban)) if unban else {}
        lost = _reasons(self._backend.ban(ban)) if ban else {}
        touched = {element[0] for element in unban} | {element[0] for element in ban}
        for each, judgement in judged:
            prefix = each.prefix
            outcome, detail = judgement[1:]
            if prefix in kept or prefix in lost:
                outcome, detail = (
                    "failed",
                    self._fail(each, judgement[0], kept.get(prefix, {}), lost.get(prefix, {})),
                )
            else:
                self._hold(each, judgement[0])
                if self.failed:
                    self.failed.discard(prefix)
            was = each.outcome
            self._note(each, (outcome, detail), now_ms, acted=prefix in touched, repair=repair)
            if self._sayings is not None and outcome != was:
                self._sayings.settled(each, was, detail, start=not new and not repair)
        if repair:
            self.repaired += len(touched)

    def reconcile(self, now_ms: int, *, start: bool) -> None:
        """List the firewall and settle what differs; at the start every prefix, so that each is judged.

        Raises:
            EnforcementFailed: the firewall cannot be read.
        """
        held = self._backend.list()
        self.forget_held()
        for prefix, ports, remaining_ms in held:
            ban = self._bans.get(prefix)
            if ban is None:
                ban = self._bans[prefix] = HostBan(prefix, "", ())
            self._hold(ban, (*ban.held, (ports, None if remaining_ms is None else now_ms + remaining_ms)))
        del held
        prefixes = [
            ban.prefix
            for ban in self._bans.values()
            if start or ((ban.held or ban.outcome != "refused") and _differs(ban, now_ms))
        ]
        for first in range(0, len(prefixes), SLICE):
            self.settle(prefixes[first : first + SLICE], now_ms, new=False, repair=not start)
            self._recorder.commit()
        if start and self._sayings is not None:
            self._sayings.started()

    def succeed(self, older: Register) -> None:
        """Go on for another: what is as it was there is no news."""
        if self._sayings is not None:
            self._sayings.succeed(older)

    def known(self, prefix: str) -> HostBan | None:
        """What is known of a prefix; None where it is free."""
        return self._bans.get(prefix)

    def refused(self) -> list[str]:
        """The prefixes that safety keeps out."""
        return [prefix for prefix, ban in self._bans.items() if ban.outcome == "refused"]

    def longest(self, prefixes: Iterable[str], count: int) -> list[str]:
        """Of these prefixes those with the longest bans, that many at most."""

        def ends(prefix: str) -> float:
            known = self._bans.get(prefix)
            instants = [inf if end is None else end for _, end in known.ends] if known else []
            return max(instants, default=0)

        return nlargest(count, sorted(prefixes), key=ends) if count else []

    def all(self) -> list[str]:
        """Every prefix."""
        return list(self._bans)

    def flush(self, now_ms: int) -> int:
        """The firewall was emptied by an operator's word; the account says it of each prefix, of how many."""
        count = 0
        for ban in self._bans.values():
            if ban.outcome == "applied" and ban.holding:
                count += 1
                self._recorder.note("unban", ban.prefix, Result(ban.decision, "applied", FLUSHED), now_ms)
        self.forget_held()
        return count

    def forget_held(self) -> None:
        """The firewall holds nothing any more."""
        self._tally = Tally()
        for ban in self._bans.values():
            ban.holding = ()

    def in_force(self, now_ms: int) -> int:
        """How many prefixes the firewall holds now, as far as is known, to the second."""
        return self._tally.at(now_ms)

    def _supersede(self, known: HostBan, now_ms: int) -> None:
        if known.outcome is None and known.wanted:
            result = Result(known.decision, "skipped", "superseded at once")
            self._recorder.note("ban", known.prefix, result, now_ms)

    def _hold(self, ban: HostBan, held: Ends) -> None:
        kept = packed(held)
        self._tally.change(ban.holding, kept)
        ban.holding = kept

    def _fail(self, ban: HostBan, wanted: Ends, kept: Reasons, lost: Reasons) -> str:
        """Remember what the firewall holds although it was told otherwise; the reason."""
        still = [end for end in ban.held if end[0] in kept or end[0] in lost]
        self._hold(ban, (*[end for end in wanted if end[0] not in lost], *still))
        self.failed.add(ban.prefix)
        return "; ".join({**kept, **lost}.values())

    def _note(
        self, ban: HostBan, result: tuple[Outcome, str | None], now_ms: int, *, acted: bool, repair: bool
    ) -> None:
        outcome, detail = result
        changed = outcome != ban.outcome
        ban.outcome = outcome
        if (acted and (changed or repair)) if outcome == "applied" else changed:
            if outcome == "applied" and self._observing:
                outcome, detail = "skipped", OBSERVED
            elif outcome == "applied" and repair:
                detail = REPAIRED
            verb: EnforcementVerb = "ban" if ban.wanted else "unban"
            delay_ms = None if repair or ban.decided_at_ms is None else now_ms - ban.decided_at_ms
            self._recorder.note(verb, ban.prefix, Result(ban.decision, outcome, detail, delay_ms), now_ms)
        if ban.outcome == "applied":
            ban.decided_at_ms = None  # told, and there may be many
        if not ban.wanted and not ban.holding:
            del self._bans[ban.prefix]


def _changes(judged: Judged, now_ms: int) -> tuple[list[Element], list[Element]]:
    """What has to be unbanned, and what banned."""
    ban: list[Element] = []
    unban: list[Element] = []
    for each, (wanted, _, _) in judged:
        held = each.held if each.holding else ()
        if held:
            unban += [Element(each.prefix, ports) for ports in surplus(wanted, held)]
        for ports, until_ms in missing(wanted, held) if held else wanted:
            ban.append(Element(each.prefix, ports, None if until_ms is None else until_ms - now_ms))
    return unban, ban


def _differs(ban: HostBan, now_ms: int) -> bool:
    wanted = live(ban.ends, now_ms)
    return bool(missing(wanted, ban.held) or surplus(wanted, ban.held))


def _reasons(failures: Sequence[Failure]) -> dict[str, Reasons]:
    reasons: dict[str, Reasons] = {}
    for element, reason in failures:
        reasons.setdefault(element.prefix, {})[element.ports] = reason
    return reasons
