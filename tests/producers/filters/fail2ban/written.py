"""Lines that a filter's expressions match, written by walking the expressions' own parse trees."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from producers.filters.syntax import CATEGORIES, op, parser

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
        tree = parser.parse(source)
        self._groups, self._fixed = {}, fixed or {}
        self._names = {number: name for name, number in tree.state.groupdict.items()}
        return self._sequence(list(tree), tree.state.flags)

    def _sequence(self, parts: Sequence[Any], flags: int) -> str:
        return "".join(self._part(code, argument, flags) for code, argument in parts)

    def _part(self, code: Any, argument: Any, flags: int) -> str:
        if code is op.BRANCH:
            return self._sequence(list(self._random.choice(argument[1])), flags)
        if code is op.SUBPATTERN:
            return self._group(argument, flags)
        if code in {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}:
            return self._repeat(argument, flags)
        if code is op.GROUPREF:
            return self._groups.get(argument, "")
        if code is op.GROUPREF_EXISTS:
            group, yes, no = argument
            return self._sequence(list((yes if group in self._groups else no) or ()), flags)
        return self._character(code, argument, flags)

    def _character(self, code: Any, argument: Any, flags: int) -> str:
        random = self._random
        if code is op.LITERAL:
            text = chr(argument)
            return random.choice((text, text.lower(), text.upper())) if flags & re.IGNORECASE else text
        if code is op.NOT_LITERAL:
            return random.choice([each for each in "ax9 ." if each != chr(argument)])
        if code is op.ANY:
            return random.choice("ab 0.")
        return self._member(argument) if code is op.IN else ""

    def _group(self, argument: Any, flags: int) -> str:
        group, added, removed, inner = argument
        named = self._named(self._names.get(group, ""))
        text = self._sequence(list(inner), (flags | added) & ~removed) if named is None else named
        if group is not None:
            self._groups[group] = text
        return text

    def _repeat(self, argument: Any, flags: int) -> str:
        random = self._random
        least, most, inner = argument
        if list(inner) == [(op.ANY, None)] and most > MOST:
            return random.choice([each for each in (*USERS, *WORDS) if len(each) >= least])
        times = random.randint(least, min(int(most), least + random.choice((0, 1, MOST))))
        return "".join(self._sequence(list(inner), flags) for _ in range(times))

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

    def _member(self, members: Sequence[Any]) -> str:
        random = self._random
        if members[0][0] is op.NEGATE:
            excluded = re.compile("[" + "".join(map(_class_text, members[1:])) + "]")
            return random.choice(
                [each for each in "ax9. -:/Z_\"'()[]@,;" if not excluded.match(each)] or ["~"]
            )
        code, argument = random.choice(members)
        if code is op.RANGE:
            return chr(random.randint(argument[0], min(argument[1], argument[0] + 25)))
        if code is op.CATEGORY:
            return random.choice(MEMBERS[argument])
        return chr(argument)


def _class_text(member: Any) -> str:
    code, argument = member
    if code is op.RANGE:
        return f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
    if code is op.CATEGORY:
        return CATEGORIES[argument]
    return re.escape(chr(argument))


MEMBERS: Final[dict[Any, str]] = {
    op.CATEGORY_DIGIT: "0123456789",
    op.CATEGORY_NOT_DIGIT: "ab-. ",
    op.CATEGORY_SPACE: " ",
    op.CATEGORY_NOT_SPACE: "abc9.-/",
    op.CATEGORY_WORD: "abcXYZ019_",
    op.CATEGORY_NOT_WORD: "-. ",
}
