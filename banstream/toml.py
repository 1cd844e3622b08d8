"""Reading TOML files into one table that remembers which file each key came from, and collects problems."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from banstream.lacks import Lack, Lacking
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
class Trouble:
    """What is wrong with one part of the configuration.

    Attributes:
        found: every problem of it.
        lacks: what it names, and this machine has not.
        wrong: the keys that are wrong whatever this machine has.
    """

    found: list[str] = field(default_factory=list[str])
    lacks: list[Lack] = field(default_factory=list[Lack])
    wrong: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class Problems:
    """Every problem found, in order, each a sentence.

    Attributes:
        with_log: which log is meant is among what cannot be known.
        parts: of each part (a jail) that harms only itself, what is wrong with it.
        elsewhere: what is wrong with no such part.
    """

    found: list[str] = field(default_factory=list[str])
    with_log: bool = False
    parts: dict[str, Trouble] = field(default_factory=dict[str, Trouble])
    elsewhere: list[str] = field(default_factory=list[str])

    def add(  # noqa: PLR0913 - what there is to say of a value
        self, file: str, key: str, value: object, expected: str, *, part: str = "", lacks: Sequence[Lack] = ()
    ) -> None:
        """A value is wrong; `part`: of which part; `lacks`: it is right, and this machine has not that."""
        sentence = f"{file}: {key} = {_shown(value)}: expected {expected}"
        if not part:
            self.say(sentence, with_log=key.split(".", maxsplit=1)[0] == LOG)
            return
        self.found.append(sentence)
        trouble = self.parts.setdefault(part, Trouble())
        trouble.found.append(sentence)
        trouble.lacks += lacks
        if not lacks:
            trouble.wrong.add(key.rpartition(".")[2])

    def say(self, sentence: str, *, with_log: bool = True) -> None:
        """Something else is wrong: a whole file, if nothing is said against that."""
        self.found.append(sentence)
        self.elsewhere.append(sentence)
        self.with_log |= with_log

    def copy(self) -> Problems:
        """The same, to which others may be added. Not for what has parts already."""
        return Problems([*self.found], self.with_log, {}, [*self.elsewhere])


class Table:
    """One table of the merged configuration. Each key is taken once; what is left over is unknown.

    Attributes:
        name: its dotted name, such as `jail.sshd`.
        part: the part of the configuration that it is, or is in, whose problems harm only itself; or none.
        refused: the keys taken so far whose values were wrong.
    """

    def __init__(
        self,
        name: str,
        values: dict[str, Any],
        origins: dict[str, str],
        problems: Problems,
        part: str = "",
    ) -> None:
        self.name = name
        self.part = part
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
            lacks = error.lacks if isinstance(error, Lacking) else ()
            self.problem(key, value, str(error), *lacks)
            return default

    def table(self, key: str, part: str = "") -> Table:
        """A table inside this one; empty where there is none. `part`: it is a part, of that name."""
        self._known.add(key)
        value = self._values.pop(key, {})
        values = value if isinstance(value, dict) else {}
        made = Table(self._dotted(key), values, self._origins, self._problems, part or self.part)
        if values is not value:
            made.problem("", value, f"a table [{made.name}]")
        return made

    def rows(self, key: str) -> list[Table]:
        """The tables of an array of tables inside this one; none where there is none."""
        self._known.add(key)
        rows, name = self._values.pop(key, []), self._dotted(key)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            self.problem(key, rows, f"tables, each below a [[{name}]]")
            return []
        return [
            Table(f"{name}[{number}]", row, self._origins, self._problems, self.part)
            for number, row in enumerate(rows, 1)
        ]

    def tables(self, *, parts: bool = True) -> Iterator[tuple[str, Table]]:
        """Every key that is left, as a table inside this one; `parts`: each a part of its own."""
        for key in list(self._values):
            yield key, self.table(key, key if parts else "")

    def anew(self, problems: Problems) -> Table:
        """The same table, nothing of it taken; what is wrong is added to these problems."""
        return Table(self.name, self._values, self._origins, problems, self.part)

    def problem(self, key: str, value: object, expected: str, *lacks: Lack) -> None:
        """Say that a value taken before is wrong after all; `lacks`: it is right, and that is not here."""
        name = self._dotted(key) if key else self.name
        self._problems.add(self.origin(key), name, value, expected, part=self.part, lacks=lacks)

    def done(self) -> None:
        """What has not been taken is unknown: a problem each, with the nearest known key."""
        for key, value in self._values.items():
            near = get_close_matches(key, sorted(self._known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = f"known are {', '.join(sorted(self._known))}"
            said = ours(self.name, key)
            expected = f"no such key here; {said or known}{'' if said else hint}"
            self.problem(key, value, expected)

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
