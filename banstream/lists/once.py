"""The lists of a configuration, read once and here: for a replay over files, which has no log with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from banstream.config import Settings
from banstream.lists.fetching import read_file
from banstream.lists.formats import Unusable, parse
from banstream.lists.wanted import FILE, Wanted
from enforcers.machine import own_addresses
from schemas.lists import parts_of
from schemas.records import ListChanged
from schemas.rules import SELF


def read_once(settings: Iterable[Settings]) -> tuple[list[ListChanged], list[str]]:
    """The parts of every list that can be read without a network; what is to be said of the others."""
    parts: list[ListChanged] = []
    warnings: list[str] = []
    for wanted in dict.fromkeys(each for one in settings for each in one.wanted()):
        try:
            parts += parts_of(wanted.name, sorted(_prefixes(wanted, warnings)), 0)
        except Unusable as error:
            warnings.append(f"WARNING: list {wanted.name}: {error}; whoever is in it counts here")
    return parts, warnings


def _prefixes(wanted: Wanted, warnings: list[str]) -> set[str]:
    if wanted.place == SELF:
        return own_addresses()
    if not wanted.place.startswith(FILE):
        raise Unusable("a replay over files asks no DNS and no server")
    content = parse(read_file(wanted.place.removeprefix(FILE), wanted.most_bytes), wanted)
    warnings += _left_out(wanted, len(content.names))
    return content.prefixes


def _left_out(wanted: Wanted, names: int) -> Iterator[str]:
    if names:
        yield (
            f"WARNING: list {wanted.name}: a replay over files asks no DNS; who has one of its {names} host "
            "names counts here"
        )
