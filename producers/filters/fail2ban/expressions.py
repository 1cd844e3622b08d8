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
from collections.abc import Iterator
from itertools import count
from typing import Final, NamedTuple

from producers.filters.fail2ban.trees import is_anchored

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
