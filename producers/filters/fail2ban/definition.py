"""A fail2ban filter as its files and its jail define it: every reference resolved, nothing compiled yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producers.filters.fail2ban.files import CONDITIONAL, Text, read_text
from producers.filters.fail2ban.interpolation import Unresolved, replace_tags, tag_of, value_of
from producers.filters.fail2ban.specification import Specification
from schemas.errors import ConfigError

OPTIONS: Final = (
    "usedns",
    "prefregex",
    "ignoreregex",
    "failregex",
    "maxlines",
    "datepattern",
    "journalmatch",
    "logtimezone",
)
USEDNS: Final = frozenset({"yes", "warn", "no", "raw"})


@dataclass(frozen=True, slots=True)
class Definition:
    """What a filter is made of.

    Attributes:
        path: its main file.
        failregex: the expressions in fail2ban's language, in order; so are `ignoreregex` and `prefregex`.
        datepattern: one pattern a line; None: the default ones.
        maxlines: how many lines an expression sees at once.
        usedns: what becomes of host names: `yes`, `warn`, `no` or `raw`.
        logtimezone: the zone of times that name none, as in `UTC+0200`; None: the local one.
        journalmatch: what to ask the journal for, one match a line.
    """

    path: Path
    failregex: tuple[str, ...]
    ignoreregex: tuple[str, ...] = ()
    prefregex: str | None = None
    datepattern: str | None = None
    maxlines: int = 1
    usedns: str = "warn"
    logtimezone: str | None = None
    journalmatch: tuple[str, ...] = ()

    def refuse(self, key: str, reason: str) -> ConfigError:
        """The error that a key of this filter is."""
        return ConfigError(f"{self.path}: [Definition] {key}: {reason}")


def read_definition(wanted: Specification, logtype: str = "file") -> Definition:
    """Read a filter's files and resolve it; ConfigError, naming file and key, when that cannot be done.

    `logtype` is what the filter's lines come from unless it or the jail says: `file` or `journal`.
    """
    text = read_text(wanted)
    given = dict(wanted.options)
    if not given.get("logtype") and "logtype" not in text.sections.get("Definition", {}):
        given["logtype"] = logtype
    values = _values(wanted.path, text, given)
    failregex = _lines(values.get("failregex"))
    if not failregex:
        raise ConfigError(f"{wanted.path}: [Definition] failregex: there is none; it is no filter by itself")
    usedns = values.get("usedns", "warn").lower()
    return Definition(
        wanted.path,
        failregex,
        _lines(values.get("ignoreregex")),
        values.get("prefregex") or None,
        values.get("datepattern") or None,
        _maxlines(wanted.path, values.get("maxlines")),
        usedns if usedns in USEDNS else "no",
        values.get("logtimezone") or None,
        _lines(values.get("journalmatch")),
    )


def _values(path: Path, text: Text, given: dict[str, str]) -> dict[str, str]:
    """The options that matter, resolved."""
    lowered = {key.lower(): value for key, value in given.items()}
    name = ""
    try:
        combined: dict[str, str] = {}
        for name in OPTIONS:
            value = None if name in given else value_of(text, "Definition", name, lowered)
            if value is not None:
                combined[name] = value
        for name in text.sections.get("Init", {}):
            combined[name] = combined["known/" + name] = value_of(text, "Init", name) or ""
        combined |= given
        ignored = frozenset(found[1] for key in combined if (found := CONDITIONAL.fullmatch(key)))

        def stands_for(tag: str) -> str | None:
            value = combined.get(tag)
            return tag_of(text, tag, lowered) if value is None else value

        resolved: dict[str, str] = {}
        for name in combined.keys() & set(OPTIONS):
            resolved[name] = replace_tags(name, combined[name], stands_for, ignored)
    except Unresolved as error:
        raise ConfigError(f"{_origin(text, name, path)}: [Definition] {name}: {error}") from error
    return resolved


def _origin(text: Text, name: str, path: Path) -> Path:
    origins = text.origins
    return (
        origins.get(("Definition", name))
        or origins.get(("Init", name))
        or origins.get(("DEFAULT", name), path)
    )


def _lines(value: str | None) -> tuple[str, ...]:
    return tuple(line for line in (value or "").split("\n") if line)


def _maxlines(path: Path, value: str | None) -> int:
    if value is None or not value.strip():
        return 1
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigError(f"{path}: [Definition] maxlines: expected a number of lines, not {value!r}")
    return number
