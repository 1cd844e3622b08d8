"""Where addresses are: countries and autonomous systems that jails name, as they travel in the rules.

Where an event is from is a fact in it (schemas.records). One that says nothing is from no region.

| a scope says | an event from there | from elsewhere | from nobody knows where |
|---|---|---|---|
| where | counts | does not | does not |
| unless | does not | counts | counts |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from schemas.bounds import AsNumber, CountryCode

MOST_COUNTRIES: Final = 300
MOST_SYSTEMS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Some countries, some autonomous systems; where it names both, only what is of both is in it.

    Attributes:
        country: ISO 3166-1 codes, upper case; empty: any.
        asn: numbers; empty: any.
    """

    country: Annotated[tuple[CountryCode, ...], Meta(max_length=MOST_COUNTRIES)] = ()
    asn: Annotated[tuple[AsNumber, ...], Meta(max_length=MOST_SYSTEMS)] = ()

    def holds(self, country: str | None, asn: int | None) -> bool:
        """Whether what is of this country and system is in it."""
        return (not self.country or country in self.country) and (not self.asn or asn in self.asn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """From where events count: `where` alone, and not `unless`; None: it says nothing."""

    where: Region | None = None
    unless: Region | None = None

    def has(self, country: str | None, asn: int | None) -> bool:
        """Whether events of this country and system count."""
        if self.where is not None and not self.where.holds(country, asn):
            return False
        return self.unless is None or not self.unless.holds(country, asn)

    @property
    def regions(self) -> tuple[Region, ...]:
        """What it names."""
        return tuple(each for each in (self.where, self.unless) if each is not None)
