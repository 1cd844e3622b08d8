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


COMMON_MODULES: Final = (
    "entries.py",
    "headers.py",
    "memory.py",
    "partial_lines.py",
    "times.py",
    "../journal.py",
)
"""What the results of every filter follow from."""
ENGINES: Final = {
    "sshd": Engine(
        SshdMatcher,
        (
            "sshd.py",
            "sshd_forms.py",
            "sshd_matcher.py",
            "connections.py",
            *COMMON_MODULES,
        ),
    )
}
"""By the name that a filter's file gives as its `engine`."""
