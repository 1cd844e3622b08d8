"""The nftables firewall, in process through libnftables: one table of hash sets, and a rule for each.

The chain hooks prerouting at priority -310: after fragments are put together (-400), before iptables' raw
table (-300), connection tracking (-200) and address translation (-100). So a banned source costs no
conntrack entry, its established connections are cut too, traffic forwarded to containers and other hosts is
covered, and the source is seen as it came in.

Elements carry the kernel's own timeouts: a ban ends even when nobody is there to end it. Batches go in
chunks of one transaction each, because libnftables needs 500 bytes an element while it works.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from enforcers import layout
from enforcers.contract import Changed, Element, Failure
from enforcers.generation import Watch
from enforcers.list_sets import NftablesLists, tables_of
from schemas.errors import EnforcementFailed

CHUNK: Final = 2_048
HOPELESS: Final = 16
"""After so many elements of a chunk failed one by one, it is the firewall that fails, not the elements."""
LARGE: Final = 64
"""From here on a batch is worth an optimistic try, and the watch is better off without its messages."""
LARGE_TEXT: Final = 1 << 18
"""A listing of so many characters, some thousand elements, is worth making room after it."""
PRIORITY: Final = -310
CAP_NET_ADMIN: Final = 12
NO_RIGHT: Final = "nftables needs root or CAP_NET_ADMIN; run it with sudo, or as a system service"
TABLE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII).fullmatch

Texts = dict[str, list[str]]
Failures = list[Failure]
Write = Callable[[Texts], str]


class Library(Protocol):
    """What is used of the module `nftables`."""

    def cmd(self, cmdline: bytes) -> tuple[int, bytes, bytes]:
        """Run commands as one transaction; the status, the output, the errors."""
        ...


class NftablesBackend:
    """Holds bans in `table inet NAME` of the network namespace it is opened in."""

    name = "nftables"

    def __init__(self, table: str = "banstream", priority: int = PRIORITY) -> None:
        """Nothing is touched before `open`; EnforcementFailed when the table's name is none."""
        if TABLE_NAME(table) is None:
            raise EnforcementFailed(f"a table's name is up to 64 letters, digits and _, not {table!r}")
        self._table = table
        self._priority = priority
        self._library: Library | None = None
        self._watch: Watch | None = None
        self._sets: set[str] = set()

    def open(self) -> None:
        """Load the library and make the table and its chain."""
        if self._library is None:
            self._library = _load()
        if self._watch is None:
            self._watch = Watch(self._table, *tables_of(self._table))
        self._lay(layout.frame(self._table, self._priority))

    def ban(self, elements: Sequence[Element]) -> Sequence[Failure]:
        """Add elements; those already there are replaced, which gives them their time anew."""
        hopes = (self._replaced,) if len(elements) < LARGE else (self._created, self._replaced)
        return self._apply(elements, hopes)

    def unban(self, elements: Sequence[Element]) -> Sequence[Failure]:
        """Delete elements, whether they are there or not."""
        return self._apply([element._replace(remaining_ms=None) for element in elements], (self._deleted,))

    def flush(self) -> None:
        """Delete the whole table, and those of lists."""
        self._clear(self._table, *tables_of(self._table))

    def _clear(self, *tables: str) -> None:
        self._run("".join(f"add table inet {table}\ndelete table inet {table}\n" for table in tables))
        self._sets.clear()

    def close(self) -> None:
        """Let go of the library and the watch; the table stays."""
        if self._watch is not None:
            self._watch.close()
        self._watch = self._library = None

    def list(self) -> Sequence[Element]:
        """Read the table, and lay its chain and rules anew where somebody changed them."""
        if self._watch is not None:
            self._watch.restart()
        try:
            text = self._run(f"list table inet {self._table}\n", commits=False)
            if len(text) > LARGE_TEXT:
                self._slim()
            listing = layout.parse(text)
        except EnforcementFailed:
            listing = layout.Listing({}, None)
        self._sets = set(listing.sets)
        right = listing.looked_up is not None and set(listing.looked_up) == self._sets
        if not right and not self._lay(layout.whole(self._table, self._priority, self._sets)):
            return ()
        return [element for held in listing.sets.values() for element in held]

    def filenos(self) -> Sequence[int]:
        """The watch on the kernel's multicast."""
        return () if self._watch is None else (self._watch.fileno(),)

    def changed(self) -> bool:
        """Whether others touched the table."""
        return self._watch is not None and self._watch.changed()

    def lists(self) -> NftablesLists:
        """What holds lists, in tables of their own."""

        def changed() -> Changed:
            return "no" if self._watch is None else self._watch.more_changed()

        def run(commands: str) -> str:
            with self._quiet(LARGE):
                return self._run(commands)

        return NftablesLists(run, self._table, self._priority, changed)

    def _lay(self, commands: str) -> bool:
        """Run them; where something of the same name is in the way, clear the table first: False then."""
        try:
            self._run(commands)
        except EnforcementFailed:
            self._clear(self._table)
            self._run(layout.frame(self._table, self._priority))
            return False
        return True

    def _created(self, texts: Texts) -> str:
        """A third of the work of replacing, but it fails where there is an element already."""
        return self._each("create", texts)

    def _replaced(self, texts: Texts) -> str:
        # An old kernel leaves the timeout of an element it has as it is, a new one changes it, and deleting
        # what is absent fails: adding, deleting and adding again means the same on all of them.
        bare = {name: [text.partition(" ")[0] for text in items] for name, items in texts.items()}
        return self._deleted(bare) + self._each("add", texts)

    def _deleted(self, texts: Texts) -> str:
        return self._each("add", texts) + self._each("delete", texts)

    def _each(self, verb: str, texts: Texts) -> str:
        return "".join(layout.elements(verb, self._table, name, items) for name, items in texts.items())

    def _apply(self, elements: Sequence[Element], hopes: Sequence[Write]) -> Failures:
        failures: Failures = []
        with self._quiet(len(elements)):
            for start in range(0, len(elements), CHUNK):
                chunk = elements[start : start + CHUNK]
                misplaced: Failures = []
                texts = _texts(chunk, misplaced)
                if texts and not any(self._succeeds(texts, write) for write in hopes):
                    without = {failure.element for failure in misplaced}
                    placed = [element for element in chunk if element not in without]
                    failures += self._divide(placed, hopes[-1], [])
                failures += misplaced
        return failures

    def _quiet(self, count: int) -> contextlib.AbstractContextManager[None]:
        return self._watch.quiet() if self._watch and count >= LARGE else contextlib.nullcontext()

    def _succeeds(self, texts: Texts, write: Write) -> bool:
        missing = sorted(texts.keys() - self._sets)
        sets = "".join(
            layout.declaration(self._table, name) + layout.rule(self._table, name) for name in missing
        )
        try:
            self._run(sets + write(texts))
        except EnforcementFailed:
            return False
        self._sets |= texts.keys()
        return True

    def _divide(self, elements: Sequence[Element], write: Write, failed: Failures) -> Failures:
        """Lay the frame anew and write all of it, or halves, down to the elements that fail by themselves."""
        texts = _texts(elements, failed)
        names = self._sets | texts.keys()
        try:
            self._run(layout.whole(self._table, self._priority, names) + write(texts))
            self._sets = names
        except EnforcementFailed as error:
            if len(elements) == 1 or len(failed) >= HOPELESS:
                failed += [Failure(element, str(error)) for element in elements]
            else:
                half = len(elements) // 2
                self._divide(elements[:half], write, failed)
                self._divide(elements[half:], write, failed)
        return failed

    def _slim(self) -> None:
        """Free what libnftables keeps of a table that it has listed: 500 bytes an element, until it ends."""
        self._library = _load()
        with contextlib.suppress(AttributeError):  # glibc alone keeps what was freed in small pieces
            ctypes.CDLL(None).malloc_trim(0)

    def _run(self, commands: str, *, commits: bool = True) -> str:
        if self._library is None:
            raise EnforcementFailed("nftables is not open")
        status, output, errors = self._library.cmd(commands.encode("ascii"))
        if status != 0:
            raise EnforcementFailed(errors.decode(errors="replace").partition("\n")[0] or f"status {status}")
        if commits and self._watch is not None:
            self._watch.committed()
        return output.decode("ascii", errors="replace")


def _texts(elements: Sequence[Element], failures: Failures) -> Texts:
    """The elements as nft writes them, by their sets' names; those without a place join the failures."""
    texts: Texts = {}
    for element in elements:
        try:
            name, address = layout.place(element)
        except EnforcementFailed as error:
            failures.append(Failure(element, str(error)))
            continue
        text = address + layout.timeout(element[2])
        if name in texts:
            texts[name].append(text)
        else:
            texts[name] = [text]
    return texts


def _load() -> Library:
    try:
        import nftables  # noqa: PLC0415 - an extra: absent, everything but this backend still works

        library: Library = nftables.Nftables()
    except ImportError as error:
        raise EnforcementFailed(f"the Python module nftables cannot be loaded: {error}") from error
    except OSError as error:
        raise EnforcementFailed(f"libnftables cannot be loaded: {error}") from error
    return library


def opened(table: str) -> NftablesBackend:
    """The firewall, ready; EnforcementFailed where it cannot be used, with what to do about it."""
    if not _may_administer():
        raise EnforcementFailed(NO_RIGHT)
    backend = NftablesBackend(table)
    try:
        backend.open()
    except EnforcementFailed as error:
        raise EnforcementFailed(f"{error}; {_advice(str(error))}") from error
    return backend


def _advice(reason: str) -> str:
    if "Python module" in reason:
        return "install the extra: pip install 'banstream[nftables]'"
    if "libnftables" in reason:
        return "install the system's libnftables (Debian: apt install libnftables1)"
    return "check that this kernel has nf_tables, and that `nft list ruleset` works here"


def _may_administer() -> bool:
    """Whether this process has CAP_NET_ADMIN in effect, by proc_pid_status(5)."""
    status = Path("/proc/thread-self/status").read_bytes()
    effective = status.partition(b"CapEff:")[2].split(maxsplit=1)[0]
    return bool(int(effective, 16) >> CAP_NET_ADMIN & 1)
