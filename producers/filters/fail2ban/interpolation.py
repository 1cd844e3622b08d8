"""What an option's text becomes: `%(name)s` first, then `<name>`.

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
from typing import Final

from producers.filters.fail2ban.files import DEFAULT, KNOWN, Text

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
