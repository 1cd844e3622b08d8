"""What every firewall backend offers; one suite (tests/enforcers/test_contract.py) holds them all to it.

A backend holds elements: a prefix, the ports it is banned on, and how long it still lasts. It knows nothing
of decisions, holds or the log. Every verb is idempotent, and says what failed instead of raising for it: one
element that the firewall refuses never keeps the others out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

Side = Literal["listed", "spared"]
"""Whom lists name, and who passes all the same."""

Changed = Literal["no", "perhaps", "yes"]
"""Whether others have touched what is held."""


class Element(NamedTuple):
    """One ban as a firewall holds it; `prefix` and `ports` are its identity.

    A tuple, because a start makes one for every ban in force, and a tuple costs a third of a dataclass.

    Attributes:
        prefix: an address or prefix in canonical form.
        ports: the TCP and UDP destination ports it is limited to, ascending; empty for all traffic.
        remaining_ms: how long it still lasts, in milliseconds; None for ever.
    """

    prefix: str
    ports: tuple[int, ...] = ()
    remaining_ms: int | None = None


class Failure(NamedTuple):
    """An element that the firewall did not take or let go, and its own words about why."""

    element: Element
    reason: str


class Backend(Protocol):
    """One firewall."""

    @property
    def name(self) -> str:
        """What it is called in configuration and records."""
        ...

    def open(self) -> None:
        """Make ready to ban, leaving what is banned alone.

        Raises:
            EnforcementFailed: the firewall cannot be used at all, and why.
        """
        ...

    def ban(self, elements: Sequence[Element]) -> Sequence[Failure]:
        """Hold these elements, each for its remaining time from now; one already held gets that time anew."""
        ...

    def unban(self, elements: Sequence[Element]) -> Sequence[Failure]:
        """Let these elements go; one that is not held is no failure. `remaining_ms` is of no account."""
        ...

    def flush(self) -> None:
        """Let everything go and leave nothing behind; raises EnforcementFailed."""
        ...

    def close(self) -> None:
        """Let go of the firewall, not of the bans."""
        ...

    def list(self) -> Sequence[Element]:
        """What the firewall holds, in no order; makes its frame (chain, rules) right first where it is not.

        Raises:
            EnforcementFailed: the firewall cannot be read.
        """
        ...

    def filenos(self) -> Sequence[int]:
        """File descriptors that become readable when somebody may have changed the firewall."""
        ...

    def changed(self) -> bool:
        """Whether somebody else may have touched the bans since the last `list`. Never waits."""
        ...


class ListHolder(Protocol):
    """The part of a firewall that drops whom lists name, but nobody who is spared.

    Prefixes come by IP version and length, as the numbers that their first bits are. Every verb raises
    EnforcementFailed; what was in force then stays, as far as it was not changed already.
    """

    @property
    def chunk(self) -> int:
        """How many prefixes one call takes at most."""
        ...

    def holds(self, digest: str, keys: Iterable[tuple[Side, tuple[int, int]]]) -> bool:
        """Whether it holds, whole, what was finished under this digest."""
        ...

    def begin(self) -> None:
        """Begin with nothing, beside what is in force."""
        ...

    def unmark(self, digest: str) -> None:
        """What is in force under this digest is going to change."""
        ...

    def add(self, side: Side, key: tuple[int, int], heads: Sequence[int]) -> None:
        """Add prefixes."""
        ...

    def remove(self, side: Side, key: tuple[int, int], heads: Sequence[int]) -> None:
        """Remove prefixes."""
        ...

    def finish(self, digest: str) -> None:
        """What was begun is whole, and in force alone."""
        ...

    def drop(self) -> None:
        """Let everything go."""
        ...

    def changed(self) -> Changed:
        """Whether somebody else has touched it since it was asked last. Never waits."""
        ...


@runtime_checkable
class HoldsLists(Protocol):
    """A backend that can hold lists besides bans."""

    def lists(self) -> ListHolder:
        """What holds them; the backend is open."""
        ...
