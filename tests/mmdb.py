"""Databases of places as MaxMind, DB-IP and IPinfo write them, made by a writer that is not ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mmdb_writer import MMDBWriter
from netaddr import IPSet

COUNTRIES: Final[Mapping[str, str]] = {
    "203.0.113.0/24": "XA",
    "198.51.100.0/24": "XB",
    "2001:db8:1::/48": "XA",
}
SYSTEMS: Final[Mapping[str, tuple[int, str]]] = {
    "203.0.113.0/24": (64_500, "Example Networks"),
    "2001:db8:1::/48": (4_200_000_000, "Sixth"),
}


def write(path: Path, entries: Mapping[str, Any], *, version: int = 6) -> Path:
    """A database with an entry for each prefix; it replaces what is there, as geoipupdate does."""
    made = MMDBWriter(version, "Test", ipv4_compatible=version == 6)
    for prefix, entry in entries.items():
        made.insert_network(IPSet([prefix]), entry)
    fresh = path.with_name(f"{path.name}.new")
    made.to_db_file(str(fresh))
    fresh.replace(path)
    return path


def write_countries(path: Path, countries: Mapping[str, str] = COUNTRIES) -> Path:
    """One that knows countries, as MaxMind's."""
    return write(path, {prefix: {"country": {"iso_code": code}} for prefix, code in countries.items()})


def write_systems(path: Path, systems: Mapping[str, tuple[int, str]] = SYSTEMS) -> Path:
    """One that knows autonomous systems, as MaxMind's."""
    return write(
        path,
        {
            prefix: {"autonomous_system_number": number, "autonomous_system_organization": name}
            for prefix, (number, name) in systems.items()
        },
    )
