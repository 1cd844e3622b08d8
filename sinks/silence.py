"""Hosts that fall silent: an enforcer tells how it is every ten seconds; who no longer does is told of, once.

The log's clock counts, not the host's. One that stopped cleanly is not silent. What was told is kept in the
log beside the sink's place, so that a restart tells nothing again; where a host is heard again and falls
silent again, that is told. Whoever may write enforcements may say a heartbeat in another's name: that a host
signs its own is looked at by `status --fleet`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from eventlog.contract import EventLog, Message
from eventlog.follower import located
from schemas.codec import encode
from schemas.records import Heartbeat
from schemas.topics import ENFORCEMENTS
from sinks.contract import Item
from sinks.identity import hashed
from sinks.selection import SILENT, Selection

QUIET_MS: Final = 120_000
"""Twelve heartbeats that did not come: whoever is woken by it shall have reason to."""
MOST_HOSTS: Final = 4_096
PAGE: Final = 256
BEAT: Final = b'"type":"heartbeat"'


class Silence:
    """What one sink has heard of hosts."""

    def __init__(self, log: str, selection: Selection, told: Mapping[str, int]) -> None:
        """`log`: its id; `told`: by host, the heartbeat after which its silence was told."""
        self._log = log
        self._selection = selection
        self._heard: OrderedDict[str, Heartbeat] = OrderedDict()
        self.told = dict(told)

    def read_back(self, log: EventLog, offset: int) -> None:
        """Hear what was said shortly before a place. Raises LogError and Transient."""
        before = log.read(ENFORCEMENTS.name, 0, max(offset - 1, 0), limit=1)
        if not before:
            return
        at = log.offset_at(ENFORCEMENTS.name, 0, before[0].at_ms - 2 * QUIET_MS)
        while at < offset and (page := log.read(ENFORCEMENTS.name, 0, at, limit=PAGE)):
            for message in page:
                if message.offset < offset:
                    self.hear(ENFORCEMENTS.name, message)
            at = page[-1].offset + 1

    def hear(self, topic: str, message: Message) -> None:
        """A message of the log, which may hold heartbeats."""
        if topic != ENFORCEMENTS.name or BEAT not in message.value:
            return
        for each in located(topic, message, BEAT):
            if isinstance(beat := each.record, Heartbeat):
                self._heard[beat.host] = replace(beat, at_ms=message.at_ms)
                self._heard.move_to_end(beat.host)
                if len(self._heard) > MOST_HOSTS:
                    self.told.pop(self._heard.popitem(last=False)[0], None)
                if self.told.get(beat.host, message.at_ms) < message.at_ms:
                    del self.told[beat.host]

    def items(self, now_ms: int) -> Iterator[Item]:
        """What is to be told now, by who has read the log to its end; each once."""
        for host, beat in self._heard.items():
            if now_ms - beat.at_ms <= QUIET_MS:
                continue
            if beat.stopped or host in self.told:
                continue
            self.told[host] = beat.at_ms
            if self._selection.takes(SILENT, beat):
                yield self._item(beat)

    def _item(self, beat: Heartbeat) -> Item:
        named = f"{self._log}-{hashed(f'silent/{beat.host}/{beat.at_ms}')}"
        record = replace(beat, at_ms=beat.at_ms + QUIET_MS)
        return Item(named, "", "enforcements", SILENT, "", self._log, record, encode(record))
