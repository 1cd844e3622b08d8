"""The newest copy of each list, and what is wrong with it: read beside the work, never within it.

A file is looked at each second, and read in a thread once its state has changed; an https list is fetched by
a thread of its own when it is due; names are asked by the resolver's threads. What cannot be read leaves the
copy of before as it is, and is told.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from banstream.lists.fetching import AsRead, fetch, read_file, state_of
from banstream.lists.formats import ListContent, Unusable, parse
from banstream.lists.wanted import FILE, HTTPS, NAME, Wanted
from producers.names import Names
from schemas.addresses import canonical_address
from schemas.rules import SELF

AGAIN_S: Final = 60.0
"""What could not be read is tried again after that, or when it is due: it may be its folder."""
OWN_S: Final = 60.0
UNKNOWN: Final = "has no address: the DNS does not know it, or does not answer"
KEPT: Final = "; what was known of it before stays"
OwnAddresses = Callable[[], Iterable[str]]


class Copy(Protocol):
    """What is known of one list."""

    @property
    def settled(self) -> bool:
        """What it holds is known, or that it cannot be known now."""
        ...

    def look(self, now_s: float) -> bool:
        """See to it that it is up to date; whether another copy is there. Never waits."""
        ...

    def prefixes(self) -> set[str]:
        """What it holds."""
        ...

    def pushed(self) -> None:
        """It is in the log."""
        ...

    def problems(self) -> Iterator[str]:
        """What is wrong with it, in a sentence each."""
        ...


class Resolved:
    """The addresses of host names, the last that were known of each."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[str, tuple[str, ...]] = {}
        self._failed: set[str] = set()

    def look(self, names: Iterable[str]) -> bool:
        """Ask for names; whether anything is known now that was not."""
        changed = False
        for name in names:
            answer = self._names.ask(name)
            if answer is None:
                continue
            if not answer:
                self._failed.add(name)
                self._known.setdefault(name, ())
                continue
            self._failed.discard(name)
            found = tuple(sorted(answer))
            changed = changed or self._known.get(name) != found
            self._known[name] = found
        return changed

    def asked(self, names: Iterable[str]) -> bool:
        """Whether there was an answer about each of these."""
        return self._known.keys() >= set(names)

    def of(self, names: Iterable[str]) -> set[str]:
        """The addresses of these."""
        return {address for name in names for address in self._known.get(name, ())}

    def failed(self, names: Iterable[str]) -> list[str]:
        """Those of these without an answer, sorted."""
        return sorted(self._failed.intersection(names))


def addresses_of(name: str) -> list[str]:
    """All addresses of a host, as the system resolves its name; none where it cannot."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return sorted({canonical_address(str(each[4][0])) for each in found})
    except (OSError, ValueError, UnicodeError):
        return []


class NameCopy:
    """A host name of an `ignoreip`."""

    def __init__(self, wanted: Wanted, names: Names) -> None:
        self._name = wanted.place.removeprefix(NAME)
        self._resolved = Resolved(names)

    @property
    def settled(self) -> bool:
        """Whether there was an answer."""
        return self._resolved.asked([self._name])

    def look(self, now_s: float) -> bool:
        """Ask for it."""
        del now_s
        return self._resolved.look([self._name])

    def prefixes(self) -> set[str]:
        """Its addresses."""
        return self._resolved.of([self._name])

    def pushed(self) -> None:
        """It stays known: a name that is not resolved any more keeps its addresses."""

    def problems(self) -> Iterator[str]:
        """Where it cannot be resolved."""
        for name in self._resolved.failed([self._name]):
            kept = KEPT if self.prefixes() else ""
            yield f"ignoreip: the host name {name} {UNKNOWN}{kept}"


class OwnCopy:
    """This machine's own addresses, and those of its host name."""

    def __init__(self, names: Names, own: OwnAddresses) -> None:
        self._own, self._resolved = own, Resolved(names)
        self._host = socket.gethostname()
        self._addresses: set[str] = set()
        self._due_s = 0.0

    @property
    def settled(self) -> bool:
        """The interfaces were looked at; a host name without a DNS holds nobody up."""
        return self._due_s > 0

    def look(self, now_s: float) -> bool:
        """Look at the interfaces, now and then."""
        changed = self._resolved.look([self._host])
        if now_s >= self._due_s:
            self._due_s = now_s + OWN_S
            own = set(self._own())
            changed = changed or own != self._addresses
            self._addresses = own
        return changed

    def prefixes(self) -> set[str]:
        """The addresses."""
        return self._addresses | self._resolved.of([self._host])

    def pushed(self) -> None:
        """It stays known."""

    def problems(self) -> Iterator[str]:
        """None: a host name without addresses is common."""
        return iter(())


class ReadCopy:
    """A list that is read in a thread: a file, or over https. At most one thread at a time."""

    def __init__(self, wanted: Wanted, names: Names) -> None:
        self._wanted = wanted
        self._resolved = Resolved(names)
        self._content = ListContent()
        self._trouble: str | None = None
        self._seen = AsRead()
        self._due_s = self._again_s = 0.0
        self._result: ListContent | Unusable | None = None
        self._thread: threading.Thread | None = None
        self._read_once = self._untold = False

    @property
    def settled(self) -> bool:
        """Whether it could be read, with an answer about each name in it, or could not be."""
        return self._trouble is not None or (self._read_once and self._resolved.asked(self._content.names))

    def look(self, now_s: float) -> bool:
        """Take what a thread has read, and start another where it is due."""
        self._untold = self._taken(now_s) or self._untold
        if self._thread is None and now_s >= self._due_s and self._is_due(now_s):
            self._thread = threading.Thread(target=self._read, name="list", daemon=True)
            self._thread.start()
        self._untold = self._resolved.look(self._content.names) or self._untold
        changed = self._untold and self._resolved.asked(self._content.names)
        self._untold = self._untold and not changed
        return changed

    def prefixes(self) -> set[str]:
        """What it holds, with the addresses of the names in it."""
        return self._content.prefixes | self._resolved.of(self._content.names)

    def pushed(self) -> None:
        """Nobody asks again what it holds, unless it changes: a million prefixes take a hundred megabytes."""
        if not self._content.names:
            self._content.prefixes = set()

    def problems(self) -> Iterator[str]:
        """Why it could not be read last, and what in it is none."""
        what = f"list {self._wanted.name.partition(':')[2]}"
        if self._trouble is not None:
            yield f"{what}: {self._trouble}{KEPT if self._read_once else ''}"
        for example in self._content.examples:
            yield f"{what}: {example}; it is left out"
        more = self._content.wrong - len(self._content.examples)
        if more > 0:
            yield f"{what}: {more} more entries are left out"
        for name in self._resolved.failed(self._content.names):
            yield f"{what}: the host name {name} {UNKNOWN}"

    def _taken(self, now_s: float) -> bool:
        if self._thread is None or self._thread.is_alive():
            return False
        self._thread, result, self._result = None, self._result, None
        remote = self._wanted.place.startswith(HTTPS)
        self._due_s = now_s + self._wanted.refresh_ms / 1_000 if remote else 0.0
        if isinstance(result, Unusable):
            self._trouble = str(result)
            self._due_s = min(self._due_s, now_s + AGAIN_S)
            self._again_s = now_s + AGAIN_S
            return False
        self._trouble = None
        if result is None:  # it has not changed
            return False
        self._content, self._read_once = result, True
        return True

    def _is_due(self, now_s: float) -> bool:
        """Of a file: whether its state is another than when it was read, or what was wrong may be right."""
        if self._wanted.place.startswith(HTTPS):
            return True
        seen, self._seen = self._seen, state_of(self._wanted.place.removeprefix(FILE))
        return seen != self._seen or (self._trouble is not None and now_s >= self._again_s)

    def _read(self) -> None:
        try:
            self._result = self._parsed()
        except Unusable as error:
            self._result = error
        except Exception as error:  # noqa: BLE001 - told, as a thread that just ends would look like no change
            self._result = Unusable(f"it cannot be read: {error!r:.120}")

    def _parsed(self) -> ListContent | None:
        wanted = self._wanted
        if not wanted.place.startswith(HTTPS):
            return parse(read_file(wanted.place.removeprefix(FILE), wanted.most_bytes), wanted)
        fetched = fetch(wanted.place, wanted.most_bytes, self._seen)
        if fetched is None:
            return None
        content = parse(fetched.data, wanted)
        if not content.prefixes:
            raise Unusable("it is empty")
        self._seen = fetched.seen
        return content


def copy_of(wanted: Wanted, names: Names, own: OwnAddresses) -> Copy:
    """What keeps a list up to date."""
    if wanted.place == SELF:
        return OwnCopy(names, own)
    return NameCopy(wanted, names) if wanted.place.startswith(NAME) else ReadCopy(wanted, names)
