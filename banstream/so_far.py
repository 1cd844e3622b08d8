"""What the decider knows of one address now: its own state, as the log has it, folded to where it stands.

Of the checkpoint only the address' own share is taken, then of what was decided since only the messages that
may be about the address, in the order that was told, as the decider does after a crash. So the answer is the
decider's, without a million others.

| a message after the last commit | is |
|---|---|
| before what `up` says it has folded, or all within FRESH_MS of now and somebody decides | decided |
| any other | not decided yet |
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from banstream.backwards import pages_back
from banstream.lists.in_log import spared_by, state_of_lists
from banstream.looking import Look
from banstream.reading import messages, rules_in_force
from eventlog.contract import EventLog, Message
from eventlog.index import read_at
from eventlog.subjects import spans_inside
from schemas.addresses import network_at
from schemas.errors import LogError
from schemas.prefixes import PrefixSet
from schemas.rules import Jail
from schemas.topics import EVENTS, STATE, partition_of
from streams.barrier import Unfoldable
from streams.decider import Decider
from streams.estimating import EstimatingJail
from streams.jail import JailState
from streams.knowing import KnowingJail
from streams.leaky import LeakyJail
from streams.order import INPUTS, Again, read_page
from streams.partition import POSITION, UNRULED, Partition
from streams.rates import RateJail
from streams.runs import Whence
from streams.state import WHOLE, bucket_of
from streams.window import at_ms_of

FRESH_MS: Final = 10_000
"""Who decides is done within that, unless he is behind."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom something is asked, and when.

    Attributes:
        now_ms: the instant at which it is asked.
        since_ms: when the log took the first that it has of the address; None where it has nothing.
    """

    address: str
    now_ms: int
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class Counted:
    """How a jail stands to an address.

    Attributes:
        step: which of the jail's thresholds, from 1; `maxretry`: how many it needs.
        failures: so many lie within its findtime, now.
        until_ms: until when they do; None where there are none.
        at_ms: when they were, sorted.
    """

    jail: Jail
    step: int
    maxretry: int
    failures: int
    until_ms: int | None
    at_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Deciding:
    """Where the partition of an address stands, and what it knows of the address.

    Attributes:
        partition: folded as far as the address goes.
        next_offset: the first message of the events that is not decided; `behind`: how many there are.
        trouble: why its state cannot be read; then the rest says nothing.
    """

    subject: str
    partition: Partition
    next_offset: int
    behind: int
    trouble: str | None = None

    @property
    def ruled(self) -> bool:
        """Whether there are rules."""
        return self.partition.decider.version != UNRULED.version

    def counted(self, now_ms: int, last: Whence | None = None) -> list[Counted]:
        """The thresholds of jails that have failures of the address within their findtime, now.

        `last`: its last event, as far as that says where the address is.
        """
        jails = _ruling(self.partition.decider)
        found = (
            each for jail in jails for each in counted(jail, jail.subject_of(self.subject), now_ms, last)
        )
        return [each for each in found if each.failures]

    def ignored_by(self, jail: Jail) -> str | None:
        """Which entry of its ignoreip or of a list keeps a jail from counting the address; None: none."""
        entry = PrefixSet(jail.ignoreip).covering(self.subject)
        if entry is not None:
            return f"{entry} is in its ignoreip"
        return spared_by(self.partition.decider.lists, jail, self.subject)

    def allowed_by(self) -> str | None:
        """The prefix that an operator allowed, and that holds the address; None where none does."""
        return PrefixSet(self.partition.decider.allowed).covering(self.subject)

    def free_from_ms(self, jail: str) -> int | None:
        """When its last ban by a jail was over; None where there was none."""
        state = self.partition.decider.jails.get(jail)
        past = None if state is None else state.history.get(state.subject_of(self.subject))
        return None if past is None else past.free_from_ms


def deciding(look: Look, asked: Asked, *, shared: bool, said: int | None = 0) -> Deciding:
    """What is decided of an address at an instant.

    Args:
        look: at the log.
        asked: of whom, and when.
        shared: others than this machine write the log.
        said: the first message of its partition that `up` says it has not folded, as far as that is known;
            None: nobody decides now.
    """
    log, address = look.log, asked.address
    number = partition_of(address, log.partitions)
    place, end = (EVENTS.name, number), log.end(EVENTS.name, number)
    begins = dict.fromkeys(INPUTS, 0)
    partition = Partition(number, partitions=log.partitions, begins=begins, shared=shared)
    subjects = _subjects(log, address)
    widest = subjects[0]
    wanted = {WHOLE, POSITION, *(f"{bucket_of(subject):04x}" for subject in subjects)}
    since_ms = asked.since_ms if widest == address else 0  # its neighbours may have been there before
    state = _state(look, number, wanted, since_ms, shared=shared)
    own = None if shared else log.position(partition.reader)
    if own is not None:
        state[POSITION] = own
    try:
        again = partition.restore(state, begins, end)
        _fold_again(look, widest, number, again)
        partition.resumed(again)
        next_offset = max(partition.next_offset, said or 0) or log.begin(*place)
        old = log.offset_at(*place, asked.now_ms - FRESH_MS) if next_offset < end else end
        if said is not None and old <= next_offset and partition.takes_events:
            next_offset = end
        partition.decide(_about(look, widest, number, partition.next_offset, next_offset))
    except (LogError, Unfoldable) as error:
        return Deciding(address, partition, partition.next_offset, 0, str(error))
    partition.decider.advance(asked.now_ms)
    return Deciding(address, partition, next_offset, end - next_offset)


def _state(
    look: Look, number: int, wanted: set[str], since_ms: int | None, *, shared: bool
) -> dict[str, bytes]:
    """The newest values of these keys of a partition's state, as far as they are of that instant or later.

    The whole is in every checkpoint, after the rest of it, and the position after that. A cluster has what
    was replaced for a while, so that is read from the end; a file has the newest alone, which moves to its
    end.
    """
    place, log = (STATE.name, number), look.log
    start = log.end(*place) if since_ms is None else log.offset_at(*place, since_ms)
    state: dict[str, bytes] = {}
    if not shared:
        for message in messages(log, *place, start):
            if message.key is not None and message.key in wanted:
                state[message.key] = message.value
    for message in pages_back(log, place, end=None if shared else start):
        if WHOLE in state and (message.offset < start or wanted - {POSITION} <= state.keys()):
            break
        if message.key is not None and message.key in wanted:
            state.setdefault(message.key, message.value)
    if WHOLE in state:
        state |= state_of_lists(log, number, state[WHOLE])
    return {key: value for key, value in state.items() if value}


def _subjects(log: EventLog, address: str) -> list[str]:
    """What an address may be counted as under the rules in force, the widest first."""
    rules = rules_in_force(log)
    jails = () if rules is None else rules.jails
    lengths = {jail.ipv6_prefix if ":" in address else jail.ipv4_prefix for jail in jails}
    return list(dict.fromkeys([*(network_at(address, length) for length in sorted(lengths)), address]))


def _fold_again(look: Look, prefix: str, number: int, again: Again) -> None:
    """Fold again what was decided since the checkpoint, of the events those inside a prefix. LogError."""
    while want := again.want():
        if want.topic != EVENTS.name:
            read_page(look.log, number, again, want)
            continue
        end = look.log.end(EVENTS.name, number)
        until = end if want.end is None else min(want.end, end)
        again.take(EVENTS.name, _about(look, prefix, number, want.begin, until), until, end)
    again.goal = again.goal._replace(digest=None)  # it is of all messages


def _about(look: Look, prefix: str, number: int, first: int, end: int) -> list[Message]:
    """The messages of the events that may be about a prefix, from one offset to before another."""
    place, spans = (EVENTS.name, number), spans_inside(prefix)
    if spans is None:
        every = messages(look.log, *place, first)
        return list(takewhile(lambda message: message.offset < end, every))
    newest = look.index.offsets(place, spans)
    offsets = takewhile(lambda offset: offset >= first, newest)
    return list(read_at(look.log, place, [offset for offset in offsets if offset < end][::-1]))


def counted(state: JailState, subject: str, now_ms: int, last: Whence | None = None) -> Iterator[Counted]:
    """How many failures each threshold has counted of a subject that one more now would be added to.

    As many as lie with `now_ms` in one stretch of its findtime; one more bans where that makes maxretry.
    `last`: its last event; a threshold that is for elsewhere counts nothing of it.
    """
    country, asn = (None, None) if last is None else (last.country, last.asn)
    failures = state.failures_of(subject)
    if isinstance(state, EstimatingJail):
        yield _estimated(state, subject, now_ms)
        return
    if isinstance(state, RateJail | LeakyJail):
        amount, until_ms = state.so_far(subject, now_ms)
        yield Counted(state.rules, 1, state.maxretry, amount, until_ms, tuple(map(at_ms_of, failures)))
        return
    for number, step in enumerate(state.thresholds):
        if step.scope is not None and not step.scope.has(country, asn):
            continue
        used = -1 if state.ladder is None else state.ladder.used(subject)[number]
        unused = [at_ms_of(each) for each in failures if each > used]
        near = _near(unused, now_ms, step.findtime_ms)
        until_ms = near[0] + step.findtime_ms if near else None
        factor = state.factor_of(subject, now_ms) if isinstance(state, KnowingJail) else 1
        needed = step.maxretry * factor
        yield Counted(state.rules, number + 1, needed, len(near), until_ms, tuple(unused))


def _estimated(state: EstimatingJail, subject: str, now_ms: int) -> Counted:
    """The same of a jail that estimates, as far as time has not run out."""
    known = state.so_far(subject)
    at_ms = tuple(map(at_ms_of, state.failures_of(subject)))
    if known is None or now_ms - known[1] >= state.findtime_ms:
        return Counted(state.rules, 1, state.maxretry, 0, None, at_ms)
    return Counted(state.rules, 1, state.maxretry, known[0], known[1] + state.findtime_ms, at_ms)


def _near(failures: list[int], now_ms: int, findtime_ms: int) -> list[int]:
    """The most of these instants that lie with `now_ms` in one stretch of findtime."""
    near = [at_ms for at_ms in failures if abs(at_ms - now_ms) <= findtime_ms]
    insort(near, now_ms)
    best: list[int] = []
    for start, at_ms in enumerate(near):
        if at_ms > now_ms:
            break
        end = bisect_left(near, at_ms + findtime_ms + 1)
        if end - start - 1 > len(best):
            best = near[start:end]
            best.remove(now_ms)
    return best


def _ruling(decider: Decider) -> list[JailState]:
    return [decider.jails[jail.name] for jail in decider.rules.jails]
