"""What one host knows of every prefix, and its dealings with the firewall about them.

Each prefix has a Standing. To settle prefixes is to judge them, to tell the firewall the difference between
what is wanted and what it holds as one batch, and to record what came of it: once for each outcome of a
decision, and again for a repair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from enforcers.bans import Word
from enforcers.contract import Backend, Element, Failure
from enforcers.judge import Judge, Judgement
from enforcers.recorder import Recorder, Result
from enforcers.standing import Ports, Standing, live, missing, surplus
from schemas.records import EnforcementVerb, Outcome

REPAIRED: Final = "repaired: others had changed the firewall"
OBSERVED: Final = "observing only"
SLICE: Final = 8_192
"""A reconcile settles as many prefixes at once, so that memory stays bounded."""

Reasons = dict[Ports, str]
Clock = Callable[[], int]


class Register:
    """Every prefix that is banned, or was and is still held.

    Attributes:
        failed: the prefixes that the firewall did not take or let go.
        repaired: how many prefixes were put right after others had changed them.
    """

    def __init__(self, backend: Backend, judge: Judge, recorder: Recorder, *, observing: bool) -> None:
        self._backend = backend
        self._judge = judge
        self._recorder = recorder
        self._observing = observing
        self._standings: dict[str, Standing] = {}
        self.failed: set[str] = set()
        self.repaired = 0

    def take(self, word: Word, now_ms: int, *, start: bool = False) -> None:
        """Take in the newest word on a prefix; one before it that was never settled counts as skipped.

        `start`: nothing is settled yet, and what was before is history.
        """
        known = self._standings.get(word.prefix)
        if known is None or start:
            self._standings[word.prefix] = Standing(
                word.decision, word.ends, decided_at_ms=word.decided_at_ms
            )
            return
        if known.decision != word.decision:
            self._supersede(word.prefix, known, now_ms)
        known.outcome = None
        known.decision, known.decided_at_ms, known.ends = word.decision, word.decided_at_ms, word.ends

    def free(self, prefix: str, now_ms: int, *, start: bool = False) -> None:
        """Take in that a prefix is free, by whatever decision; one that is not known is free already."""
        known = self._standings.get(prefix)
        if start:
            self._standings.pop(prefix, None)
        elif known is not None:
            self._supersede(prefix, known, now_ms)
            known.ends, known.decided_at_ms, known.outcome = (), None, None

    def settle(self, prefixes: Iterable[str], now_ms: int, *, new: bool = True, repair: bool = False) -> None:
        """Bring these prefixes in line. Bans that are not `new` do not count for the breaker's rate."""
        judged = {
            prefix: self._judge.judge(prefix, standing, now_ms, new=new)
            for prefix in prefixes
            if (standing := self._standings.get(prefix)) is not None
        }
        unban, ban = self._changes(judged, now_ms)
        kept = _reasons(self._backend.unban(unban)) if unban else {}
        lost = _reasons(self._backend.ban(ban)) if ban else {}
        touched = {element[0] for element in unban} | {element[0] for element in ban}
        for prefix, judgement in judged.items():
            failures = (kept.get(prefix, {}), lost.get(prefix, {}))
            outcome = self._conclude(prefix, judgement, failures)
            self._note(prefix, outcome, now_ms, acted=prefix in touched, repair=repair)
        if repair:
            self.repaired += len(touched)

    def reconcile(self, now_ms: int, *, start: bool) -> None:
        """List the firewall and settle what differs; at the start every prefix, so that each is judged.

        Raises:
            EnforcementFailed: the firewall cannot be read.
        """
        held = self._backend.list()
        for standing in self._standings.values():
            standing.held = ()
        for prefix, ports, remaining_ms in held:
            standing = self._standings.setdefault(prefix, Standing("", ()))
            end = (ports, None if remaining_ms is None else now_ms + remaining_ms)
            standing.held = (*standing.held, end)
        prefixes = [
            prefix
            for prefix, standing in self._standings.items()
            if start or standing.held or standing.outcome != "refused"
        ]
        if not start:
            prefixes = [prefix for prefix in prefixes if _differs(self._standings[prefix], now_ms)]
        for first in range(0, len(prefixes), SLICE):
            self.settle(prefixes[first : first + SLICE], now_ms, new=False, repair=not start)
            self._recorder.commit()

    def refused(self) -> list[str]:
        """The prefixes that safety keeps out."""
        return [prefix for prefix, standing in self._standings.items() if standing.outcome == "refused"]

    def all(self) -> list[str]:
        """Every prefix."""
        return list(self._standings)

    def forget_held(self) -> None:
        """The firewall holds nothing any more."""
        for standing in self._standings.values():
            standing.held = ()

    def in_force(self, now_ms: int) -> int:
        """How many prefixes the firewall holds now, as far as is known."""
        return sum(bool(live(standing.held, now_ms)) for standing in self._standings.values())

    def _supersede(self, prefix: str, known: Standing, now_ms: int) -> None:
        if known.outcome is None and known.ends:
            result = Result(known.decision, "skipped", "superseded at once")
            self._recorder.note("ban", prefix, result, now_ms)

    def _changes(self, judged: dict[str, Judgement], now_ms: int) -> tuple[list[Element], list[Element]]:
        """What has to be unbanned, and what banned."""
        ban: list[Element] = []
        unban: list[Element] = []
        for prefix, (wanted, _, _) in judged.items():
            held = self._standings[prefix].held
            if held:
                unban += [Element(prefix, ports) for ports in surplus(wanted, held)]
            ban += [
                Element(prefix, ports, None if until_ms is None else until_ms - now_ms)
                for ports, until_ms in missing(wanted, held)
            ]
        return unban, ban

    def _conclude(
        self, prefix: str, judgement: Judgement, failures: tuple[Reasons, Reasons]
    ) -> tuple[Outcome, str | None]:
        """Remember what the firewall holds now; the outcome and why."""
        standing = self._standings[prefix]
        kept, lost = failures
        wanted, outcome, detail = judgement
        if not kept and not lost:
            standing.held = wanted
            self.failed.discard(prefix)
            return outcome, detail
        standing.held = tuple(
            [end for end in wanted if end[0] not in lost]
            + [end for end in standing.held if end[0] in kept or end[0] in lost]
        )
        self.failed.add(prefix)
        return "failed", "; ".join({**kept, **lost}.values())

    def _note(
        self, prefix: str, result: tuple[Outcome, str | None], now_ms: int, *, acted: bool, repair: bool
    ) -> None:
        standing = self._standings[prefix]
        outcome, detail = result
        changed = outcome != standing.outcome
        standing.outcome = outcome
        if (acted and (changed or repair)) if outcome == "applied" else changed:
            if outcome == "applied" and self._observing:
                outcome, detail = "skipped", OBSERVED
            elif outcome == "applied" and repair:
                detail = REPAIRED
            verb: EnforcementVerb = "ban" if standing.ends else "unban"
            delay_ms = None if repair or standing.decided_at_ms is None else now_ms - standing.decided_at_ms
            self._recorder.note(verb, prefix, Result(standing.decision, outcome, detail, delay_ms), now_ms)
        if standing.outcome == "applied":
            standing.decided_at_ms = None  # told, and there may be many
        if not standing.ends and not standing.held:
            del self._standings[prefix]


def _differs(standing: Standing, now_ms: int) -> bool:
    wanted = live(standing.ends, now_ms)
    return bool(missing(wanted, standing.held) or surplus(wanted, standing.held))


def _reasons(failures: Sequence[Failure]) -> dict[str, Reasons]:
    reasons: dict[str, Reasons] = {}
    for element, reason in failures:
        reasons.setdefault(element.prefix, {})[element.ports] = reason
    return reasons
