"""Who must not be banned by rules on trial: those whom a file names, or who logged in within the stretch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from banstream import values
from banstream.show import counted, instant, printable
from schemas.errors import ConfigError
from schemas.prefixes import PrefixSet
from schemas.records import Ban
from schemas.rules import MANUAL
from streams.runs import Run

SUCCESSES: Final = "successes"
SUCCEEDED: Final = "succeeded"
COMMENT: Final = "#"
MOST_LINES: Final = 1_000_000
SHOWN: Final = 60


@dataclass(slots=True)
class KnownGood:
    """Prefixes that must not be banned, and where each is said to be good.

    Attributes:
        file: the file that names them; None where they are who logged in.
        lines: the prefixes of the file, and their lines' numbers.
        logged_in: the addresses from which a login succeeded within the stretch, in order of appearance.
    """

    file: str | None = None
    lines: dict[str, int] = field(default_factory=dict)
    logged_in: dict[str, None] = field(default_factory=dict)
    _prefixes: PrefixSet | None = None
    _answers: dict[str, str | None] = field(default_factory=dict)

    def succeeded(self, addresses: Iterable[str]) -> None:
        """From these a login has succeeded."""
        if self.file is None:
            self.logged_in.update(dict.fromkeys(addresses))

    def hit_by(self, prefix: str) -> str | None:
        """Who is good and inside a prefix, or holds it; to be asked when all have logged in."""
        if self._prefixes is None:
            self._prefixes = PrefixSet(self.lines or self.logged_in)
        if prefix not in self._answers:
            found = self._prefixes.covering(prefix)
            wide = found is None and "/" in prefix
            self._answers[prefix] = self._prefixes.inside(prefix) if wide else found
        return self._answers[prefix]

    def why(self, good: str) -> str:
        """Why somebody is good, in a few words."""
        return "it logged in" if self.file is None else f"{self.file}, line {self.lines[good]}"


@dataclass(frozen=True, slots=True)
class FalseBan:
    """A ban that holds somebody who is known to be good."""

    ban: Ban
    good: str
    why: str

    def to_wire(self) -> dict[str, Any]:
        """As `replay --known-good --json` prints it."""
        ban = self.ban
        return {
            "kind": "known_good",
            "good": self.good,
            "why": self.why,
            "prefix": ban.prefix,
            "jail": ban.jail,
            "at_ms": ban.at_ms,
            "until_ms": ban.until_ms,
            "count": ban.count,
        }

    def sentence(self) -> str:
        """The same for people."""
        ban = self.ban
        inside = "" if ban.prefix == self.good else f" (in {ban.prefix})"
        return printable(
            f"KNOWN GOOD  {self.good}{inside} would be banned by {ban.jail} at {instant(ban.at_ms)} "
            f"for {counted(ban.count, 'failure')}: {self.why}"
        )


def false_bans(good: KnownGood, bans: Sequence[Ban]) -> list[FalseBan]:
    """The bans of rules, not those of operators, that hold somebody who is good."""
    found = ((ban, good.hit_by(ban.prefix)) for ban in bans if ban.jail != MANUAL)
    return [FalseBan(ban, each, good.why(each)) for ban, each in found if each is not None]


def note_logins(good: KnownGood, runs: Sequence[Run], _decided: object) -> None:
    """Note from where logins have succeeded (banstream.trial.OnRuns)."""
    for run in runs:
        good.succeeded(row[2] for row in run.rows if row[0] == SUCCEEDED)


def read_known_good(named: str) -> KnownGood:
    """Of a file with an address or prefix a line, `#` and what follows being comment; or `successes`.

    Raises ConfigError that names file and line of what is neither.
    """
    if named == SUCCESSES:
        return KnownGood()
    try:
        text = Path(named).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(
            f"--known-good {named}: {reason}; expected a file of addresses and prefixes, or {SUCCESSES}"
        ) from error
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        said = line.partition(COMMENT)[0].strip()
        for prefix in _prefixes(named, number, said) if said else ():
            lines.setdefault(prefix, number)
    if not lines or len(lines) > MOST_LINES:
        raise ConfigError(
            f"--known-good {named}: {len(lines)} prefixes; expected 1 to {MOST_LINES}, one a line"
        )
    return KnownGood(named, lines)


def _prefixes(file: str, number: int, text: str) -> tuple[str, ...]:
    try:
        return values.prefixes(text)
    except ValueError as error:
        raise ConfigError(
            f"--known-good {file}, line {number}: {printable(text[:SHOWN])!r}: expected {error}"
        ) from error
