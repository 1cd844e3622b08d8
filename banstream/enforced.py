"""What each host's enforcer said last of the prefixes that are banned: read from the end of the log.

Every word is there once, whenever it was; so the reading goes back until every prefix has its word of every
host, and no further than MOST_READ. A ban that no host has a word of within what was read was decided long
ago, or is so new that nobody has taken it up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from banstream.backwards import pages_back
from eventlog.contract import EventLog, Message
from schemas.codec import EnforcementLine, decode, lines_of
from schemas.errors import InvalidMessage
from schemas.records import Enforcement, EnforcementVerb, Outcome
from schemas.topics import ENFORCEMENTS

if TYPE_CHECKING:
    from banstream.enrolled import Vouchers

HERE: Final = ""
"""The one host of a log that is a machine's own, whatever it was called when."""
MOST_READ: Final = 1_000_000
MOST_READ_SHARED: Final = 100_000
"""Words and messages; the heartbeats of a fleet are among them, and a broker takes ten times as long."""
MANY: Final = 4_096
BEYOND: Final = 50_000
"""So many are read beyond the instant at which the oldest ban was decided: a ban that was made longer
changes nothing in a firewall that holds it longer still, and nobody says it again."""
LATE_MS: Final = 300_000
MOST_CHECKED: Final = 5_000
"""Signatures: 0.16 ms each."""

_line: Final = msgspec.json.Decoder(EnforcementLine).decode


class LastWord(NamedTuple):
    """What a host's enforcer said of a prefix."""

    host: str
    verb: EnforcementVerb
    outcome: Outcome
    detail: str | None
    at_ms: int


@dataclass(slots=True)
class Words:
    """What was read.

    Attributes:
        of: by prefix and host.
        since_ms: back to which instant was read; None: to the first that was ever written.
        unchecked: words whose signature was not looked at, because there were too many.
    """

    of: dict[str, dict[str, LastWord]] = field(default_factory=dict)
    since_ms: int | None = None
    unchecked: int = 0


class Believed:
    """Whose words are believed: of a host that signs, those that it signed."""

    def __init__(self, signing: Collection[str], vouchers: Vouchers | None) -> None:
        self._signing = signing
        self._vouchers = vouchers
        self._message: Message | None = None
        self._author: str | None = None
        self._left = MOST_CHECKED
        self.unchecked = 0

    def __call__(self, host: str, message: Message) -> bool:
        """Whether a message's word of a host counts."""
        if self._vouchers is None or host not in self._signing:
            return True
        if self._left == 0:
            self.unchecked += 1
            return f"{message.key}".startswith(f"{host}@")
        if message is not self._message:
            self._left -= 1
            self._message, self._author = message, self._vouchers.author(message)
        return self._author == host


def last_words(
    log: EventLog, wanted: Mapping[str, int], now_ms: int, hosts: Collection[str], believed: Believed
) -> Words:
    """The newest word of each of these hosts on each prefix.

    Args:
        log: the log.
        wanted: the prefixes, and when each was decided.
        now_ms: by this machine's clock.
        hosts: whose words count; HERE alone: anybody's, as the one host's.
        believed: which do.
    """
    words = Words()
    own = HERE in hosts
    missing, read, most = len(wanted) * len(hosts), 0, MOST_READ if own else MOST_READ_SHARED
    oldest_ms = min(wanted.values(), default=0) - LATE_MS
    if log.begin(ENFORCEMENTS.name):
        words.since_ms = now_ms
    for message in pages_back(log, (ENFORCEMENTS.name, 0), most=MANY):
        if words.since_ms is not None:
            words.since_ms = message.at_ms
        if missing == 0 or read > most or (read > BEYOND and message.at_ms < oldest_ms):
            words.since_ms = message.at_ms
            break
        read += 1
        for word in _words(message):
            read += 1
            host = HERE if own else word.host
            known = words.of.setdefault(word.prefix, {}) if word.prefix in wanted else None
            if known is not None and host not in known and host in hosts and believed(host, message):
                known[host] = LastWord(word.host, word.verb, word.outcome, word.detail, word.at_ms)
                missing -= 1
    words.unchecked = believed.unchecked
    return words


def _words(message: Message) -> Iterator[EnforcementLine | Enforcement]:
    """The enforcements of a message, the last first; a line that holds none is passed over."""
    if b'"type":"enforcement"' not in message.value:
        return
    try:
        lines = lines_of(message.value)
    except InvalidMessage:
        return
    for line in reversed(lines):
        try:
            yield _line(line)
        except msgspec.DecodeError:
            try:
                record = decode(line)
            except InvalidMessage:
                continue
            if isinstance(record, Enforcement):
                yield record
