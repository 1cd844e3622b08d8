"""A fail2ban filter as its files and its jail define it: every reference resolved, nothing compiled yet.

Of an option's text `%(name)s` is resolved first, then `<name>`.

| reference | stands for |
|---|---|
| `%(name)s` | the option of what the jail sets, of the section or of `[DEFAULT]` |
| `%(section/name)s`, `%(default/name)s` | the option of another section, else of `[DEFAULT]` |
| `%(known/name)s` | the option of this section before a later file changed it, else of `[DEFAULT]` |
| `%%` | a percent sign |
| `<name>` | the option of the jail, of `[Init]`, of `[Definition]`; `<HOST>`, no option, is left |
| `<section/name>`, `<known/name>` | the same of a section, interpolated as that section's |
| `<a-<b>>` | the option that `a-` and the value of `b` name |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producers.filters.fail2ban.files import CONDITIONAL, DEFAULT, KNOWN, Specification, Text, read_text
from schemas.errors import ConfigError

DEEPEST: Final = 10
MOST_REPLACED: Final = 1_000
REFERENCE: Final = re.compile(r"%(?:(?P<percent>%)|\((?P<name>[^)]+)\)s|(?P<wrong>.?))", re.DOTALL)
SECTION_REFERENCE: Final = re.compile(r"(?P<section>[\w-]+)/(?P<name>.+)", re.DOTALL)
TAG: Final = re.compile(r"<([^ <>]+)>")
SECTION_TAG: Final = re.compile(r"(?P<section>[\w-]+)/(?P<name>[^\s>]+)")

NOTHING_GIVEN: Final[Mapping[str, str]] = {}


class Unresolved(ValueError):  # noqa: N818 - said of a text
    """A reference cannot be resolved."""


def value_of(text: Text, section: str, name: str, given: Mapping[str, str] = NOTHING_GIVEN) -> str | None:
    """An option as its section has it, every `%` resolved; None: there is none. Raises Unresolved."""
    name = name.lower()
    own = text.sections.get(section)
    raw = given.get(name)
    if raw is None and own is not None:
        raw = own.get(name, text.defaults.get(name))
    return None if raw is None else _resolved(raw, text, section, given, 1)


def _resolved(raw: str, text: Text, section: str, given: Mapping[str, str], depth: int) -> str:
    if "%" not in raw:
        return raw
    if depth > DEEPEST:
        raise Unresolved(f"references go deeper than {DEEPEST} at {raw[:60]!r}")

    def replace(found: re.Match[str]) -> str:
        if found["percent"]:
            return "%"
        name = found["name"]
        if name is None:
            raise Unresolved(f"expected %% or %(name)s at {raw[found.start() : found.start() + 20]!r}")
        inner = _raw(name, text, section, given)
        if inner is None:
            raise Unresolved(f"%({name})s names no option")
        return _resolved(inner, text, section, given, depth + 1)

    return REFERENCE.sub(replace, raw)


def _raw(name: str, text: Text, section: str, given: Mapping[str, str]) -> str | None:
    for options in (given, text.sections.get(section, {}), text.defaults):
        if name.lower() in options:
            return options[name.lower()]
    other = SECTION_REFERENCE.fullmatch(name)
    if other is None:
        return None
    option, where = other["name"].lower(), other["section"]
    if where.lower() == "known":
        options = text.sections.get(KNOWN + section, {})
    elif where.lower() == "default":
        options = text.defaults
    elif where in text.sections:
        options = text.sections[where]
    else:
        return None
    return options.get(option, text.defaults.get(option))


def tag_of(text: Text, name: str, given: Mapping[str, str]) -> str | None:
    """What `<name>` stands for by `[Definition]` or another section; None: nothing. Raises Unresolved."""
    other = SECTION_TAG.fullmatch(name)
    if other is not None:
        where = other["section"]
        match where.lower():
            case "known":
                places = [KNOWN + "Definition", "Definition"]
            case "default":
                places = [DEFAULT]
            case _:
                places = [where]
        for place in places:
            value = value_of(text, place, other["name"])
            if value is not None:
                return value
    return value_of(text, "Definition", name, given)


def replace_tags(
    key: str, value: str, stands_for: Callable[[str], str | None], ignored: frozenset[str] = frozenset()
) -> str:
    """A value, every `<name>` replaced that stands for something. Raises Unresolved: that never ends."""
    replaced = 0
    while True:
        before, at = value, 0
        while tag := TAG.search(value, at):
            name = tag[1]
            inner = None if name in ignored else stands_for(name)
            if inner is None:
                at = tag.end()
                continue
            replaced += 1
            if name == key or replaced > MOST_REPLACED:
                raise Unresolved(f"<{name}> refers to itself")
            value = value.replace(tag[0], inner)
            at = tag.start()
        if value == before:
            return value


OPTIONS: Final = (
    "usedns", "prefregex", "ignoreregex", "failregex",
    "maxlines", "datepattern", "journalmatch", "logtimezone",
)  # fmt: skip
USEDNS: Final = frozenset({"yes", "warn", "no", "raw"})


@dataclass(frozen=True, slots=True)
class Fail2banDefinition:
    """What a filter is made of.

    Attributes:
        path: its main file.
        failregex: the expressions in fail2ban's language, in order; so are `ignoreregex` and `prefregex`.
        datepattern: one pattern a line; None: the default ones.
        maxlines: how many lines an expression sees at once.
        usedns: what becomes of host names: `yes`, `warn`, `no` or `raw`.
        logtimezone: the zone of times that name none, as in `UTC+0200`; None: the local one.
        journalmatch: what to ask the journal for, one match a line.
        journal: its lines are the journal's, whose time stands apart from the text.
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
    journal: bool = False

    def refuse(self, key: str, reason: str) -> ConfigError:
        """The error that a key of this filter is."""
        return ConfigError(f"{self.path}: [Definition] {key}: {reason}")


def read_definition(wanted: Specification, logtype: str = "file") -> Fail2banDefinition:
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
    _check_choices(wanted, text, failregex)
    usedns = values.get("usedns", "warn").lower()
    return Fail2banDefinition(
        wanted.path,
        failregex,
        _lines(values.get("ignoreregex")),
        values.get("prefregex") or None,
        values.get("datepattern") or None,
        _maxlines(wanted.path, values.get("maxlines")),
        usedns if usedns in USEDNS else "no",
        values.get("logtimezone") or None,
        _lines(values.get("journalmatch")),
        journal="journal" in {logtype, given.get("logtype")},
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


def _check_choices(wanted: Specification, text: Text, failregex: tuple[str, ...]) -> None:
    """Refuse an option whose value names none of the filter's choices, as `<mdre-<mode>>` has some."""
    known = {name for section in ("Definition", "Init") for name in text.sections.get(section, {})}
    for tag in (found[1] for line in failregex for found in TAG.finditer(line)):
        for option, value in wanted.options.items():
            stem = tag.removesuffix(value)
            choices = sorted(name.removeprefix(stem) for name in known if stem and name.startswith(stem))
            if stem != tag and choices:
                raise ConfigError(
                    f"{wanted.path}: {option} = {value!r}: expected one of {', '.join(choices)}"
                )


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
