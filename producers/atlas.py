"""Where addresses are, by files in MaxMind's format that the user has: put into events as they are read.

A file is copied into memory and used from there: whoever overwrites it in place harms nobody. One that has
changed is read anew; of one that is gone, or cannot be read, the last good copy goes on, and it is said.

The databases that MaxMind, DB-IP and IPinfo give away say it in these ways
(https://maxmind.github.io/MaxMind-DB/):

| | is |
|---|---|
| country | `country.iso_code`, or `country_code`, or `country` where that is a code |
| asn | `autonomous_system_number`, or `asn`, which may begin with AS |
| as_name | `autonomous_system_organization`, or `as_name` |
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from eventlog.trust import doubt
from schemas.bounds import NAME_CHARACTERS
from schemas.codec import AuthLine
from schemas.errors import SourceError

if TYPE_CHECKING:
    from maxminddb import Reader

LOOK_S: Final = 5.0
"""How often a file is looked at for a change."""
MOST_BYTES: Final = 1 << 30
MOST_KNOWN: Final = 16_384
"""Addresses whose answer is remembered: attackers come again."""
MOST_PROBED: Final = 1_000
"""So many entries are looked at for one that says what the file is for."""
CODE: Final = re.compile(r"[A-Z]{2}")
SYSTEM: Final = re.compile(r"(?:AS)?([0-9]{1,10})")
UNINSTALLED: Final = "needs the package maxminddb: pip install 'banstream[places]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhereaboutsFiles:
    """The files: one that knows countries, one that knows autonomous systems; None: there is none."""

    country: str | None = None
    asn: str | None = None


class Whereabouts(NamedTuple):
    """Where an address is, as far as the files say."""

    country: str | None = None
    asn: int | None = None
    as_name: str | None = None


NOWHERE: Final = Whereabouts()
PlaceEntry = Mapping[str, Any]


def country_of(entry: PlaceEntry) -> Whereabouts:
    """The country that an entry of a file says."""
    said: Any = entry.get("country")
    if isinstance(said, dict):
        said = cast("dict[str, Any]", said).get("iso_code")
    for code in (said, entry.get("country_code")):
        if isinstance(code, str) and CODE.fullmatch(code):
            return Whereabouts(country=code)
    return NOWHERE


def system_of(entry: PlaceEntry) -> Whereabouts:
    """The autonomous system that an entry of a file says."""
    found = SYSTEM.fullmatch(str(entry.get("autonomous_system_number", entry.get("asn", ""))))
    if found is None or int(found[1]) >= 1 << 32:
        return NOWHERE
    name: Any = entry.get("autonomous_system_organization", entry.get("as_name"))
    return Whereabouts(asn=int(found[1]), as_name=name[:NAME_CHARACTERS] if isinstance(name, str) else None)


class WhereaboutsFile:
    """One file, as it is now or was when it was last right."""

    def __init__(self, path: str, read: Callable[[PlaceEntry], Whereabouts], holds: str) -> None:
        """Read the file at `path`; `holds`: what it is to hold, for people."""
        self.path = path
        self.problem: str | None = None
        self._read, self._holds = read, holds
        self._reader: Reader | None = None
        self._seen: object = None
        self.refresh()

    def refresh(self) -> bool:
        """Read the file anew if it has changed; whether it was."""
        seen = _state_of(self.path)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._reader = opened(self.path, self._read, self._holds)
        except SourceError as error:
            self.problem = str(error)
            return False
        self.problem = None
        return True

    def of(self, ip: str) -> Whereabouts:
        """Where an address is."""
        if self._reader is None:
            return NOWHERE
        try:
            entry: Any = self._reader.get(ip)
        except Exception as error:  # noqa: BLE001 - a damaged file, or one of IPv4 alone, ends no reading
            if ":" not in ip:
                self.problem = f"{self.path}: cannot be read at {ip}: {error}"
            return NOWHERE
        return self._read(entry) if isinstance(entry, dict) else NOWHERE


class Atlas:
    """All files of a configuration. Without any it does nothing."""

    def __init__(self, files: WhereaboutsFiles) -> None:
        self.files = files
        asked = ((files.country, country_of, "countries"), (files.asn, system_of, "autonomous systems"))
        self._files = [WhereaboutsFile(path, read, holds) for path, read, holds in asked if path]
        self._known: dict[str, Whereabouts] = {}
        self._look_at_s = time.monotonic() + LOOK_S

    def mark(self, events: Iterable[AuthLine]) -> None:
        """Put into events where their addresses are."""
        if not self._files:
            return
        self._look()
        for event in events:
            event.country, event.asn, event.as_name = self.of(event.ip)

    def of(self, ip: str) -> Whereabouts:
        """Where an address is."""
        known = self._known.get(ip)
        if known is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            said = [each.of(ip) for each in self._files]
            known = self._known[ip] = Whereabouts(
                *(
                    next((part for part in parts if part is not None), None)
                    for parts in zip(*said, strict=True)
                )
            )
        return known

    def notices(self) -> Counter[str]:
        """What is wrong with the files."""
        self._look()
        return Counter(
            f"{each.problem}; events go without what it knows, or by its last good copy"
            for each in self._files
            if each.problem is not None
        )

    def _look(self) -> None:
        if time.monotonic() >= self._look_at_s:
            self.refresh()

    def refresh(self) -> None:
        """Look now whether a file has changed."""
        self._look_at_s = time.monotonic() + LOOK_S
        for each in self._files:
            if each.refresh():
                self._known.clear()


def check_file(path: str, *, of: str) -> None:
    """SourceError, with what to do, where a file of countries or systems (`of`) cannot be used."""
    if of == "country":
        opened(path, country_of, "countries").close()
    else:
        opened(path, system_of, "autonomous systems").close()


def opened(path: str, read: Callable[[PlaceEntry], Whereabouts], holds: str) -> Reader:
    """A file's content in memory. Raises SourceError."""
    try:
        import maxminddb  # noqa: PLC0415 - only who names such a file needs it
    except ImportError as error:
        raise SourceError(f"{path}: {UNINSTALLED}") from error
    try:
        if why := doubt(Path(path)):
            raise SourceError(f"{path}: not read, since it cannot be trusted: {why}")
        copy = _copied(path)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        reader = maxminddb.open_database(f"/proc/self/fd/{copy}")
        says_it = any(read(each) != NOWHERE for each in _first_entries(reader))
    except (maxminddb.InvalidDatabaseError, OSError, ValueError) as error:
        raise SourceError(f"{path}: not a database in MaxMind's format: {error}") from error
    finally:
        os.close(copy)
    if not says_it:
        reader.close()
        raise SourceError(f"{path}: a database of something else: none of its first entries holds {holds}")
    return reader


def _first_entries(reader: Reader) -> Iterable[PlaceEntry]:
    return (cast("PlaceEntry", each) for _, each in islice(reader, MOST_PROBED) if isinstance(each, dict))


def _copied(path: str) -> int:
    """A file's content, in memory that nobody else can cut off, as a descriptor. Raises OSError."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(0, "it is no plain file")
        if state.st_size > MOST_BYTES:
            raise OSError(0, f"it is larger than {MOST_BYTES} bytes")
        copy = os.memfd_create("banstream-places")
        with open(copy, "wb", closefd=False) as memory:
            shutil.copyfileobj(file, memory, 1 << 20)
    return copy


def _state_of(path: str) -> object:
    try:
        state = Path(path).stat()
    except OSError as error:
        return error.errno
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
