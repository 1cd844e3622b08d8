"""All that is banned on a log, judged by what each firewall's enforcer said last: what `bans` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from banstream.enforced import HERE, Believed, Words, last_words
from banstream.reading import heartbeat, is_up
from banstream.show import counted, instant
from banstream.standings import StandingBan, bans_of, give_reasons, judge, standings
from eventlog.contract import EventLog
from eventlog.urls import is_shared

if TYPE_CHECKING:
    from banstream.heard import Heard


@dataclass(frozen=True, slots=True)
class Banned:
    """What is banned.

    Attributes:
        at_ms: as of when.
        bans: hold by hold, in the order in which they were decided.
        lines: each prefix's standing, as it is in the log.
        hosts: whose firewalls are meant; HERE for this machine.
        here: what this machine's enforcer is called.
        notes: what is to be said of all of it.
    """

    at_ms: int
    bans: Sequence[StandingBan]
    lines: dict[str, bytes]
    hosts: Sequence[str]
    here: str
    notes: list[str] = field(default_factory=list)

    def name(self, host: str) -> str:
        """What a host is called."""
        return self.here if host == HERE else host


def banned_in(log: EventLog, url: str, now_ms: int, *, reasons: bool = True) -> Banned:
    """Read what is banned; `reasons`: and what for. Raises Transient and LogError."""
    found = list(standings(log))
    bans = bans_of(each for _, each in found)
    lines = {each.prefix: line for line, each in found}
    wanted = {each.prefix: each.decided_at_ms for _, each in found}
    if is_shared(url):
        from banstream.enrolled import Vouchers, hosts_of
        from banstream.heard import heartbeats

        heard = heartbeats(log, now_ms, vouchers := Vouchers(hosts_of(log)))
        hosts, notes = sorted(heard), list(_of_hosts(heard, now_ms))
        believed = Believed({name for name, each in heard.items() if each.signed}, vouchers)
        here = ""
    else:
        hosts, believed = [HERE], Believed((), None)
        here, notes = _machine(log, url, now_ms)
    words = last_words(log, wanted, now_ms, hosts, believed)
    notes += _unchecked(words)
    judge(bans, words, hosts, now_ms)
    if reasons:
        give_reasons(log, bans)
    return Banned(now_ms, bans, lines, hosts, here, notes)


def _machine(log: EventLog, url: str, now_ms: int) -> tuple[str, list[str]]:
    """What this machine's enforcer is called, and what is to be said of it."""
    beat = heartbeat(log)
    name = "this machine" if beat is None else beat["enforcer"]["host"]
    if is_up(url, log, beat, now_ms):
        return name, []
    said = "has never run on this log" if beat is None else f"is not running since {instant(beat['at_ms'])}"
    warning = (
        f"WARNING: `banstream up` {said}: this is what its firewall was told last; nobody is banned or "
        "freed, and a restart of the machine empties it"
    )
    return name, [warning]


def _of_hosts(heard: dict[str, Heard], now_ms: int) -> list[str]:
    """What is to be said of a fleet's hosts."""
    if not heard:
        return ["WARNING: no enforcer was heard of within the last hour: nobody says what is in force"]
    return [
        f"WARNING: {name} is {state} since {instant(each.at_ms)}: what is said of it is what it said last"
        for name, each in sorted(heard.items())
        if (state := each.state(now_ms)) in {"silent", "stopped"}
    ]


def _unchecked(words: Words) -> list[str]:
    if not words.unchecked:
        return []
    count = counted(words.unchecked, "word")
    return [f"WARNING: the signatures of {count} of enforcers were not checked: there are too many"]
