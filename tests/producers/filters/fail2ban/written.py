"""Lines that a filter's expressions match, written by walking the expressions' own parse trees."""

from __future__ import annotations

import re
from random import Random
from typing import Final

from producers.filters.syntax import (
    Anything,
    Category,
    Characters,
    Choice,
    Conditional,
    Group,
    Literal,
    Part,
    Parts,
    Reference,
    Repeat,
    Span,
    character,
    parse,
)

ADDRESSES: Final = ("192.0.2.7", "198.51.100.200", "203.0.113.9", "10.1.2.3", "1.2.3.4")
ADDRESSES_6: Final = ("2001:db8::7", "2001:DB8:0:0:1::9", "::1", "fe80::1:2:3")
NAMES: Final = ("host.example.com", "a-b.example", "x1")
USERS: Final = ("root", "admin", "o'neil", "user name", "a@b.example", "üser", "x from 1.2.3.4", "")
WORDS: Final = ("a", "foo", "bar9", "Zz-1", "q=1", "7")
SPACE: Final = " "
MOST: Final = 3


class Writer:
    """Writes texts that an expression should match; look-arounds and conditions are left to luck."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._groups: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._fixed: dict[str, str] = {}

    def write(self, source: str, fixed: dict[str, str] | None = None) -> str:
        """A text for an expression; `fixed` says what groups of some names hold."""
        tree = parse(source)
        self._groups, self._fixed = {}, fixed or {}
        self._names = {number: name for name, number in tree.names.items()}
        return self._sequence(tree.parts, tree.flags)

    def _sequence(self, parts: Parts, flags: int) -> str:
        return "".join(self._part(part, flags) for part in parts)

    def _part(self, part: Part, flags: int) -> str:
        match part:
            case Choice(branches):
                return self._sequence(self._random.choice(branches), flags)
            case Group():
                return self._group(part, flags)
            case Repeat():
                return self._repeat(part, flags)
            case Reference(number):
                return self._groups.get(number, "")
            case Conditional(number, wanted, otherwise):
                return self._sequence(wanted if number in self._groups else otherwise, flags)
            case _:
                return self._character(part, flags)

    def _character(self, part: Part, flags: int) -> str:
        random = self._random
        match part:
            case Literal(number):
                text = chr(number)
                return random.choice((text, text.lower(), text.upper())) if flags & re.IGNORECASE else text
            case Anything():
                return random.choice("ab 0.")
            case Characters(members, negated):
                return self._other(part) if negated else self._member(random.choice(members))
            case _:
                return ""

    def _group(self, group: Group, flags: int) -> str:
        named = self._named(self._names.get(group.number or 0, ""))
        if named is None:
            named = self._sequence(group.parts, (flags | group.added) & ~group.removed)
        if group.number is not None:
            self._groups[group.number] = named
        return named

    def _repeat(self, repeat: Repeat, flags: int) -> str:
        random = self._random
        if repeat.parts == (Anything(),) and repeat.most > MOST:
            return random.choice([each for each in (*USERS, *WORDS) if len(each) >= repeat.least])
        times = random.randint(repeat.least, min(repeat.most, repeat.least + random.choice((0, 1, MOST))))
        return "".join(self._sequence(repeat.parts, flags) for _ in range(times))

    def _named(self, name: str) -> str | None:
        if name in self._fixed:
            return self._fixed[name]
        random = self._random
        match name:
            case "ip4":
                return random.choice(ADDRESSES)
            case "ip6":
                return random.choice(ADDRESSES_6)
            case "dns":
                return random.choice(NAMES)
            case "user" if random.random() < 0.3:
                return random.choice(USERS[:3])
            case _:
                return None

    def _other(self, part: Characters) -> str:
        matches = character(part, 0).match
        return self._random.choice([each for each in "ax9. -:/Z_\"'()[]@,;" if matches(each)] or ["~"])

    def _member(self, member: Literal | Span | Category) -> str:
        random = self._random
        match member:
            case Literal(number):
                return chr(number)
            case Span(first, last):
                return chr(random.randint(first, min(last, first + 25)))
            case Category(source):
                return random.choice(MEMBERS[source])


MEMBERS: Final = {
    r"\d": "0123456789",
    r"\D": "ab-. ",
    r"\s": " ",
    r"\S": "abc9.-/",
    r"\w": "abcXYZ019_",
    r"\W": "-. ",
}
