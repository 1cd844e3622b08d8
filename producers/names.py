"""Host names in lines become addresses, where `usedns` says so: asked for beside the work, never within it.

A line that names a host instead of an address waits, up to MOST_WAITING of them, until the name is resolved.
Whoever owns a name's zone says what it resolves to, so an answer counts only where it is one address, and
that address leads back to the name (as sshd's UseDNS asks). Of one domain MOST_OF_A_DOMAIN events wait, and
one question is asked at a time, so that nobody's slow name servers hold up another's. What waits is stored
with the position, so that a restart asks again. Such an event's position is later than all before it: it is
a stream of its own beside its source.
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
MOST_OF_A_DOMAIN: Final = 64
MOST_KNOWN: Final = 4_096
FRESH_S: Final = 300.0
"""As long as fail2ban remembers an answer."""
THREADS: Final = 4
TOO_MANY: Final = "more host names than can wait for the DNS; their lines are no events"
LOST: Final = "events that waited for the DNS were kept by another version, and cannot be read"
OF_ONE_DOMAIN: Final = "host names of one domain, beyond what may wait of one; their lines are no events"
UNKNOWN: Final = "a host name that has no address of its own, which leads back to it; its line is no event"
RESOLVED: Final = "host names instead of addresses, resolved as usedns says"

SECOND_LEVELS: Final = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "ne", "net", "or", "org"})
"""Below a country's top level these are no domains of somebody's."""

LookUp = Callable[[str], Sequence[str]]


def addresses_of(name: str) -> list[str]:
    """A host's only address, as the system resolves its name, if it leads back to the name; else none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        addresses = {canonical_address(str(each[4][0])) for each in found}
        if len(addresses) != 1:
            return []
        host, aliases, _ = socket.gethostbyaddr(*addresses)
    except (OSError, ValueError):
        return []
    return list(addresses) if _plain(name) in map(_plain, (host, *aliases)) else []


def domain_of(name: str) -> str:
    """Whose a name is: its last two labels, or three where these are a country's second level (`co.uk`)."""
    labels = _plain(name).split(".")
    if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in SECOND_LEVELS:  # noqa: PLR2004 - labels
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


class Names:
    """Asks for names in threads of its own, and remembers the answers for FRESH_S."""

    def __init__(self, look_up: LookUp = addresses_of, failed_s: float = FRESH_S) -> None:
        """Ask by `look_up`; `failed_s`: how long a name without addresses is not asked for again."""
        self._look_up = look_up
        self._failed_s = failed_s
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._pending: set[str] = set()
        """The domains that are asked for a name."""
        self._known: dict[str, tuple[float, Sequence[str]]] = {}
        self._threads = 0
        self._lock = threading.Lock()

    def ask(self, name: str) -> Sequence[str] | None:
        """A name's addresses; None while nobody knows, and somebody is asked."""
        at_s, addresses = self._known.get(name, (0.0, None))
        if addresses is not None and time.monotonic() - at_s < (FRESH_S if addresses else self._failed_s):
            return addresses
        domain = domain_of(name)
        if domain not in self._pending:
            self._pending.add(domain)
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
            self._pending.discard(domain_of(name))

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
        self._domains: Counter[str] = Counter()
        try:
            self.add(lines_from(saved.get("waiting", [])))
        except InvalidMessage as error:
            self.counts[f"{LOST}: {error}"] += len(saved["waiting"])

    def add(self, events: Sequence[AuthLine]) -> None:
        """Events whose `ip` is a host's name."""
        for event in events:
            domain = domain_of(event.ip)
            if len(self._events) >= MOST_WAITING:
                self.counts[TOO_MANY] += 1
            elif self._domains[domain] >= MOST_OF_A_DOMAIN:
                self.counts[OF_ONE_DOMAIN] += 1
            else:
                self._domains[domain] += 1
                self._events.append(event)

    def due(self, now_ms: int) -> list[AuthLine]:
        """The events whose names have been resolved, one for each address; they wait no longer."""
        found: list[AuthLine] = []
        left: list[AuthLine] = []
        for event in self._events:
            addresses = self._names.ask(event.ip)
            if addresses is None:
                left.append(event)
                continue
            self._let_go(domain_of(event.ip))
            self.counts[RESOLVED if addresses else UNKNOWN] += 1
            found += (self._event(event, address, now_ms) for address in addresses)
        self._events = left
        return found

    def _let_go(self, domain: str) -> None:
        self._domains[domain] -= 1
        if not self._domains[domain]:
            del self._domains[domain]

    def save(self) -> dict[str, Any]:
        """What waits, as JSON; empty when nothing ever did."""
        return {"waiting": wires_of(self._events), "last": self._last} if self._last or self._events else {}

    def __len__(self) -> int:
        return len(self._events)

    def _event(self, event: AuthLine, address: str, now_ms: int) -> AuthLine:
        self._last = max(self._last + 1, now_ms * 1_000)
        incarnation = f"{event.incarnation}/names"
        return changed(event, ip=address, incarnation=incarnation, position=self._last)
