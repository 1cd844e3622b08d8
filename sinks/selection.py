"""Which records a sink carries: from which topics, which happenings, under which conditions.

| record | its happening |
|---|---|
| event | its kind: `failed`, `succeeded`, `probed` |
| decision | `ban`, `unban`, `prolong`; `expired ban` where its end had passed when it was decided |
| decision of a jail that only observes | `shadow ban`, `shadow unban`, `shadow prolong`: only if asked for |
| alert | `alert`: a jail's minute is not as usual |
| enforcement | `enforcement applied`, `enforcement refused`, `enforcement failed`, `enforcement skipped` |
| command, rules that changed | `command`, `rules` |
| a host's last heartbeat | `host silent`: for two minutes nothing came after it |

What is not there (time that passed, other heartbeats, parts of lists) leaves no log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, get_args

from schemas.behaviours import Alert
from schemas.codec import AuthLine
from schemas.records import (
    AuthEvent,
    Ban,
    Command,
    Enforcement,
    Kind,
    Outcome,
    Prolong,
    Record,
    RulesChanged,
    Unban,
)
from schemas.topics import COMMANDS, DECISIONS, ENFORCEMENTS, EVENTS, Topic
from sinks.contract import What

TOPICS: Final[Mapping[What, Topic]] = {
    "events": EVENTS,
    "decisions": DECISIONS,
    "enforcements": ENFORCEMENTS,
    "commands": COMMANDS,
}
SILENT: Final = "host silent"
WHATS: Final[Mapping[str, What]] = {topic.name: what for what, topic in TOPICS.items()}
SHADOWS: Final = ("shadow ban", "shadow unban", "shadow prolong")
HAPPENINGS: Final[Mapping[What, tuple[str, ...]]] = {
    "events": get_args(Kind),
    "decisions": ("ban", "expired ban", "unban", "prolong", "alert", *SHADOWS),
    "enforcements": (*(f"enforcement {outcome}" for outcome in get_args(Outcome)), SILENT),
    "commands": ("command", "rules"),
}
WORDS: Final[Mapping[type[Record], str]] = {
    Ban: "ban",
    Unban: "unban",
    Prolong: "prolong",
    Alert: "alert",
    Command: "command",
    RulesChanged: "rules",
}
CONDITIONS: Final = (
    "jail", "kind", "filter", "host", "service", "source", "user", "reason", "step", "verb", "outcome",
    "backend", "who", "prefix", "ip", "measure",
)  # fmt: skip
"""Fields of records that `where` may ask for."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a sink carries.

    Attributes:
        what: the topics.
        on: the happenings; empty: all of those topics.
        where: by field, patterns that its value may match; a record without such a field is let through.
    """

    what: tuple[What, ...] = ("decisions",)
    on: frozenset[str] = frozenset()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def topics(self) -> list[Topic]:
        """The topics that have to be read."""
        return [topic for what, topic in TOPICS.items() if what in self.what]

    def takes(self, happening: str, record: Record | AuthLine) -> bool:
        """Whether a record is carried."""
        if (self.on or happening in SHADOWS) and happening not in self.on:
            return False
        return all(_fits(record, name, patterns) for name, patterns in self.where.items())


def happening_of(record: Record | AuthLine) -> str | None:
    """What a record tells of, in a word; None for what leaves no log."""
    if isinstance(record, AuthLine | AuthEvent):
        return record.kind
    if isinstance(record, Enforcement):
        return f"enforcement {record.outcome}"
    if isinstance(record, Ban | Unban | Prolong) and record.shadow:
        return f"shadow {record.TYPE}"
    if isinstance(record, Ban) and record.expired:
        return "expired ban"
    return WORDS.get(type(record))


def subject_of(record: Any) -> str:
    """Whom a record is about: an address or prefix; empty where nobody."""
    return getattr(record, "ip", None) or getattr(record, "prefix", None) or ""


def _fits(record: object, name: str, patterns: tuple[str, ...]) -> bool:
    value = getattr(record, name, None)
    return value is None or any(fnmatchcase(str(value), pattern) for pattern in patterns)
