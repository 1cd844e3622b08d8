"""Code of their own for services whose lines mean something only together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from producers.filters.rows import Matcher
from producers.filters.sshd_matcher import SshdMatcher
from producers.stamps import Stamps


@dataclass(frozen=True, slots=True)
class Engine:
    """Code of its own for a service whose lines mean something only together.

    Attributes:
        matcher: makes one for a stream.
        modules: the files that its results follow from.
    """

    matcher: Callable[[Stamps | None], Matcher]
    modules: tuple[str, ...]


ENGINES: Final = {
    "sshd": Engine(
        SshdMatcher,
        (
            "sshd.py",
            "sshd_forms.py",
            "sshd_matcher.py",
            "connections.py",
            "entries.py",
            "headers.py",
            "memory.py",
            "times.py",
        ),
    )
}
"""By the name that a filter's file gives as its `engine`."""
