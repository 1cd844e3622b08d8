"""Says in the role's own log what takes effect, in fail2ban's words: `NOTICE [sshd] Ban 192.0.2.7`, then why.

So many lines a second; what is more is counted, and summed up in one line a second. What the decider of the
same process knows of a decision (failures, reason, operator) is kept until it takes effect, of so many.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from logging import getLogger
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from banstream.logs import NOTICE, quoted
from schemas.behaviours import Alert
from schemas.codec import decode
from schemas.durations import format_duration
from schemas.records import Ban, Decision, Prolong, Record, Unban

if TYPE_CHECKING:
    from enforcers.saying import Said

MOST_A_SECOND: Final = 20
MOST_KEPT: Final = 1_024
LEVELS: Final = {"Refused": logging.WARNING, "Failed": logging.ERROR}
WORDS: Final = {f'{{"type":"{each.TYPE}"'.encode(): each.__name__ for each in (Ban, Unban, Prolong, Alert)}
"""A decision's word, by how its line begins."""
EXPIRED: Final = b'"expired":true'
WOULD: Final = "Would"
EXPIRED_MS: Final = 2_000
"""A hold that ends so close to its end has expired."""

log = getLogger("banstream.bans")


class Telling:
    """One role's word on bans. `turn` at least once a second."""

    def __init__(self, now_ms: Callable[[], int], clock: Callable[[], float] = monotonic) -> None:
        """`clock` gives seconds and never goes back."""
        self._now_ms = now_ms
        self._clock = clock
        self._why: dict[tuple[str, str], Decision] = {}
        self._second = 0
        self._left = MOST_A_SECOND
        self._more: dict[tuple[str, str], int] = {}

    def hear(self, decisions: Iterable[Decision | Alert]) -> None:
        """Keep what was decided, until it takes effect; an alert has by then."""
        for each in decisions:
            if isinstance(each, Alert):
                self._alerted(each)
                continue
            if each.shadow:
                if self._room(type(each).__name__, WOULD):
                    self._decided(each)
                continue
            if len(self._why) >= MOST_KEPT:
                continue
            if not (isinstance(each, Ban) and each.expired):
                self._why[each.prefix, each.jail] = each

    def tell(self, said: Said) -> None:
        """Say what took effect."""
        word, manner, jail, prefix, decision, until_ms, reason = said
        why = self._why.pop((prefix, jail), None) if self._why else None
        if why is not None and manner == "Restore":
            manner = ""  # decided since the start
        if not self._room(word, manner):
            return
        name = f"{manner} {word}" if manner else word
        facts: dict[str, str | int] = dict(facts_of(why)) if why is not None else {}
        if why is None and word == "Unban" and until_ms is not None:
            if until_ms - self._now_ms() < EXPIRED_MS:
                facts["reason"] = "expired"
        elif word != "Unban":
            facts["until"] = ending(until_ms)
        if reason is not None:
            facts["because"] = reason
        known = decision if why is None else why.id
        if known:
            facts["decision"] = known
        say(LEVELS.get(manner or word, NOTICE), name, jail, prefix, facts)

    def committed(self, frame: bytes) -> None:
        """Say the decisions of a frame; nothing of bans that had ended before they were decided."""
        lines = iter(frame.split(b"\n"))
        for line in lines:
            word = WORDS.get(line[: line.find(b",")])
            if word is None:
                continue
            if word == "Ban" and EXPIRED in line:
                next(lines, None)  # its unban
            elif self._room(word):
                self._decided(decode(line))

    def turn(self) -> None:
        """Sum up what there was no room for; let go of what has piled up and took no effect."""
        if len(self._why) >= MOST_KEPT:
            self._why.clear()
        if int(self._clock()) != self._second:
            self._sum_up()

    def close(self) -> None:
        """Sum up; no more comes."""
        self._sum_up()

    def _alerted(self, alert: Alert) -> None:
        if self._room("Alert"):
            self._decided(alert)

    @staticmethod
    def _decided(decision: Record) -> None:
        if isinstance(decision, Alert):
            names = ("count", "limit", "usual", "deviation", "basis", "tightened")
            facts = {name: getattr(decision, name) for name in names}
            say(logging.WARNING, "Alert", decision.jail, decision.measure, {**facts, "decision": decision.id})
        if isinstance(decision, Ban | Unban | Prolong):
            end = {} if isinstance(decision, Unban) else {"until": ending(decision.until_ms)}
            facts = {**dict(facts_of(decision)), **end, "decision": decision.id}
            name = f"{WOULD} {type(decision).__name__}" if decision.shadow else type(decision).__name__
            say(NOTICE, name, decision.jail, decision.prefix, facts)

    def _room(self, word: str, manner: str = "") -> bool:
        """Whether there is room for a line; else it is counted."""
        second = int(self._clock())
        if second != self._second:
            self._sum_up()
            self._second, self._left = second, MOST_A_SECOND
        if self._left:
            self._left -= 1
            return True
        self._more[word, manner] = self._more.get((word, manner), 0) + 1
        return False

    def _sum_up(self) -> None:
        if not self._more:
            return
        facts = {
            f"{manner}_{word}".strip("_").lower(): count
            for (word, manner), count in sorted(self._more.items())
        }
        self._more.clear()
        names = "".join(f" {name}=%d" for name in facts)
        template = f"And more in the same second, which `banstream bans` and `watch` have{names}"
        log.log(NOTICE, template, *facts.values())


def facts_of(decision: Decision) -> tuple[tuple[str, str | int], ...]:
    """Why it was decided."""
    by: tuple[tuple[str, str | int], ...] = () if decision.who is None else (("by", decision.who),)
    by += (("why", decision.why),) if decision.why else ()
    match decision:
        case Ban(count=count, findtime_ms=findtime_ms) if findtime_ms is not None:
            what = decision.counted.replace(" ", "_")
            user = () if decision.user is None else (("user", decision.user),)
            known = (("country", decision.country), ("asn", decision.asn))
            place = tuple((name, value) for name, value in known if value is not None)
            return ((what, count), *user, ("within", format_duration(findtime_ms)), *place, *by)
        case Unban(reason=reason):
            return (("reason", reason), *by)
        case Ban() | Prolong():
            return by


def ending(until_ms: int | None) -> str:
    """When a ban ends, as one word."""
    if until_ms is None:
        return "never"
    return datetime.fromtimestamp(until_ms / 1_000).astimezone().isoformat(timespec="seconds")


def say(level: int, word: str, jail: str, prefix: str, facts: dict[str, Any]) -> None:
    """One line: in fail2ban's words, then the facts."""
    named = {"jail": jail, "verb": word, "prefix": prefix}
    template = "[%s] %s %s" + "".join(f" {name}=%s" for name in facts)
    log.log(level, template, quoted(jail), word, quoted(prefix), *facts.values(), extra={"facts": named})
