"""Says what came of a command: on this machine, or on each host of a fleet; and what is to be known of it.

| command | what there is to add |
|---|---|
| ban | that an `ignoreip` or an `allow` spares the address: it is banned all the same |
| unban | that a wider prefix, or another jail, holds the address still: exit code 1 |
| forgive | how many failures were forgotten, or that none were known |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from banstream.answers import Order, Reply, verb_of
from banstream.config import Settings
from banstream.hindsight import failing, holders_around, spared
from banstream.instants import now_ms
from banstream.phrases import named
from banstream.reading import heartbeat, in_force
from banstream.show import json_line, say, until
from eventlog.contract import EventLog
from eventlog.urls import is_shared
from schemas.codec import to_wire
from schemas.prefixes import PrefixSet
from schemas.records import Ban, Command, Enforcement, Prolong
from schemas.rules import MANUAL, Rules

if TYPE_CHECKING:
    from banstream.heard import Heard

MOST_NAMED: Final = 10
HEARD_MS: Final = 30_000
"""Three heartbeats of an enforcer: who was not heard of for longer is not waited for."""
HELD: Final = "held"
OBSERVED: Final = "observing only"
NOT_RUNNING: Final = "`banstream up` is not running and applies it at start"
BUSY: Final = "`banstream up` is busy, and applies it when it gets there"
Forgotten = dict[str, int] | None


class Outcomes:
    """Tells of the commands that were given to one log."""

    def __init__(self, log: EventLog, settings: Settings, rules: Rules, *, as_json: bool) -> None:
        """What is known before they are given: the rules, and in a fleet whose enforcers were heard of."""
        self._log = log
        self._rules = rules
        self._as_json = as_json
        self._noted: list[dict[str, Any]] = []
        self._fleet = heard_of(log) if is_shared(settings.log_url) else None

    def listeners(self) -> set[str]:
        """The fleet's hosts that ought to answer: their enforcers were heard of just now."""
        now, heard = now_ms(), (self._fleet or {}).items()
        return {host for host, each in heard if not each.beat.stopped and now - each.at_ms <= HEARD_MS}

    def known_before(self, command: Command) -> Forgotten:
        """What `forgive` is going to forget, by jail; None of other commands, or where that is not known."""
        if command.verb != "forgive" or command.prefix is None:
            return None
        return failing(self._log, command.prefix, command.jail)

    def not_running(self, order: Order) -> int:
        """Say that it waits in this machine's log; the exit code."""
        return self._with_notes(order.command, lambda: self._settle(order, "recorded", NOT_RUNNING))

    def tell(
        self, order: Order, answers: Sequence[Reply], undecided: Sequence[int], before: Forgotten
    ) -> int:
        """Say what came of a command; the exit code."""

        def told() -> int:
            if undecided and not answers:
                return self._undecided(order, undecided)
            if not answers:
                return self._unanswered(order, before)
            code = max(self._tell_answer(answer) for answer in answers)
            if undecided and order.command.verb != "ban":  # which one partition decides for all
                code = max(code, self._undecided(order, undecided))
            return code

        return self._with_notes(order.command, told, answers)

    def _with_notes(self, command: Command, told: Callable[[], int], answers: Sequence[Reply] = ()) -> int:
        """Say it, and what else is to be known: for people after it, in JSON with it; the exit code."""
        noted = [*self._notes(command), *self._left_inside(command, answers)]
        self._noted = [facts for _, facts in noted]
        code = told()
        for sentence, _ in () if self._as_json else noted:
            say(sentence)
        return max(code, int(any(facts["note"] == HELD for facts in self._noted)))

    def _undecided(self, order: Order, partitions: Sequence[int]) -> int:
        if self._fleet is None:
            return self._settle(order, "recorded", BUSY)
        which = f"partition{'s' * (len(partitions) > 1)} {', '.join(map(str, partitions[:MOST_NAMED]))}"
        sentence = f"no worker decides {which}; it takes effect when one does (`banstream decide`)"
        self._settle(order, "recorded", sentence, partitions=list(partitions))
        return 1

    def _unanswered(self, order: Order, before: Forgotten) -> int:
        """Nothing was decided."""
        command = order.command
        if command.verb in {"ban", "unban"}:
            self._settle(order, "unchanged", "nothing to change")
            return int(command.verb == "unban")
        if command.verb != "forgive" or before is None:
            return self._settle(order, "done")
        if not before:
            return self._settle(order, "done", f"no failure of {command.prefix} was counted", forgotten={})
        told = ", ".join(f"{count} in jail {jail}" for jail, count in sorted(before.items()))
        return self._settle(order, "done", f"failures forgotten: {told}", forgotten=before)

    def _tell_answer(self, answer: Reply) -> int:
        decision = answer.decision
        end = f" {until(decision.until_ms)}" if isinstance(decision, Ban | Prolong) else ""
        begin = f"{decision.TYPE} {decision.prefix} jail={decision.jail}{end}"
        first = next(iter(answer.hosts.values()), None)
        wires: dict[str, Any] = {
            "decision": to_wire(decision),
            "enforcement": to_wire(first) if first else None,
        }
        if self._fleet is None:
            self._tell(
                {"outcome": first.outcome if first else "decided", **wires}, f"{begin}: {self._here(first)}"
            )
            return int(first is not None and first.outcome != "applied")
        outcomes = {host: each.outcome for host, each in answer.hosts.items()}
        sound = bool(outcomes) and set(outcomes.values()) == {"applied"}
        sound = sound and outcomes.keys() >= self.listeners()
        outcome = "applied" if sound else "partly" if outcomes else "decided"
        self._tell({"outcome": outcome, **wires, "hosts": outcomes}, f"{begin}: {self._there(answer)}")
        return int(not sound)

    def _here(self, enforcement: Enforcement | None) -> str:
        """What came of it on this machine."""
        if enforcement is None:
            return "decided"
        if (enforcement.outcome, enforcement.detail) == ("skipped", OBSERVED):
            why = ((heartbeat(self._log) or {}).get("enforcer") or {}).get("observing") or "see its log"
            return f"decided, and only observed: nothing is enforced here ({why})"
        return f"{enforcement.outcome}{f': {enforcement.detail}' if enforcement.detail else ''}"

    def _there(self, answer: Reply) -> str:
        """What came of it on the fleet's hosts."""
        done = "in force on" if verb_of(answer.decision) == "ban" else "lifted on"
        by_word: dict[str, list[str]] = {}
        for host, each in sorted(answer.hosts.items()):
            detail = f": {each.detail}" if each.detail else ""
            words = {"applied": done, "skipped": f"skipped{detail} on"}
            by_word.setdefault(words.get(each.outcome, f"{each.outcome}{detail} on"), []).append(host)
        told = [f"{word} {named(hosts, MOST_NAMED)}" for word, hosts in by_word.items()]
        missing = sorted((self._fleet or {}).keys() - answer.hosts.keys())
        if missing:
            told.append(f"no word yet from {named([self._heard(host) for host in missing], MOST_NAMED)}")
        return "; ".join(told) or "decided; no enforcer was heard of within the last hour"

    def _heard(self, host: str) -> str:
        heard = (self._fleet or {})[host]
        state = "stopped" if heard.beat.stopped else "last heard of"
        return f"{host} ({state} {max(0, now_ms() - heard.at_ms) // 1_000} s ago)"

    def _notes(self, command: Command) -> Iterator[tuple[str, dict[str, Any]]]:
        """What else is to be known, as a sentence and as facts."""
        prefix, jail = command.prefix, None if command.jail == MANUAL else command.jail
        if prefix is not None and command.verb == "ban":
            for entry, by in spared(self._log, self._rules, prefix, jail, now_ms()):
                sentence = (
                    f"NOTE: {prefix} lies in {entry} ({by}): its failures are not counted there. What an "
                    "operator bans by hand is banned all the same, but for what the enforcer never bans"
                )
                yield sentence, {"note": "spared", "entry": entry, "by": by}
        if prefix is not None and command.verb == "unban":
            for standing in holders_around(self._log, prefix):
                own = standing.prefix == prefix
                holds = [each for each in standing.holds if not own or command.jail not in {None, each.jail}]
                if not holds:
                    continue
                jails = ", ".join(f"{hold.jail}, {until(hold.until_ms)}" for hold in holds)
                where = "is held by other jails" if own else f"lies inside {standing.prefix}"
                sentence = (
                    f"STILL BANNED: {prefix} {where} ({jails}); `banstream unban {standing.prefix}` ends "
                    + ("them all" if own else "that, for all of it")
                )
                yield sentence, {"note": HELD, "by": standing.prefix, "standing": to_wire(standing)}

    def _left_inside(
        self, command: Command, answers: Sequence[Reply]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Whom the unban of a network has left: its addresses keep the bans that are their own."""
        prefix = command.prefix
        jails = {each.decision.jail for each in answers if each.decision.prefix == prefix}
        if command.verb != "unban" or prefix is None or "/" not in prefix or not jails:
            return
        within = PrefixSet([prefix])
        left = [
            each.prefix
            for each in in_force(self._log, lambda key: key != prefix and key in within)
            if any(hold.jail in jails for hold in each.holds)
        ]
        if left:
            sentence = (
                f"STILL BANNED: {named(sorted(left), MOST_NAMED)} inside {prefix}, by bans of their own; "
                f"`banstream unban {prefix}` once more ends those"
            )
            yield sentence, {"note": "left inside", "prefixes": sorted(left)}

    def _settle(self, order: Order, outcome: str, sentence: str = "", **facts: object) -> int:
        """Say what came of a command that no decision answers."""
        said = f"{outcome}: {sentence}" if sentence else outcome
        self._tell({"outcome": outcome, "command": to_wire(order.command), **facts}, said)
        return 0

    def _tell(self, wire: dict[str, Any], sentence: str) -> None:
        if self._as_json:
            json_line({**wire, **({"notes": self._noted} if self._noted else {})})
        else:
            say(sentence)


def heard_of(log: EventLog) -> dict[str, Heard]:
    """A fleet's enforcers, by host; what says so is loaded for a fleet alone."""
    from banstream.enrolled import Vouchers, hosts_of
    from banstream.heard import heartbeats

    return heartbeats(log, now_ms(), Vouchers(hosts_of(log)))
