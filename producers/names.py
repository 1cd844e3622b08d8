"""Host names in lines become addresses: asked for beside the work, never within it.

A line that names a host instead of an address waits, up to MOST_WAITING of them, until the name is resolved;
then it is an event of each address. What waits is stored with the position, so that a restart asks again.
Such an event's position is later than all before it: it is a stream of its own beside its source.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from schemas.addresses import canonical_address
from schemas.codec import AuthLine, changed, lines_from, wires_of
from schemas.errors import InvalidMessage

MOST_WAITING: Final = 1_024
MOST_KNOWN: Final = 4_096
FRESH_S: Final = 300.0
"""As long as fail2ban remembers an answer."""
THREADS: Final = 2
TOO_MANY: Final = "more host names than can wait for the DNS; their lines are no events"
LOST: Final = "events that waited for the DNS were kept by another version, and cannot be read"
UNKNOWN: Final = "a host name that has no address; its line is no event"
RESOLVED: Final = "host names instead of addresses; whoever owns a name's zone chooses whom it bans"

LookUp = Callable[[str], Sequence[str]]


def addresses_of(name: str) -> list[str]:
    """A host's addresses, as the system resolves its name; none when it has none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(canonical_address(str(each[4][0])) for each in found))
    except (OSError, ValueError):
        return []


class Names:
    """Asks for names in threads of its own, and remembers the answers for FRESH_S."""

    def __init__(self, look_up: LookUp = addresses_of) -> None:
        self._look_up = look_up
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._pending: set[str] = set()
        self._known: dict[str, tuple[float, Sequence[str]]] = {}
        self._threads = 0
        self._lock = threading.Lock()

    def ask(self, name: str) -> Sequence[str] | None:
        """A name's addresses; None while nobody knows, and somebody is asked."""
        at_s, addresses = self._known.get(name, (0.0, None))
        if addresses is not None and time.monotonic() - at_s < FRESH_S:
            return addresses
        if name not in self._pending:
            self._pending.add(name)
            self._asked.put(name)
            if self._threads < THREADS:
                threading.Thread(target=self._work, name="names", daemon=True).start()
                self._threads += 1
        return None

    def _work(self) -> None:
        while True:
            name = self._asked.get()
            addresses = self._answer(name)
            with self._lock:
                while len(self._known) >= MOST_KNOWN:
                    del self._known[next(iter(self._known))]
                self._known[name] = time.monotonic(), addresses
            self._pending.discard(name)

    def _answer(self, name: str) -> Sequence[str]:
        try:
            return self._look_up(name)
        except Exception:  # noqa: BLE001 - a thread that ended would leave every later name without an answer
            return []


class Waiting:
    """The events of one source that wait for the addresses of their hosts."""

    def __init__(self, names: Names, saved: Mapping[str, Any]) -> None:
        self._names = names
        self._last = int(saved.get("last", 0))
        self.counts: Counter[str] = Counter()
        self._events: list[AuthLine] = []
        try:
            self._events = lines_from(saved.get("waiting", []))
        except InvalidMessage as error:
            self.counts[f"{LOST}: {error}"] += len(saved["waiting"])

    def add(self, events: Sequence[AuthLine]) -> None:
        """Events whose `ip` is a host's name."""
        room = MOST_WAITING - len(self._events)
        self._events += events[:room]
        if len(events) > room:
            self.counts[TOO_MANY] += len(events) - room

    def due(self, now_ms: int) -> list[AuthLine]:
        """The events whose names have been resolved, one for each address; they wait no longer."""
        found: list[AuthLine] = []
        left: list[AuthLine] = []
        for event in self._events:
            addresses = self._names.ask(event.ip)
            if addresses is None:
                left.append(event)
                continue
            self.counts[RESOLVED if addresses else UNKNOWN] += 1
            found += (self._event(event, address, now_ms) for address in addresses)
        self._events = left
        return found

    def save(self) -> dict[str, Any]:
        """What waits, as JSON; empty when nothing ever did."""
        return {"waiting": wires_of(self._events), "last": self._last} if self._last or self._events else {}

    def __len__(self) -> int:
        return len(self._events)

    def _event(self, event: AuthLine, address: str, now_ms: int) -> AuthLine:
        self._last = max(self._last + 1, now_ms * 1_000)
        incarnation = f"{event.incarnation}/names"
        return changed(event, ip=address, incarnation=incarnation, position=self._last)
