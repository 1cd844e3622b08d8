"""What a configuration says of places: the files that know them, and from where events count."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

from banstream import values
from banstream.lacks import Lack
from banstream.toml import Table
from producers.atlas import WhereaboutsFiles, check_file
from schemas.errors import SourceError
from schemas.rules import Jail
from schemas.whereabouts import MOST_COUNTRIES, MOST_SYSTEMS, Region, Scope

PlaceFact = Literal["country", "asn"]
WHERE: Final = "where"
UNLESS: Final = "unless"
COUNTRY: Final = re.compile(r"[A-Z]{2}")
SYSTEM: Final = re.compile(r"(?:AS)?([0-9]{1,10})")
HOLDS: Final = {"country": "countries", "asn": "autonomous systems"}


def read_files(table: Table) -> WhereaboutsFiles:
    """The files of `[places]`."""
    files = WhereaboutsFiles(
        country=table.take("country", values.file, None), asn=table.take("asn", values.file, None)
    )
    table.done()
    return files


def read_scope(table: Table, usual: Scope | None = None) -> Scope | None:
    """What `where` and `unless` of a jail or a step say; an empty table takes back what is usual."""
    usual = usual or Scope()
    where, unless = _region(table, WHERE, usual.where), _region(table, UNLESS, usual.unless)
    return None if where is None and unless is None else Scope(where=where, unless=unless)


def _region(jail: Table, key: str, usual: Region | None) -> Region | None:
    if not jail.has(key):
        jail.table(key)  # it is a key all the same
        return usual
    table = jail.table(key)
    region = Region(
        country=table.take("country", _countries, ()),
        asn=table.take("asn", _systems, ()),
    )
    table.done()
    return region if region != Region() else None


def check_places(table: Table, rules: Jail, files: WhereaboutsFiles, *, look: bool) -> None:
    """Say what a jail lacks that goes by places; `look`: also whether the files can be used."""
    for known in sorted(_asked(rules.scopes)):
        path: str | None = getattr(files, known)
        key = WHERE if _asked_by(rules.scopes, known, WHERE) else UNLESS
        if path is None:
            expected = f'a file that knows {HOLDS[known]}, too: [places] {known} = "/path.mmdb"'
            table.problem(key, known, expected)
        elif look:
            try:
                check_file(path, of=known)
            except SourceError as error:
                table.problem(key, known, f"a file that knows it ({error})", Lack("file", path))


def _asked(scopes: Iterable[Scope]) -> set[PlaceFact]:
    """What of a place scopes go by."""
    regions = [region for scope in scopes for region in scope.regions]
    asked: set[PlaceFact] = set()
    if any(region.country for region in regions):
        asked.add("country")
    if any(region.asn for region in regions):
        asked.add("asn")
    return asked


def _asked_by(scopes: Iterable[Scope], known: PlaceFact, key: str) -> bool:
    regions: list[Region | None] = [getattr(scope, key) for scope in scopes]
    return any(region is not None and bool(getattr(region, known)) for region in regions)


def _countries(value: Any) -> tuple[str, ...]:
    codes = tuple(dict.fromkeys(each.upper() for each in values.texts(value)))
    if not codes or len(codes) > MOST_COUNTRIES or not all(map(COUNTRY.fullmatch, codes)):
        raise ValueError('ISO 3166-1 codes of two letters, such as ["DE", "AT"]')
    return codes


def _systems(value: Any) -> tuple[int, ...]:
    found = [_system(each) for each in (value if isinstance(value, list) else [value])]
    numbers = tuple(dict.fromkeys(each for each in found if each is not None))
    if not numbers or None in found or len(numbers) > MOST_SYSTEMS:
        raise ValueError(f'numbers of autonomous systems, such as [64500, "AS64501"], {MOST_SYSTEMS} at most')
    return numbers


def _system(value: Any) -> int | None:
    found = None if isinstance(value, bool) else SYSTEM.fullmatch(str(value).upper())
    return int(found[1]) if found is not None and int(found[1]) < 1 << 32 else None
