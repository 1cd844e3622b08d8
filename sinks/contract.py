"""What a sink is made of: items, formats that write them, transports that hand them to a receiver.

A transport answers for each item: taken, again later, or hopeless (it goes to the dead letters with what the
receiver said). What it raises is of the whole batch: Transient, and all of it is tried again. Every item has
an id that is the same whenever it is sent, so a receiver can drop what comes twice.

| an entry point of | names | which offers |
|---|---|---|
| `banstream.formats` | `json` | a FormatKind |
| `banstream.transports` | the scheme of `to`: `file`, `https` | a TransportKind |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, Protocol

from schemas.codec import AuthLine
from schemas.records import Record

What = Literal["events", "decisions", "enforcements", "commands"]
OptionKind = Literal["text", "texts", "flag", "whole", "duration", "file", "labels", "size"]


@dataclass(frozen=True, slots=True)
class Option:
    """A key of `[sink.NAME]` that a format or a transport has.

    Attributes:
        kind: how its value is read; `duration` is in milliseconds, `size` in bytes.
        default: its value where it is not there.
        choices: of a text, the only ones.
    """

    kind: OptionKind
    default: Any = None
    choices: tuple[str, ...] = ()


Options = Mapping[str, Any]
"""The values of a format's or a transport's keys, defaults filled in."""


class Background(NamedTuple):
    """What a ban's evidence says, for who does not have it: of so many failures, and no more.

    Attributes:
        first_at_ms: of the first failure that decided it.
        users, services, hosts, filters, countries: of those, each once.
        lines: as they stood in the log.
        technique: of ATT&CK, that most of them are a sign of; empty where none.
    """

    first_at_ms: int | None = None
    users: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    technique: str = ""


NOTHING_KNOWN: Final = Background()


class Item(NamedTuple):
    """One record on its way out.

    Attributes:
        id: the same whenever it is sent, whichever sink sends it; 40 characters at most.
        ref: where it stands in the log: partition-offset-index of its topic.
        what: which of the log's topics it is from.
        happening: in a word: `failed`, `ban`, `enforcement failed`.
        key: whom it is about, an address or prefix: their order is kept.
        log: the id of the log.
        record: it itself; `raw`: as it stands in the log.
        background: of a ban, what its evidence says.
        sample: it is no real one: somebody tries the sink.
        technique: of ATT&CK, that an event is a sign of; empty where none fits.
    """

    id: str
    ref: str
    what: What
    happening: str
    key: str
    log: str
    record: Record | AuthLine
    raw: bytes
    background: Background = NOTHING_KNOWN
    sample: bool = False
    technique: str = ""


class Sending(NamedTuple):
    """An item and its bytes."""

    item: Item
    body: bytes


class Reception(Enum):
    """What became of an item."""

    TAKEN = "taken"
    AGAIN = "again"
    HOPELESS = "hopeless"


class SinkAnswer(NamedTuple):
    """What a receiver says of an item.

    Attributes:
        said: in its own words, where it is not taken.
        after_ms: of one that is to be sent again, when at the earliest.
    """

    reception: Reception
    said: str = ""
    after_ms: int = 0


TAKEN: Final = SinkAnswer(Reception.TAKEN)


class Transport(Protocol):
    """The way to one receiver. One thread uses it."""

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Hand a batch over; an answer for each item, in order. It connects where it has to.

        Of one that can be handed over only in parts: answers for the first part, one item at least.

        Raises Transient: nothing is known of any of it; all of it is tried again.
        """
        ...

    def close(self) -> None:
        """Let go. Idempotent; a later `send` begins anew."""
        ...


@dataclass(frozen=True, slots=True)
class SentBy:
    """Who sends.

    Attributes:
        version: of banstream.
        host: this machine's name.
        name: the sink's.
    """

    version: str
    host: str
    name: str


class Parcel(NamedTuple):
    """What a transport has to know of what it carries.

    Attributes:
        content_type: as HTTP has it.
        header: the first line of a file of it; empty where there is none.
        format: the format's name.
    """

    content_type: str
    header: bytes
    format: str


Writing = Callable[[Item], bytes]


def nothing_wrong(_: str, __: Options) -> str | None:
    """No objection."""
    return None


@dataclass(frozen=True, slots=True)
class FormatKind:
    """A format.

    Attributes:
        writer: for who sends, and the values of `options`, the function from an item to its bytes.
        header: the first line of a file of it.
    """

    writer: Callable[[SentBy, Options], Writing]
    content_type: str = "text/plain"
    header: bytes = b""
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TransportKind:
    """A way to receivers.

    Attributes:
        opened: for the value of `to` and those of `options`, a transport; nothing is connected yet.
        doubt: what is wrong with `to` or the options; None: nothing.
        format: the usual one.
        on: the happenings that it usually carries; none: all.
        most: items in one batch at most.
        every_ms: batches come no closer together, and hold all that came meanwhile.
    """

    opened: Callable[[str, Options, Parcel, SentBy], Transport]
    options: Mapping[str, Option] = field(default_factory=dict)
    doubt: Callable[[str, Options], str | None] = nothing_wrong
    format: str = "json"
    on: tuple[str, ...] = ()
    most: int = 1_000
    every_ms: int = 0
