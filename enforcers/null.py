"""The firewall that only observes: it remembers what it was told, and drops no packet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from enforcers.contract import Element, Failure


class NullBackend:
    """Keeps elements and their ends in memory; `clock` gives seconds and never goes back."""

    name = "null"

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._ends: dict[tuple[str, tuple[int, ...]], float | None] = {}

    def open(self) -> None:
        """Nothing to make ready."""

    def ban(self, elements: Sequence[Element]) -> Sequence[Failure]:
        """Remember these elements."""
        now = self._clock()
        for prefix, ports, remaining_ms in elements:
            self._ends[prefix, ports] = None if remaining_ms is None else now + remaining_ms / 1_000
        return ()

    def unban(self, elements: Sequence[Element]) -> Sequence[Failure]:
        """Forget these elements."""
        for prefix, ports, _ in elements:
            self._ends.pop((prefix, ports), None)
        return ()

    def flush(self) -> None:
        """Forget everything."""
        self._ends.clear()

    def close(self) -> None:
        """Nothing to let go of."""

    def list(self) -> Sequence[Element]:
        """What was banned and has not ended."""
        now = self._clock()
        ended = [key for key, end in self._ends.items() if end is not None and end <= now]
        for key in ended:
            del self._ends[key]
        return [
            Element(prefix, ports, None if end is None else max(1, round((end - now) * 1_000)))
            for (prefix, ports), end in self._ends.items()
        ]

    def filenos(self) -> Sequence[int]:
        """None: nobody else can change it."""
        return ()

    def changed(self) -> bool:
        """Never."""
        return False


def opened(_table: str) -> NullBackend:
    """One that is ready, whatever the name."""
    return NullBackend()
