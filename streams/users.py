"""Jails that count users: how often each is tried, or from how many addresses, wherever those are.

An address's failures stand in its own partition, a user's come from all. So there are two stages, and what
one has for another is a record: at once where it is of the same partition, else by the log (schemas.topics).

| stage | in the partition of | does |
|---|---|---|
| sees | the address | tells each failure that no ban of the jail covers: a Sighting |
| counts | the user | keeps the window, and when it is full says whose failures were in it: a Verdict |
| judges | each address | bans it, unless it is spared, banned, or was let go since it failed |

A failure is known by its instant and its place, so that one that comes twice counts once. Whoever is banned
is counted no longer; so of ten thousand addresses at one user each `maxretry` are banned together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from schemas.deciding import Dispatch, Pardon, Sighting, Verdict
from schemas.prefixes import PrefixSet
from schemas.rules import Jail
from schemas.topics import SUBJECTS, VERDICTS, partition_of, partition_of_user
from streams.runs import RunRow, user_in
from streams.subjects import Past
from streams.tally import SubjectTally
from streams.tallying import TallyingJail
from streams.window import AT_SHIFT, MOST_KEPT, at_ms_of, reference, reference_of

if TYPE_CHECKING:
    from streams.decider import Decider
    from streams.verdicts import Verdicts

OneLine = Callable[[], str | None]


class UserFailure(NamedTuple):
    """One failure of a user; `event`: its place in the log, `prefix`: whose it was."""

    at_ms: int
    event: str
    prefix: str


class Users(SubjectTally[list[UserFailure]]):
    """The users of a jail who are tried, with their failures, each user's in order.

    Where different addresses are counted, of each its newest failure.
    """

    shape: ClassVar[str] = "u"

    def adopt(self, rules: Jail) -> None:
        """Go on under other rules; what was counted in another way is of no account."""
        if rules.distinct != self.rules.distinct:
            self._known.clear()
        super().adopt(rules)

    def add(self, user: str, failure: UserFailure) -> list[UserFailure]:
        """Count a failure; the window that it fills, which is used up then, or nothing."""
        known = self._known.setdefault(user, [])
        place = self._put(known, failure)
        start = None if place is None else self._full(known, place)
        if start is None:
            if len(known) > max(MOST_KEPT, self.rules.maxretry):
                del known[0]
            return []
        end = start + self.rules.maxretry
        window = known[start:end]
        del known[:end]
        if not known:
            del self._known[user]
        return window

    def _put(self, known: list[UserFailure], failure: UserFailure) -> int | None:
        """Put a failure where it belongs; where that is, None where it brings nothing new."""
        place = bisect_left(known, failure)
        if place < len(known) and known[place] == failure:
            return None
        if self.rules.distinct == "address":
            prefix = failure.prefix
            older = next((nth for nth, each in enumerate(known) if each.prefix == prefix), None)
            if older is not None:
                if older >= place:
                    return None
                del known[older]
                place -= 1
        known.insert(place, failure)
        return place

    def _full(self, known: list[UserFailure], place: int) -> int | None:
        """Where the earliest full window begins that has the failure at a place in it."""
        needed, findtime_ms = self.rules.maxretry, self.rules.findtime_ms
        for start in range(max(0, place - needed + 1), min(place, len(known) - needed) + 1):
            if known[start + needed - 1].at_ms - known[start].at_ms <= findtime_ms:
                return start
        return None

    def without(self, prefix: str) -> set[str]:
        """Forget what is inside a prefix; whose failures those were."""
        within = PrefixSet([prefix])
        found = {user for user, known in self._known.items() if any(each.prefix in within for each in known)}
        for user in found:
            self._known[user] = [each for each in self._known[user] if each.prefix not in within]
        self.forget([user for user in found if not self._known[user]])
        return found

    def prefixes(self) -> list[str]:
        """Whose failures these are, sorted."""
        return sorted({each.prefix for known in self._known.values() for each in known})

    def failures_of(self, subject: str) -> list[int]:  # noqa: ARG002 - as of every tally
        """None that may be evidence in this partition alone."""
        return []

    def newest(self) -> Iterator[tuple[int, str]]:
        """When each user was tried last, and who that is."""
        return ((known[-1].at_ms, user) for user, known in self._known.items())

    def load_failures(self, subject: str, failures: list[int]) -> None:
        """Of what a plain jail has counted nobody knows the users: it begins anew."""

    def dumped(self, subject: str) -> list[Any]:
        """What is to be saved of a user: the instant, the place and the prefix of each failure in turn."""
        return [part for failure in self._known[subject] for part in failure]

    def load(self, subject: str, *facts: Any) -> None:
        """Put back what was saved."""
        self._known[subject] = [UserFailure(*facts[at : at + 3]) for at in range(0, len(facts), 3)]


class UserJail(TallyingJail):
    """A jail's rules, the users of this partition who are tried, and the bans of its addresses."""

    __slots__ = ("met", "users")
    meets = True

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self.users = Users(rules)
        self.met: str | None = None
        super().__init__(rules, lateness_ms, self.users)

    def meet(self, row: RunRow) -> bool:
        """The event that is counted next; whether it says what is counted."""
        self.met = user_in(row)
        return self.met is not None

    def begin(self, ip: str, failure: int) -> bool:  # noqa: ARG002 - as in every jail
        """Whether a failure names a user, so that it is to be told."""
        return self.met is not None

    def use_up(self, ip: str, failures: list[int], number: int) -> None:
        """An address is banned for something else: what users have is not its own."""

    def inside(self, prefix: str | None, *, banned: bool) -> list[str]:
        """The bans inside a prefix; of those who fail there itself alone, as they are counted anywhere."""
        if banned:
            return super().inside(prefix, banned=True)
        return self.users.prefixes() if prefix is None else [prefix]

    def takes_part(self, prefix: str, failure: int) -> bool:
        """Whether whoever failed so is to be banned for it now."""
        return self.held_by(prefix) is None and self.beneath(prefix) is None and self.admits(prefix, failure)


def see(decider: Decider, jail: UserJail, prefix: str, failure: int, line_of: OneLine) -> None:
    """Tell whoever counts a user that an address has failed as him."""
    offset, index = reference_of(failure)
    sighting = Sighting(
        jail=jail.rules.name,
        user=jail.met or "",
        prefix=prefix,
        at_ms=at_ms_of(failure),
        event=f"{decider.partition}-{offset}-{index}",
    )
    home = partition_of_user(sighting.user, decider.partitions)
    if home == decider.partition:
        count(decider, sighting, line_of)
    else:
        decider.send(SUBJECTS.name, home, sighting)


def count(decider: Decider, sighting: Sighting, line_of: OneLine) -> None:
    """Count a failure of a user of this partition; when his window is full, say so where it concerns."""
    jail, user = decider.jails.get(sighting.jail), sighting.user
    if not isinstance(jail, UserJail):
        return
    if user not in jail.users:
        decider.make_room()
    decider.touched.add(user)
    window = jail.users.add(user, UserFailure(sighting.at_ms, sighting.event, sighting.prefix))
    if not window:
        return
    verdict = Verdict(
        jail=sighting.jail,
        user=user,
        failed_ms=tuple(each.at_ms for each in window),
        evidence=tuple(each.event for each in window),
        prefixes=tuple(each.prefix for each in window),
    )
    for home in sorted({partition_of(each.prefix, decider.partitions) for each in window}):
        if home == decider.partition:
            judge(decider, verdict, line_of)
        else:
            decider.send(VERDICTS.name, home, verdict)


def forgive(verdicts: Verdicts, jail: UserJail, prefix: str) -> None:
    """Forget what is inside a prefix has failed, in every partition; what is under way bans it no more."""
    verdicts.touched |= jail.users.without(prefix)
    if jail.held_by(prefix) is None:
        before = jail.bans_before(prefix, verdicts.now_ms)
        jail.history[prefix] = Past(before, verdicts.now_ms, verdicts.now_ms)
    for number in range(verdicts.partitions):
        if number != verdicts.partition:
            verdicts.send(SUBJECTS.name, number, Pardon(jail=jail.rules.name, prefix=prefix))


def take(decider: Decider, told: Dispatch) -> None:
    """Take what another partition tells."""
    match told:
        case Sighting():
            count(decider, told, _no_line)
        case Verdict():
            judge(decider, told, _no_line)
        case Pardon():
            jail = decider.jails.get(told.jail)
            if isinstance(jail, UserJail):
                decider.touched |= jail.users.without(told.prefix)


def judge(decider: Decider, verdict: Verdict, line_of: OneLine) -> None:
    """Ban those of this partition who took part, each once."""
    jail = decider.jails.get(verdict.jail)
    if not isinstance(jail, UserJail) or not verdict.failed_ms:
        return
    facts = {"evidence": verdict.evidence, "count": len(verdict.evidence), "user": verdict.user}
    own = {
        prefix: (at_ms, event)
        for at_ms, event, prefix in zip(verdict.failed_ms, verdict.evidence, verdict.prefixes, strict=False)
        if partition_of(prefix, decider.partitions) == decider.partition
    }
    for prefix, (at_ms, event) in own.items():
        offset, index = map(int, event.split("-")[1:3])
        place = reference(offset, index)
        if jail.takes_part(prefix, (at_ms << AT_SHIFT) + place):
            decider.punish(jail, prefix, (verdict.failed_ms[-1] << AT_SHIFT) + place, line_of, **facts)


def _no_line() -> str | None:
    return None
