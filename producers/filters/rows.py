"""What a filter finds, as rows: on the hot path a tuple is a third of the price of an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from producers.filters.entries import Entry
from producers.stamps import LineClock, Stamps

Fields = Mapping[str, str]
EventRow = tuple[str, int, str, int, int, str | None, int | None, str | None, bool, int, Fields | None]
"""(kind, at_ms, ip, start, end, user, port, host, skewed, nth, fields)

`start` and `end` bound the line in the data, `end` past its newline. `nth` counts the events of one line
from 0 (a "message repeated 5 times" has five): the event's position is the line's plus `nth`. `fields` is
what else the filter captured. `ip` is a canonical address; where the line names none, it is what it does
name, and `fields` holds the same text as `dns` (a host name) or `fid` (another id).
"""

KIND, AT_MS, IP, START, END, USER, PORT, HOST, SKEWED, NTH, FIELDS = range(11)


class Needle(NamedTuple):
    """A text that a line may hold. `caseless`: ASCII letters of either case are the same."""

    text: bytes
    caseless: bool = False


Needles = frozenset[Needle]
"""Every line that interests a filter holds at least one of these; no needle is empty or has a newline."""


def contains(text: bytes, needles: Needles) -> bool:
    """Whether a text holds at least one of the needles."""
    exact, caseless = _texts_of(needles)
    for each in exact:
        if each in text:
            return True
    if caseless:
        lowered = text.lower()
        for each in caseless:
            if each in lowered:
                return True
    return False


@lru_cache(maxsize=4_096)
def _texts_of(needles: Needles) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The texts of needles whose case counts, and of the others."""
    exact = tuple(sorted(each.text for each in needles if not each.caseless))
    return exact, tuple(sorted(each.text for each in needles if each.caseless))


class EntryMatcher(Protocol):
    """A matcher that is handed one line after the other, already out of its envelopes."""

    def begin(self, clock: LineClock) -> None:
        """The clock for the entries that follow."""
        ...

    def take(self, entry: Entry, start: int, end: int) -> list[EventRow]:
        """The events of one entry, which is the line from `start` to `end`."""
        ...

    def skipped(self, line: bytes) -> None:
        """A line took too long, and is left out."""
        ...


class Matcher(Protocol):
    """A filter at work on one stream of lines. It remembers what the next lines need."""

    @property
    def by_entry(self) -> EntryMatcher | None:
        """Itself, for lines that several filters look at one after the other; None: it reads buffers."""
        ...

    def scan(self, data: bytes, clock: LineClock, starts: Sequence[int] | None = None) -> list[EventRow]:
        """The events in whole lines, in order. How the stream is cut into buffers makes no difference.

        `starts`: where the lines that hold a needle of its filter start, ascending, each once; None when
        nobody has looked. The same rows come either way.
        """
        ...

    def save(self) -> Mapping[str, Any]:
        """What it remembers, as JSON, to be stored with the position in the stream."""
        ...

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called. Raises InvalidMessage when it is no such state."""
        ...

    def notices(self) -> Mapping[str, int]:
        """What was seen and gave no event: a sentence, and how often."""
        ...


class Filter(Protocol):
    """How lines of one kind of service become events."""

    @property
    def name(self) -> str:
        """The name a jail asks for it by."""
        ...

    @property
    def version(self) -> str:
        """A hash of its text: it changes when its results may."""
        ...

    @property
    def service(self) -> str:
        """The service its events are about."""
        ...

    @property
    def needles(self) -> Needles | None:
        """What its lines hold; None when any line may interest it, or it finds its lines itself."""
        ...

    @property
    def sources(self) -> Sequence[str]:
        """Where its lines usually are, as sources' specs."""
        ...

    @property
    def usedns(self) -> bool:
        """Whether the host names that its lines hold become addresses, unless its jail says."""
        ...

    def warnings(self) -> list[str]:
        """What a person should know who uses it nevertheless, a sentence each."""
        ...

    def taken(self, line: bytes) -> tuple[str, Mapping[str, str]] | None:
        """Which of its patterns takes a line by itself, and what it captures; None: none is known."""
        ...

    def is_near(self, line: bytes) -> bool:
        """Whether a line holds something of its, or is of a program of its."""
        ...

    def nearness(self, line: bytes) -> int:
        """How like its lines a line is: of several filters, the likeliest has the most."""
        ...

    def reason(self, line: bytes) -> str:
        """What keeps it from taking a line."""
        ...

    def matcher(self, stamps: Stamps | None = None) -> Matcher:
        """A matcher for one stream, remembering nothing yet; `stamps` reads its times, by default locally."""
        ...
