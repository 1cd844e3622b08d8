"""Lists of prefixes: how one travels, in parts, and how it is held so that an address is found quickly.

A list of a million prefixes is a sorted array for each prefix length in use, of the bits that count alone: 4
bytes an IPv4 prefix, 8 an IPv6 prefix up to /64.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from sys import byteorder
from typing import Final

from schemas.addresses import format_prefix
from schemas.bounds import MOST_OF_A_PART, MOST_PARTS
from schemas.prefixes import PrefixSet, network_of_number, number_of
from schemas.records import ListChanged

MOST_PREFIXES: Final = MOST_PARTS * MOST_OF_A_PART
"""A list has no more."""
DIGEST_CHARACTERS: Final = 32
BAN: Final = "ban:"
"""How the names of lists begin whose prefixes are refused; those of all others are never counted."""
WIDEST_BANNED: Final = {4: 8, 6: 16}
"""No prefix of a list of whom to ban has fewer bits."""
MOST_BANNED: Final = {4: 3, 6: 12}
"""And all of a list hold no more addresses than a prefix of that length: an eighth of IPv4."""
SMALL: Final = 256
"""A table of so many is taken apart: a PrefixSet knows at once of most addresses that it is not in it."""
AT_A_TIME: Final = 4_096
WIDTHS_BITS: Final = ((32, "I"), (64, "Q"))
"""The arrays there are, by how many bits one element holds."""


def parts_of(
    name: str, prefixes: Sequence[str], at_ms: int, who: str | None = None
) -> tuple[ListChanged, ...]:
    """The records that put a list in force: of its prefixes, sorted and none twice, MOST_PREFIXES at most."""
    digest, count = digest_of(prefixes), max(1, -(-len(prefixes) // MOST_OF_A_PART))
    return tuple(
        ListChanged(
            name=name,
            digest=digest,
            at_ms=at_ms,
            part=part,
            parts=count,
            prefixes=tuple(prefixes[part * MOST_OF_A_PART : (part + 1) * MOST_OF_A_PART]),
            who=who,
        )
        for part in range(count)
    )


def digest_of(prefixes: Iterable[str]) -> str:
    """The first 32 hex digits of the SHA-256 of a list's prefixes, a line each."""
    digest = sha256()
    for prefix in prefixes:
        digest.update(prefix.encode("ascii") + b"\n")
    return digest.hexdigest()[:DIGEST_CHARACTERS]


class PrefixTable:
    """Prefixes that do not change: a hundredth of the memory that a PrefixSet takes."""

    __slots__ = ("_heads",)

    def __init__(self, prefixes: Iterable[str] = ()) -> None:
        """Of prefixes in canonical form."""
        heads: dict[tuple[int, int], list[int]] = {}
        bare: list[str] = []
        for prefix in prefixes:
            if "/" not in prefix and ":" not in prefix:  # as nearly all are
                bare.append(prefix)
                continue
            version, length, bits, address = _split(prefix)
            heads.setdefault((version, length), []).append(address >> (bits - length))
        if bare:
            heads[4, 32] = _numbers(bare)
        self._heads = {key: _array(key[1], found) for key, found in sorted(heads.items())}

    def __contains__(self, prefix: str) -> bool:
        """Whether some member contains the whole prefix, which is in canonical form."""
        return bool(self._heads) and self._covering(prefix) is not None

    def covering(self, prefix: str) -> str | None:
        """The widest member that contains the whole prefix, or None."""
        found = self._covering(prefix)
        if found is None:
            return None
        version, length, head = found
        return _text(version, length, head)

    def inside(self, prefix: str) -> str | None:
        """A member that the prefix contains (or equals), or None."""
        version, length, bits, address = _split(prefix)
        for (member_version, member_length), heads in self._heads.items():
            if member_version != version or member_length < length:
                continue
            first = address >> (bits - member_length)
            place = bisect_left(heads, first)
            if place < len(heads) and heads[place] >> (member_length - length) == address >> (bits - length):
                return _text(version, member_length, heads[place])
        return None

    def heads(self) -> Mapping[tuple[int, int], Sequence[int]]:
        """By IP version and length, the first bits of the members as numbers, ascending."""
        return self._heads

    def less(self, other: PrefixTable) -> Iterator[tuple[tuple[int, int], int]]:
        """The members that another has not: version and length, and the first bits."""
        for key, heads in self._heads.items():
            yield from ((key, head) for head in _less(heads, other._heads.get(key, ())))

    def addresses(self, version: int) -> int:
        """How many addresses the members of one version hold; those of overlapping ones count twice."""
        bits = 32 if version == 4 else 128  # noqa: PLR2004 - IP versions and their widths in bits
        return sum(len(heads) << bits - key[1] for key, heads in self._heads.items() if key[0] == version)

    def digest(self) -> str:
        """32 hex digits that stand for the members."""
        digest = sha256()
        for (version, length), heads in self._heads.items():
            digest.update(b"%d/%d:%d;" % (version, length, len(heads)))
            held = heads if isinstance(heads, array) else " ".join(map(str, heads)).encode("ascii")
            digest.update(held)
        return digest.hexdigest()[:DIGEST_CHARACTERS]

    @classmethod
    def union(cls, tables: Iterable[PrefixTable]) -> PrefixTable:
        """What some of these hold, each member once."""
        found: dict[tuple[int, int], list[Sequence[int]]] = {}
        for table in tables:
            for key, heads in table.heads().items():
                found.setdefault(key, []).append(heads)
        made = cls()
        made._heads = {
            key: several[0] if len(several) == 1 else _array(key[1], chain.from_iterable(several))
            for key, several in sorted(found.items())
        }
        return made

    def touches(self, prefix: str) -> bool:
        """Whether a member contains some of a prefix."""
        return prefix in self or ("/" in prefix and self.inside(prefix) is not None)

    def __iter__(self) -> Iterator[str]:
        """The members in canonical form, by version, length and address."""
        for (version, length), heads in self._heads.items():
            yield from (_text(version, length, head) for head in heads)

    def __len__(self) -> int:
        """How many members."""
        return sum(map(len, self._heads.values()))

    def _covering(self, prefix: str) -> tuple[int, int, int] | None:
        version, length, bits, address = _split(prefix)
        for (member_version, member_length), heads in self._heads.items():
            if member_version != version or member_length > length:
                continue
            head = address >> (bits - member_length)
            place = bisect_left(heads, head)
            if place < len(heads) and heads[place] == head:
                return version, member_length, head
        return None


def too_much(table: PrefixTable) -> str | None:
    """Why whom a list names may not be banned, all of them; None where they may."""
    for version, length in table.heads():
        if length < WIDEST_BANNED[version]:
            widest = WIDEST_BANNED[version]
            return f"it holds a /{length} of IPv{version}; a list bans nothing wider than a /{widest}"
    for version, length in MOST_BANNED.items():
        bits = 32 if version == 4 else 128  # noqa: PLR2004 - IP versions and their widths in bits
        if table.addresses(version) > 1 << bits - length:
            return f"it holds more than a /{length} of all IPv{version} addresses, which no list may ban"
    return None


class ManySpared:
    """Several sets of prefixes as one."""

    __slots__ = ("_sets",)

    def __init__(self, *sets: PrefixSet | PrefixTable) -> None:
        self._sets = tuple(each for each in sets if len(each))

    def __contains__(self, prefix: str) -> bool:
        """Whether a member of some set contains the whole prefix, which is in canonical form."""
        return any(prefix in each for each in self._sets)

    def covering(self, prefix: str) -> str | None:
        """A member that contains the whole prefix, or None."""
        return next(filter(None, (each.covering(prefix) for each in self._sets)), None)

    def inside(self, prefix: str) -> str | None:
        """A member that the prefix contains (or equals), or None."""
        return next(filter(None, (each.inside(prefix) for each in self._sets)), None)


def together(prefixes: Iterable[str], tables: Iterable[PrefixTable]) -> PrefixSet | ManySpared:
    """One set of prefixes and tables; small tables cost nothing there."""
    tables = tuple(tables)
    small = [prefix for table in tables if len(table) <= SMALL for prefix in table]
    large = [table for table in tables if len(table) > SMALL]
    own = PrefixSet((*prefixes, *small))
    return ManySpared(own, *large) if large else own


def _split(prefix: str) -> tuple[int, int, int, int]:
    """The version, length, width in bits and first address of a canonical prefix."""
    address, _, length = prefix.partition("/")
    version, bits, number = number_of(address)
    return version, int(length) if length else bits, bits, number


def _numbers(addresses: list[str]) -> list[int]:
    """IPv4 addresses as numbers: many at a time, in a third of the time that one takes by itself."""
    numbers = array("I")
    for start in range(0, len(addresses), AT_A_TIME):
        octets = ".".join(addresses[start : start + AT_A_TIME]).split(".")
        numbers.frombytes(bytes(map(int, octets)))
    if byteorder == "little":
        numbers.byteswap()
    return numbers.tolist()


def _less(heads: Sequence[int], others: Sequence[int]) -> Iterator[int]:
    """Those of ascending numbers that are not among others."""
    place, count = 0, len(others)
    for head in heads:
        while place < count and others[place] < head:
            place += 1
        if place == count or others[place] != head:
            yield head


def _array(length: int, heads: Iterable[int]) -> Sequence[int]:
    """Numbers of so many bits, sorted, none twice."""
    heads = sorted(set(heads))
    for bits, code in WIDTHS_BITS:
        if length <= bits:
            return array(code, heads)
    return heads


def _text(version: int, length: int, head: int) -> str:
    bits = 32 if version == 4 else 128  # noqa: PLR2004 - IP versions and their widths in bits
    return format_prefix(network_of_number(version, head << (bits - length), length))
