"""Expressions of fail2ban's language: its tags become groups, and what these capture gets its names.

| tag | matches | captured as |
|---|---|---|
| `<HOST>` | an address, in brackets or not, or (unless usedns is `no`) a host name | ip4, ip6, dns |
| `<ADDR>`, `<IP4>`, `<IP6>`, `<DNS>` | what they say; so do `<F-ADDR/>`, ... | ip4, ip6, dns |
| `<CIDR>`, `<SUBNET>` | a prefix length; an address with or without one | cidr |
| `<F-ID>...</F-ID>`, `<F-ID/>` | what stands between; a word | fid |
| `<F-PORT>...</F-PORT>`, `<F-PORT/>` | what stands between; a word | fport |
| `<F-NAME>...</F-NAME>` | what stands between | name |
| `<F-ALT_NAME_1>...` | | name, where that is empty |
| `<F-TUPLE_NAME_1>...` | | name: a tuple, part by part |
| `<SKIPLINES>` | any number of whole lines | |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from typing import Final, NamedTuple

from producers.filters import syntax
from producers.filters.syntax import Part, Parts, Repeat, parse

MOST_MEMBERS: Final = 128

Beginnings = tuple["frozenset[str] | None", bool]
"""The characters that matches begin with (None: any), and whether a match may be empty."""


def is_anchored(source: str, flags: int = 0) -> bool:
    """Whether an expression can match at a text's beginning only."""
    return not flags & re.MULTILINE and _is_anchored(parse(source).parts)


def _is_anchored(parts: Parts) -> bool:
    for part in parts:
        match part:
            case syntax.Anchor("^" | r"\A"):
                return True
            case syntax.Group():
                return _is_anchored(part.parts)
            case syntax.Choice():
                return all(map(_is_anchored, part.branches))
            case syntax.Anchor() | syntax.Assertion() | syntax.Never():
                continue
            case _:
                return False
    return False


def beginnings(source: str) -> frozenset[str] | None:
    """The characters that the matches of an expression may begin with; None: any, or none at all."""
    tree = parse(source)
    found, empty = _of_sequence(tree.parts, tree.flags)
    return None if empty else found


def may_be_empty(part: Part) -> bool:
    """Whether a part may match without a character."""
    return _of_part(part, 0)[1]


def _of_sequence(parts: Parts, flags: int) -> Beginnings:
    found: frozenset[str] = frozenset()
    for part in parts:
        characters, empty = _of_part(part, flags)
        if characters is None:
            return None, False
        found |= characters
        if not empty:
            return found, False
    return found, True


def _of_part(part: Part, flags: int) -> Beginnings:
    match part:
        case syntax.Anchor() | syntax.Assertion() | syntax.Never():
            return frozenset(), True
        case syntax.Group(_, added, removed, parts):
            return _of_sequence(parts, (flags | added) & ~removed)
        case syntax.Choice(branches):
            return _of_branches([_of_sequence(each, flags) for each in branches])
        case Repeat(least, _, parts):
            characters, empty = _of_sequence(parts, flags)
            return characters, empty or least == 0
        case syntax.Literal() | syntax.Characters():
            return None if flags & re.IGNORECASE else _of_set(part), False
        case _:
            return None, False


def _of_branches(branches: Sequence[Beginnings]) -> Beginnings:
    found: frozenset[str] = frozenset()
    for characters, _ in branches:
        if characters is None:
            return None, False
        found |= characters
    return found, any(empty for _, empty in branches)


def _of_set(part: syntax.Literal | syntax.Characters) -> frozenset[str] | None:
    if isinstance(part, syntax.Literal):
        return frozenset({chr(part.number)})
    found: set[str] = set()
    for each in part.members:
        if isinstance(each, syntax.Literal):
            found.add(chr(each.number))
        elif isinstance(each, syntax.Span) and each.last - each.first < MOST_MEMBERS:
            found.update(map(chr, range(each.first, each.last + 1)))
        else:
            return None
    return None if part.negated else frozenset(found)


def pruned(source: str) -> str:
    r"""An expression that gives up early: it looks ahead for what a later conditional needs.

    In `(?:(?P<one>\S+)|.*?) from \d+(?(one): |$)` a match by way of `one` ends in `: `. A text without it is
    tried that way for nothing, in each of the ways there are to read what lies between. So the group looks
    for it first: `(?P<one>(?=[\s\S]*: )\S+)`. What the expression matches, and how, stays the same.
    """
    tree = parse(source)
    names = {number: name for name, number in tree.names.items()}
    before: set[int] = set()
    for part in tree.parts:
        if not isinstance(part, syntax.Conditional):
            before.update(_groups((part,)))
            continue
        opening = f"(?P<{names.get(part.number, '')}>"
        text = _leading(part.wanted)
        if text and part.number in before and source.count(opening) == 1:
            source = source.replace(opening, rf"{opening}(?=[\s\S]*{re.escape(text)})")
    return source


def _groups(parts: Parts) -> Iterator[int]:
    """The groups that a match may go through: none in an assertion or a repeat, or with flags of its own."""
    for part in parts:
        if isinstance(part, syntax.Group) and not (part.added or part.removed):
            if part.number is not None:
                yield part.number
            yield from _groups(part.parts)
        elif isinstance(part, syntax.Choice):
            for branch in part.branches:
                yield from _groups(branch)


def _leading(parts: Parts) -> str:
    """The text that a match of these parts begins with, case and all."""
    letters = takewhile(lambda each: isinstance(each, syntax.Literal), parts)
    return "".join(chr(each.number) for each in letters if isinstance(each, syntax.Literal))


TAG: Final = re.compile(r"<(/?)([\w-]+)(/?)>")
OWN_TAG: Final = re.compile(r"F-([A-Z0-9_-]+)")
GLOBAL_FLAGS: Final = re.compile(r"(?<!\\)\((?:\?:)?(\(\?[a-z]+)\)")
COMPOUND: Final = re.compile(r"(alt|tuple)_(.*?)(?:_\d+)?")
RENAMED: Final = {"id": "fid", "port": "fport"}

QUAD: Final = r"(?:\d{1,3}\.){3}\d{1,3}"
GROUPS_OF_HEX: Final = r"(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):)"
IP4: Final = rf"(?:::f{{4,6}}:)?(?P<ip4>{QUAD})"
IP6: Final = rf"(?P<ip6>{GROUPS_OF_HEX})"
DNS: Final = r"(?P<dns>[\w\-.^_]*\w)"
CIDR: Final = r"(?P<cidr>\d+)"
ADDR: Final = rf"\[?(?:{IP4}|{IP6})\]?"
SUBNET: Final = rf"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"
HOST: Final = f"(?:{ADDR}|{DNS})"
TAGS: Final = {"IP4": IP4, "IP6": IP6, "ADDR": ADDR, "CIDR": CIDR, "SUBNET": SUBNET, "DNS": DNS}
WORDS: Final = {"F-ID": r"(?P<fid>\S+)", "F-PORT": r"(?P<fport>\w+)"}
IDENTITIES: Final = frozenset({"fid", "ip4", "ip6", "dns", "mlfid"})

Captured = dict[str, "str | tuple[str | None, ...]"]


class WrongExpression(ValueError):  # noqa: N818 - said of an expression
    """An expression is none, or captures nothing that could be banned."""


class Rename(NamedTuple):
    """A group that counts as another."""

    group: str
    name: str
    compound: str


class Expression:
    """One expression, compiled.

    Attributes:
        source: as it is given to `re`.
        pattern: compiled.
        names: its groups' names.
        indices: their numbers.
        searcher: searches a text with it, as quickly as it can be done.
    """

    __slots__ = ("_renamed", "indices", "names", "pattern", "searcher", "source")

    def __init__(self, text: str, *, usedns: str = "warn", multiline: bool = False) -> None:
        source = GLOBAL_FLAGS.sub(r"\1:", with_groups(text, usedns))
        if not source.strip():
            raise WrongExpression("an empty expression")
        try:
            self.pattern = re.compile(source, re.MULTILINE if multiline else 0)
        except (re.error, OverflowError, RecursionError) as error:
            raise WrongExpression(f"{source!r}: {error}") from error
        self.source = source
        self.searcher = self.pattern.match if is_anchored(source, self.pattern.flags) else self.pattern.search
        groups = self.pattern.groupindex
        self.names = tuple(groups)
        self.indices = tuple(groups.values())
        renamed = [
            Rename(group, RENAMED.get(found[2], found[2]), found[1])
            for group in groups
            if (found := COMPOUND.fullmatch(group))
        ]
        self._renamed = tuple(sorted(renamed, key=lambda each: (each.compound, each.group, each.name)))

    @property
    def renames(self) -> bool:
        """Whether some of its groups count as others."""
        return bool(self._renamed)

    @property
    def identifies(self) -> bool:
        """Whether it captures what can be banned, or the session that will tell."""
        return not IDENTITIES.isdisjoint(self.names)

    def captured(self, match: re.Match[str]) -> Captured:
        """What its groups captured, under fail2ban's names; those that captured nothing are left out."""
        return self.named(match.group(*self.indices, 0, 0))

    def named(self, values: tuple[str | None, ...]) -> Captured:
        """What its groups captured, from their values in the order of `names`; more values do not count."""
        found: Captured = {
            name: value for name, value in zip(self.names, values, strict=False) if value is not None
        }
        if not self._renamed:
            return found
        for group, name, compound in self._renamed:
            part = found.get(group)
            if compound == "alt":
                if part and not found.get(name):
                    found[name] = part
            else:
                whole = found.get(name)
                text = None if isinstance(part, tuple) else part
                found[name] = (*whole, text) if isinstance(whole, tuple) else (whole, text)
        return found


def with_groups(text: str, usedns: str = "warn") -> str:
    """An expression with its tags replaced by groups."""
    opened: set[str] = set()
    skipped = count()

    def replace(found: re.Match[str]) -> str:
        closing, name, alone = found.groups()
        own = OWN_TAG.fullmatch(name)
        if own is None:
            return found[0] if closing or alone else _of_host(name, usedns, skipped) or found[0]
        if alone:
            return found[0] if closing else WORDS.get(name) or TAGS.get(own[1]) or found[0]
        if closing:
            return ")" if own[1] in opened else found[0]
        opened.add(own[1])
        group = own[1].lower()
        return f"(?P<{RENAMED.get(group, group)}>"

    return TAG.sub(replace, text)


def _of_host(name: str, usedns: str, skipped: Iterator[int]) -> str | None:
    if name == "HOST":
        return HOST if usedns != "no" else ADDR
    if name == "SKIPLINES":
        return rf"\n(?P<skiplines{next(skipped)}>(?:(?:.*\n)*?))"
    return TAGS.get(name)
