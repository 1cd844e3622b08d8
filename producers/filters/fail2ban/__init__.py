"""fail2ban's filters, unmodified, from where they are installed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from producers.filters.ambiguity import TooLarge, ambiguous
from producers.filters.fail2ban.definition import Fail2banDefinition, read_definition
from producers.filters.fail2ban.files import parse_specification
from producers.filters.fail2ban.matcher import BufferedMatcher, Fail2banMatcher
from producers.filters.fail2ban.rules import CompiledFilter, compile_filter
from producers.filters.rows import Matcher, Needles, contains
from producers.stamps import Stamps

__all__ = ["Fail2banFilter", "load"]

VERSION_LENGTH: Final = 12
MOST_COMPILED: Final = 256
"""So many definitions are remembered compiled: a reload reads all files, and few have changed."""


@dataclass(frozen=True, slots=True)
class Fail2banFilter:
    """A filter of fail2ban's.

    Attributes:
        name: as it was asked for, options and all.
        version: the start of the SHA-256 of its resolved text and of this package's.
        service: its file's name.
        definition: its resolved text.
    """

    name: str
    version: str
    service: str
    definition: Fail2banDefinition
    compiled: CompiledFilter = field(repr=False)

    @property
    def needles(self) -> Needles | None:
        """What its lines hold; None when any line may interest it."""
        return self.compiled.needles

    @property
    def sources(self) -> tuple[str, ...]:
        """How to ask the journal for its lines; it names no files, as jails do in fail2ban."""
        return tuple(f"journald:{match}" for match in self.definition.journalmatch)

    @property
    def usedns(self) -> bool:
        """As its definition says: yes, where it does not say no."""
        return self.definition.usedns != "no"

    def warnings(self) -> list[str]:
        """A sentence for each expression that a line could make last: it is bounded, and the line skipped."""
        rules = self.compiled.rules
        prefix = [("prefregex", rules.prefix)] if rules.prefix is not None else []
        named = [
            *prefix,
            *((f"failregex {number}", each) for number, each in enumerate(rules.failures, start=1)),
        ]
        named += [(f"ignoreregex {number}", each) for number, each in enumerate(rules.ignored, start=1)]
        return [
            f"filter {self.name}, {name}: a repeat within a repeat reads {text!r} in more than one way; "
            f"a line that takes longer than 50 ms for it is skipped: {each.pattern.pattern:.120}"
            for name, each in named
            if (text := _read_twice(each.pattern)) is not None
        ]

    def taken(self, line: bytes) -> tuple[str, Mapping[str, str]] | None:
        """None: a failregex has no name, and reads a line without its date."""
        del line
        return None

    def is_near(self, line: bytes) -> bool:
        """Whether a line holds something of its."""
        return self.needles is not None and contains(line, self.needles)

    def nearness(self, line: bytes) -> int:
        """Nothing is known of it."""
        del line
        return 0

    def reason(self, line: bytes) -> str:
        """That it takes none: which part of an expression fails is not looked into."""
        del line
        return "no failregex takes it"

    def matcher(self, stamps: Stamps | None = None) -> Matcher:
        """A matcher for one stream, remembering nothing yet; of `stamps` it takes the zone."""
        made = BufferedMatcher if self.compiled.maxlines > 1 else Fail2banMatcher
        return made(self.compiled, None if stamps is None else stamps.zone)


def load(spec: str, *, logtype: str = "file") -> Fail2banFilter:
    """The filter of a name or a path, with options: `sshd[mode=aggressive]`, `/etc/fail2ban/filter.d/x.conf`.

    `logtype` says where its lines come from, `file` or `journal`, unless the filter or `spec` does.
    Raises ConfigError, naming file, section and key.
    """
    wanted = parse_specification(spec)
    definition = read_definition(wanted, logtype)
    compiled = _compiled(definition, datetime.now(UTC).year)
    text = hashlib.sha256(repr(definition).encode() + _own_text()).hexdigest()
    return Fail2banFilter(spec, text[:VERSION_LENGTH], wanted.path.stem, definition, compiled)


_compiled = lru_cache(maxsize=MOST_COMPILED)(compile_filter)


@cache
def _own_text() -> bytes:
    """What this package's code is: its results may change with it."""
    return b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))


def _read_twice(expression: re.Pattern[str]) -> str | None:
    try:
        return ambiguous(expression.pattern, expression.flags)
    except TooLarge:
        return "(it is too large to be looked at)"
