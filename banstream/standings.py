"""The bans that are decided, and whether the firewalls hold them.

| the newest word of a host's enforcer on the prefix | the ban there is |
|---|---|
| ban applied | in force |
| ban refused (never banned, the breaker) | refused |
| ban failed | failed; it is tried again |
| ban skipped: observing only | observed only |
| none, or one about what was before | pending |
| none, and it was decided before what was read | in force, as far as is known |
| any, and its end has passed | ended: the firewall lets go by itself |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import msgspec

from banstream.backwards import pages_back
from banstream.enforced import HERE, LastWord, Words
from banstream.phrases import as_user, what_for
from enforcers.register import OBSERVED
from eventlog.contract import EventLog
from schemas.addresses import parse_prefix
from schemas.codec import HoldLine, StandingLine, lines_of, read_standing
from schemas.errors import InvalidMessage
from schemas.records import Hold, Standing
from schemas.topics import BANS, DECISIONS

BanState = Literal["in force", "refused", "failed", "observed only", "pending", "ended"]
Sort = Literal["since", "until", "prefix", "jail"]
SORTS: Final[tuple[Sort, ...]] = ("since", "until", "prefix", "jail")
FOR_EVER_MS: Final = 1 << 62
LONG_AGO: Final = "as far as is known: its enforcer's word on it is no longer kept, or too far back"
PENDING_MS: Final = 10_000
"""A ban that no enforcer has taken up yet is told once it is as old."""
LATEST: Final = 10_000
MOST_DECISIONS: Final = 200_000
"""So many are read back for what a ban was for."""
SHADOW: Final = b'"shadow":true'
"""How a ban that is never in force says so; in a text quotes are escaped."""
_STATES: Final[Mapping[tuple[str, str], BanState]] = {
    ("ban", "applied"): "in force",
    ("ban", "refused"): "refused",
    ("ban", "failed"): "failed",
}


class HostWord(NamedTuple):
    """How a ban is on one host, why it is not in force, and since when that is said (Unix milliseconds)."""

    state: BanState
    why: str | None = None
    at_ms: int | None = None


class BanReason(msgspec.Struct, gc=False):
    """What a ban was for: the part of a Ban that people ask for."""

    id: str
    at_ms: int
    count: int = 0
    who: str | None = None
    why: str | None = None
    counted: str = "failures"
    user: str | None = None
    country: str | None = None
    asn: int | None = None
    as_name: str | None = None

    @property
    def sentence(self) -> str:
        """In a few words."""
        if self.who is not None:
            return f"by {self.who}: {self.why}" if self.why else f"by {self.who}"
        return what_for(self.count, self.counted) + as_user(self.user)


class LastBan(BanReason, gc=False, kw_only=True):
    """The same, of a ban by itself."""

    prefix: str
    jail: str
    until_ms: int | None
    shadow: bool = False


@dataclass(slots=True)
class StandingBan:
    """One jail's ban on one prefix, and how it is on each host.

    Attributes:
        decided_at_ms: when the prefix's bans were last changed.
        hosts: by name; HERE for this machine.
    """

    prefix: str
    hold: Hold | HoldLine
    decided_at_ms: int
    hosts: dict[str, HostWord] = field(default_factory=dict)
    reason: BanReason | None = None

    @property
    def since_ms(self) -> int:
        """When it was decided, as far as that is known."""
        return self.decided_at_ms if self.reason is None else self.reason.at_ms

    @property
    def states(self) -> list[BanState]:
        """How it is, host by host."""
        return [told.state for told in self.hosts.values()]

    @property
    def in_force(self) -> bool:
        """Whether some firewall holds it."""
        return "in force" in self.states

    @property
    def everywhere(self) -> bool:
        """Whether every firewall does."""
        return bool(self.hosts) and all(state == "in force" for state in self.states)

    def is_missing(self, now_ms: int) -> bool:
        """Whether no firewall holds it that should, and had the time to."""
        if self.in_force or "ended" in self.states:
            return False
        return "pending" not in self.states or now_ms - self.decided_at_ms > PENDING_MS

    def key(self, sort: Sort) -> Any:
        """What it is sorted by."""
        match sort:
            case "since":
                return self.since_ms
            case "until":
                return FOR_EVER_MS if self.hold.until_ms is None else self.hold.until_ms
            case "jail":
                return self.hold.jail, *_numbers(self.prefix)
            case "prefix":
                return _numbers(self.prefix)

    def to_wire(self) -> dict[str, Any]:
        """What is added to its hold in `bans --json`."""
        reason = self.reason
        return {
            "since_ms": self.since_ms,
            "count": None if reason is None else reason.count,
            "who": None if reason is None else reason.who,
            "why": None if reason is None else reason.why,
            "country": None if reason is None else reason.country,
            "asn": None if reason is None else reason.asn,
            "as_name": None if reason is None else reason.as_name,
        }


def standings(log: EventLog) -> Iterator[tuple[bytes, StandingLine | Standing]]:
    """Every banned prefix there is, as its line and read; what cannot be read is in the dead letters."""
    for message in log.latest(BANS.name):
        try:
            yield message.value, read_standing(message.value)
        except InvalidMessage:
            continue


def bans_of(found: Iterable[StandingLine | Standing]) -> list[StandingBan]:
    """The bans of standings, hold by hold."""
    return [
        StandingBan(standing.prefix, hold, standing.decided_at_ms)
        for standing in found
        for hold in standing.holds
    ]


def judge(bans: Iterable[StandingBan], words: Words, hosts: Collection[str], now_ms: int) -> None:
    """Say of each ban how it is on each of these hosts."""
    for ban in bans:
        known = words.of.get(ban.prefix, {})
        until_ms = ban.hold.until_ms
        if until_ms is not None and until_ms <= now_ms:
            ban.hosts = dict.fromkeys(hosts, HostWord("ended"))
        else:
            ban.hosts = {host: _told(known.get(host), ban, words.since_ms, host) for host in hosts}


def _told(word: LastWord | None, ban: StandingBan, read_since_ms: int | None, host: str) -> HostWord:
    if word is None:
        if read_since_ms is not None and ban.decided_at_ms < read_since_ms:
            return HostWord("in force", LONG_AGO)
        return HostWord(
            "pending", f"no word of {host}" if host != HERE else "the firewall has not said so yet"
        )
    if word.verb == "unban":
        return HostWord("pending", "not taken up yet", word.at_ms)
    state = _STATES.get((word.verb, word.outcome))
    if state is None:
        observed = word.outcome == "skipped" and word.detail == OBSERVED
        return HostWord(*(("observed only", None) if observed else ("pending", word.detail)), word.at_ms)
    return HostWord(state, word.detail if state != "in force" else None, word.at_ms)


def give_reasons(log: EventLog, bans: Collection[StandingBan]) -> None:
    """Say of each ban what it was for, as far as that stands within the last MOST_DECISIONS decisions."""
    wanted = {ban.hold.ban: ban for ban in bans}
    decode = msgspec.json.Decoder(BanReason).decode
    for partition in range(log.partitions):
        mine = {id_ for id_ in wanted if id_.startswith(f"{partition}-")}
        read = 0
        for message in pages_back(log, (DECISIONS.name, partition)) if mine else ():
            for line in _bans(message.value):
                read += 1
                try:
                    reason = decode(line)
                except msgspec.DecodeError:
                    continue
                if reason.id in mine:
                    wanted[reason.id].reason = reason
                    mine.discard(reason.id)
            if not mine or read > MOST_DECISIONS:
                break


def last_ban(log: EventLog) -> LastBan | None:
    """The ban that was decided last, by the time of the log's lines; of the last LATEST decisions."""
    decode, found = msgspec.json.Decoder(LastBan).decode, []
    for partition in range(log.partitions):
        for read, message in enumerate(pages_back(log, (DECISIONS.name, partition))):
            lines = _bans(message.value)
            if lines:
                found.append(decode(lines[-1]))
            if lines or read > LATEST:
                break
    return max(found, key=lambda ban: ban.at_ms, default=None)


def _bans(frame: bytes) -> list[bytes]:
    if b'"type":"ban"' not in frame:
        return []
    try:
        return [line for line in lines_of(frame) if b'"type":"ban"' in line and SHADOW not in line]
    except InvalidMessage:
        return []


class Around:
    """What is the prefix, lies inside it, or contains it."""

    def __init__(self, prefix: str) -> None:
        self._network = parse_prefix(prefix)

    def __call__(self, prefix: str) -> bool:
        """Whether another prefix does."""
        other = parse_prefix(prefix)
        return other.version == self._network.version and other.overlaps(self._network)


def _numbers(prefix: str) -> tuple[int, int, int]:
    network = parse_prefix(prefix)
    return network.version, int(network.network_address), network.prefixlen
