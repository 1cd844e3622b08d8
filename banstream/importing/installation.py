"""fail2ban's configuration in a folder: every jail's keys as fail2ban reads them, and their places.

Files, their order, includes and `%(...)s` are as in its filters (producers.filters.fail2ban):
`jail.conf`, `jail.d/*.conf`, `jail.local`, `jail.d/*.local`, and `fail2ban.conf` likewise (jail.conf(5)).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from banstream.importing.remarks import KeyPlace
from eventlog.trust import doubt
from producers.filters.fail2ban.definition import NOTHING_GIVEN, Unresolved, value_of
from producers.filters.fail2ban.files import DEFAULT, INCLUDES, KNOWN, Specification, Text, read_text
from schemas.errors import ConfigError

TRUE: Final = frozenset({"1", "on", "true", "yes"})
HEADER: Final = re.compile(r"\[(?P<name>[^\]]+)\]")
OPTION: Final = re.compile(r"(?P<key>[^\s:=;#\[][^:=]*?)\s*[:=]")
NO_JAILS: Final = frozenset({DEFAULT, INCLUDES, "Definition"})
DATABASE: Final = "/var/lib/fail2ban/fail2ban.sqlite3"
FILTERS: Final = "filter.d"


@dataclass(slots=True)
class Installation:
    """What the files in fail2ban's folder say.

    Attributes:
        folder: where they are.
        jails: jail.conf and its kin.
        server: fail2ban.conf and its kin; empty where there is none.
    """

    folder: Path
    jails: Text
    server: Text
    _lines: dict[Path, dict[tuple[str, str], int]] = field(
        default_factory=dict[Path, dict[tuple[str, str], int]]
    )

    @property
    def filters(self) -> Path:
        """Where its filters are."""
        return self.folder / FILTERS

    @property
    def files(self) -> list[Path]:
        """Every file that was read."""
        return [*self.jails.files, *self.server.files]

    @property
    def database(self) -> Path:
        """Where it keeps its bans."""
        return Path(self.setting("dbfile") or DATABASE)

    def names(self) -> list[str]:
        """The jails there are, on or off, in the order of the files."""
        return [name for name in self.jails.sections if name not in NO_JAILS and not name.startswith(KNOWN)]

    def is_on(self, jail: str) -> bool:
        """Whether fail2ban would start a jail."""
        return is_true(self.value(jail, "enabled"))

    def value(self, jail: str, key: str, known: Mapping[str, str] = NOTHING_GIVEN) -> str | None:
        """A jail's key, every reference resolved; None: it has none.

        `jail` DEFAULT: what jails have that do not say; `known`: what its filter says, by `known/KEY`. Raises
        ConfigError where a reference leads nowhere.
        """
        try:
            found = value_of(self.jails, jail, key, {**self._given(jail), **known})
        except Unresolved as error:
            raise ConfigError(f"{self.place(jail, key)}: [{jail}] {key}: {error}") from error
        return None if found is None else found.strip()

    def own(self, jail: str) -> list[str]:
        """The keys that a jail's own section has."""
        return list(self.jails.sections.get(jail, {}))

    def setting(self, key: str) -> str | None:
        """A key of fail2ban.conf."""
        for section in ("Definition", DEFAULT):
            found = value_of(self.server, section, key)
            if found is not None:
                return found.strip()
        return None

    def place(self, jail: str, key: str) -> KeyPlace:
        """Where a key of a jail is set: in its own section, or in [DEFAULT]."""
        for section in (jail, DEFAULT):
            file = self.jails.origins.get((section, key.lower()))
            if file is not None:
                return KeyPlace(file, self._line(file, section, key.lower()))
        return KeyPlace(self.jails.files[-1], 0)

    def setting_place(self, key: str) -> KeyPlace | None:
        """Where a key of fail2ban.conf is set."""
        for section in ("Definition", DEFAULT):
            file = self.server.origins.get((section, key))
            if file is not None:
                return KeyPlace(file, self._line(file, section, key))
        return None

    def _given(self, jail: str) -> dict[str, str]:
        return {
            "__name__": jail,
            "fail2ban_version": self.jails.defaults.get("fail2ban_version", ""),
            "fail2ban_confpath": str(self.folder),
        }

    def _line(self, file: Path, section: str, key: str) -> int:
        if file not in self._lines:
            self._lines[file] = dict(_lines(file))
        return self._lines[file].get((section, key), 0)


def is_true(value: str | None) -> bool:
    """Whether a value is one that fail2ban takes for true."""
    return (value or "").lower() in TRUE


def read_installation(folder: Path) -> Installation:
    """fail2ban's configuration in a folder. Raises ConfigError, naming the file and what is wrong with it."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name the one that holds fail2ban's jail.conf")
    try:
        jails = read_text(Specification(folder / "jail.conf", whole=True, options={}))
    except ConfigError as error:
        if str(error).endswith("no such filter file"):
            raise ConfigError(
                f"{folder}: there is neither a jail.conf nor a jail.local, nor a file in jail.d; name "
                "the folder that holds them"
            ) from error
        raise
    try:
        server = read_text(Specification(folder / "fail2ban.conf", whole=True, options={}))
    except ConfigError as error:
        if not str(error).endswith("no such filter file"):
            raise
        server = Text()
    for file in (*jails.files, *server.files):
        if why := doubt(file):
            raise ConfigError(f"{file}: not read, since it cannot be trusted: {why}")
    return Installation(folder, jails, server)


def _lines(file: Path) -> Iterator[tuple[tuple[str, str], int]]:
    """The line on which each key of a file stands, the last of each."""
    section = ""
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        header = HEADER.match(line)
        if header is not None:
            section = header["name"]
        elif (found := OPTION.match(line)) is not None:
            yield (section, found["key"].lower()), number
