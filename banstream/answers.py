"""What comes of a command: the decisions it causes, and what each host's enforcer does with them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from banstream.reading import heartbeat
from eventlog.contract import EventLog
from eventlog.follower import Follower
from schemas.records import Ban, Command, Decision, Enforcement, Prolong, Unban
from schemas.topics import DECISIONS, ENFORCEMENTS
from streams.partition import newest_position

SETTLE_S: Final = 0.5
LOOK_MS: Final = 100
ASK_S: Final = 0.3
"""How often a fleet's log is asked how far it is decided."""


class Reply(NamedTuple):
    """A decision, and what came of it, by host; whoever has nothing to change in a firewall says nothing."""

    decision: Decision
    hosts: Mapping[str, Enforcement]


@dataclass(slots=True)
class Order:
    """A command that was given.

    Attributes:
        causes: where it stands: its offset, by partition.
        decisions: what it caused, as far as is known.
    """

    command: Command
    causes: Mapping[int, int]
    decisions: list[Decision] = field(default_factory=list)

    def caused(self, decision: Decision) -> bool:
        """Whether a decision is of this command."""
        partition, offset, _ = decision.id.split("-", 2)
        return offset[:1] == "c" and self.causes.get(int(partition)) == int(offset[1:])


class Answers:
    """Follows a log for what comes of commands: make it before they are given."""

    def __init__(self, log: EventLog, *, shared: bool) -> None:
        """Follow the log from where it ends now; `shared`: it is a fleet's."""
        self._log = log
        self._shared = shared
        self._follower = Follower(log, (DECISIONS, ENFORCEMENTS), start="end")
        self._enforced: dict[tuple[str, str], dict[str, Enforcement]] = {}
        self._asked_at = 0.0
        self._next_commands: dict[int, int] = {}

    def wait(self, orders: Sequence[Order], hosts: Collection[str], wait_s: float) -> None:
        """Wait until all is decided, and each of these hosts has answered, or for so long.

        On a machine's own log its one enforcer answers, whatever its name; what changes nothing in the
        firewall is not recorded there, so it has SETTLE_S.
        """
        deadline = time.monotonic() + wait_s
        while (now := time.monotonic()) < deadline:
            decided = not any(self.undecided(order) for order in orders)
            if decided and not self._shared:
                deadline = min(deadline, now + SETTLE_S)
            self._follower.wait(LOOK_MS)
            self._read(orders)
            # a command's decisions are one commit a partition
            decided = decided or all(order.decisions and len(order.causes) == 1 for order in orders)
            if decided and all(self._enough(order, hosts) for order in orders):
                return

    def of(self, order: Order) -> list[Reply]:
        """What came of a command so far."""
        enforced = self._enforced
        return [Reply(each, enforced.get((each.prefix, verb_of(each)), {})) for each in order.decisions]

    def undecided(self, order: Order) -> list[int]:
        """The partitions in which nobody has come to the command yet."""
        done = {int(each.id.partition("-")[0]) for each in order.decisions}
        left = order.causes.keys() - done
        if left:
            self._ask(left)
        return sorted(each for each in left if self._next_commands.get(each, 0) <= order.causes[each])

    def _ask(self, partitions: Iterable[int]) -> None:
        """See how far the commands are decided."""
        if not self._shared:
            found = (heartbeat(self._log) or {}).get("decider", {}).get("next_commands", [])
            self._next_commands = dict(enumerate(found))
        elif time.monotonic() >= self._asked_at + ASK_S:
            self._asked_at = time.monotonic()
            for number in partitions:
                self._next_commands[number] = newest_position(self._log, number).get("commands", -1) + 1

    def _enough(self, order: Order, hosts: Collection[str]) -> bool:
        return all(
            answer.hosts.keys() >= set(hosts) if self._shared else answer.hosts for answer in self.of(order)
        )

    def _read(self, orders: Sequence[Order]) -> None:
        for each in self._follower.records():
            match each.record:
                case Ban() | Unban() | Prolong() as decision:
                    for order in orders:
                        if order.caused(decision):
                            order.decisions.append(decision)
                case Enforcement() as enforcement:
                    told = self._enforced.setdefault((enforcement.prefix, enforcement.verb), {})
                    told[enforcement.host] = enforcement


def verb_of(decision: Decision) -> Literal["ban", "unban"]:
    """What an enforcer does about a decision: a prolonged ban is banned anew."""
    return "unban" if isinstance(decision, Unban) else "ban"
