"""The filter library: how lines become events, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from producers.filters.rows import Filter, Matcher, Row
from producers.filters.sshd_matcher import SshdMatcher
from schemas.errors import ConfigError

__all__ = ["Filter", "Matcher", "Row", "filter_names", "load_filter"]

VERSION_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class NativeFilter:
    """A filter written in this package.

    Attributes:
        version: the start of the SHA-256 of its modules' text.
        make: makes a matcher that remembers nothing yet.
    """

    name: str
    version: str
    service: str
    make: Callable[[], Matcher]

    def matcher(self) -> Matcher:
        """A matcher for one stream, remembering nothing yet."""
        return self.make()


def _version_of(*modules: str) -> str:
    text = b"".join((Path(__file__).parent / module).read_bytes() for module in modules)
    return hashlib.sha256(text).hexdigest()[:VERSION_LENGTH]


@cache
def _filters() -> Mapping[str, Filter]:
    version = _version_of("sshd.py", "sshd_matcher.py", "connections.py")
    sshd: Filter = NativeFilter("sshd", version, "sshd", SshdMatcher)
    return MappingProxyType({sshd.name: sshd})


def filter_names() -> list[str]:
    """The names that `load_filter` knows."""
    return sorted(_filters())


def load_filter(name: str) -> Filter:
    """The filter of a name; ConfigError, naming the known ones, when there is none."""
    found = _filters().get(name)
    if found is None:
        raise ConfigError(f"no filter is named {name!r}; known are {', '.join(filter_names())}")
    return found
