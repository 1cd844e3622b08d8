"""Reading TOML files into one table that remembers which file each key came from, and collects problems."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from banstream.other_words import is_fail2bans, ours
from eventlog.trust import doubt
from schemas.secrets import hidden

T = TypeVar("T")

LOG: Final = "log"
"""The table that says which log it is: those who only look, or say a word, need no other."""
HEADER: Final = re.compile(r"^(?=[ \t]*\[)", re.MULTILINE)
URLS: Final = ("sqlite:", "kafka:")
FAIL2BANS: Final = (
    "; it reads like a file of fail2ban's: here jails are [jail.NAME], texts stand in quotes, logpath is "
    'source = "file:PATH" and port is ports; `banstream import fail2ban` translates all of it'
)
OF_LOG: Final = re.compile(r"^\s*(?:\[\s*)?[\"']?log\b", re.MULTILINE)


@dataclass(slots=True)
class Problems:
    """Every problem found, in order, each a sentence.

    Attributes:
        with_log: which log is meant is among what cannot be known.
    """

    found: list[str] = field(default_factory=list)
    with_log: bool = False

    def add(self, file: str, key: str, value: object, expected: str) -> None:
        """A value is wrong."""
        self.say(
            f"{file}: {key} = {_shown(value)}: expected {expected}",
            with_log=key.split(".", maxsplit=1)[0] == LOG,
        )

    def say(self, sentence: str, *, with_log: bool = True) -> None:
        """Something else is wrong: a whole file, if nothing is said against that."""
        self.found.append(sentence)
        self.with_log |= with_log


class Table:
    """One table of the merged configuration. Each key is taken once; what is left over is unknown.

    Attributes:
        name: its dotted name, such as `jail.sshd`.
        refused: the keys taken so far whose values were wrong.
    """

    def __init__(
        self, name: str, values: dict[str, Any], origins: dict[str, str], problems: Problems
    ) -> None:
        self.name = name
        self._values = dict(values)
        self._origins = origins
        self._problems = problems
        self._known: set[str] = set()
        self.refused: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether a key that was not taken yet stands in it."""
        return key in self._values

    def take(self, key: str, read: Callable[[Any], T], default: T) -> T:
        """The value of a key as `read` gives it, or the default; a wrong one is a problem."""
        self._known.add(key)
        if key not in self._values:
            return default
        value = self._values.pop(key)
        try:
            return read(value)
        except ValueError as error:
            self.refused.add(key)
            self._problems.add(self.origin(key), self._dotted(key), value, str(error))
            return default

    def table(self, key: str) -> Table:
        """A table inside this one; empty where there is none."""
        self._known.add(key)
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            self._problems.add(self.origin(key), self._dotted(key), value, f"a table [{self._dotted(key)}]")
            value = {}
        return Table(self._dotted(key), value, self._origins, self._problems)

    def rows(self, key: str) -> list[Table]:
        """The tables of an array of tables inside this one; none where there is none."""
        self._known.add(key)
        rows, name = self._values.pop(key, []), self._dotted(key)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            self._problems.add(self.origin(key), name, rows, f"tables, each below a [[{name}]]")
            return []
        return [
            Table(f"{name}[{number}]", row, self._origins, self._problems)
            for number, row in enumerate(rows, 1)
        ]

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Every key that is left, as a table inside this one."""
        for key in list(self._values):
            yield key, self.table(key)

    def problem(self, key: str, value: object, expected: str) -> None:
        """Say that a value taken before is wrong after all."""
        self._problems.add(self.origin(key), self._dotted(key), value, expected)

    def done(self) -> None:
        """What has not been taken is unknown: a problem each, with the nearest known key."""
        for key, value in self._values.items():
            near = get_close_matches(key, sorted(self._known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = f"known are {', '.join(sorted(self._known))}"
            said = ours(self.name, key)
            expected = f"no such key here; {said or known}{'' if said else hint}"
            self._problems.add(self.origin(key), self._dotted(key), value, expected)

    def origin(self, key: str) -> str:
        """The file a key came from."""
        dotted = self._dotted(key)
        while dotted not in self._origins and "." in dotted:
            dotted = dotted.rpartition(".")[0]
        return self._origins.get(dotted, "configuration")

    def _dotted(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def read_files(paths: list[Path], problems: Problems) -> Table:
    """Merge files, later ones winning key by key; one that cannot be trusted, read or parsed is a problem."""
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for path in paths:
        try:
            if why := doubt(path):
                problems.say(f"{path}: not read, since it cannot be trusted: {why}")
                continue
            _merge(merged, _parsed(path, problems), origins, str(path), "")
        except OSError as error:
            problems.say(f"{path}: cannot be read: {error.strerror}; expected a readable TOML file")
        except UnicodeDecodeError as error:
            problems.say(f"{path}: not UTF-8 at byte {error.start}; expected a TOML file in UTF-8")
    return Table("", merged, origins, problems)


def _parsed(path: Path, problems: Problems) -> dict[str, Any]:
    """A file's tables; of one that is not TOML those that can be read by themselves, and a problem."""
    text = path.read_text(encoding="utf-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = f"{path}: not TOML: {error}"
    if is_fail2bans(text):
        said += FAIL2BANS
    found: dict[str, Any] = {}
    with_log = False
    for piece in HEADER.split(text):
        try:
            _merge(found, tomllib.loads(piece), {}, "", "")
        except tomllib.TOMLDecodeError:
            with_log |= OF_LOG.search(piece) is not None
    problems.say(said, with_log=with_log)
    return found


def _merge(into: dict[str, Any], new: dict[str, Any], origins: dict[str, str], file: str, name: str) -> None:
    for key, value in new.items():
        dotted = f"{name}.{key}" if name else key
        origins[dotted] = file
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, origins, file, dotted)
        elif isinstance(value, dict):
            into[key] = {}
            _merge(into[key], value, origins, file, dotted)
        else:
            into[key] = value


def _shown(value: object) -> str:
    if isinstance(value, str) and ("://" in value or value.startswith(URLS)):
        value = hidden(value)
    shown = "nothing" if value is None else orjson.dumps(value, default=str).decode()
    printable = "".join(char if char.isprintable() else "?" for char in shown)
    return printable if len(printable) <= 80 else f"{printable[:77]}..."  # noqa: PLR2004 - one line of a terminal
