"""The bans in fail2ban's database, read while it runs or not; nothing is written, and no row is believed.

Its table `bips` has the last ban of each address and jail: ip, jail, timeofban and bantime in seconds (-1:
for ever), bancount. Its size, its texts and the time that a query takes are bounded here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from banstream import values
from banstream.show import printable
from eventlog.trust import doubt
from schemas.bounds import LAST_TOLD_MS, LONGEST_MS
from schemas.errors import ConfigError

MOST_ROWS: Final = 1_000_000
LONGEST_S: Final = 20.0
BUSY_S: Final = 5.0
STEPS: Final = 100_000
QUERY: Final = (
    "SELECT ip, jail, timeofban, bantime, bancount FROM bips "
    "WHERE length(ip) <= 64 AND length(jail) <= 64 LIMIT ?"
)
TABLE: Final = "SELECT count(*) FROM sqlite_master WHERE name = 'bips' AND type = 'table'"
FOREVER_S: Final = -1
MOST_BANS: Final = 10_000
"""Beyond it a ban grows no longer by any formula that ends."""


@dataclass(frozen=True, slots=True)
class HeldBan:
    """A ban, in force or over.

    Attributes:
        since_s: when it began, as fail2ban has it, in Unix seconds.
        left_ms: how long it goes on, no more than 0 where it is over; None: for ever.
        number: the how-manieth of this address in this jail.
        over_ms: when it is over, in Unix milliseconds; None: never.
    """

    prefix: str
    jail: str
    since_s: int
    left_ms: int | None
    number: int
    over_ms: int | None = None


@dataclass(slots=True)
class HeldBans:
    """What the database has.

    Attributes:
        bans: those in force.
        over: the last of each address and jail whose ban is over.
        odd: how many rows are no ban of an address.
    """

    bans: list[HeldBan] = field(default_factory=list[HeldBan])
    over: list[HeldBan] = field(default_factory=list[HeldBan])
    odd: int = 0


def read_held(database: Path, now_s: float) -> HeldBans:
    """The bans in a database of fail2ban's. Raises ConfigError: it cannot be read, or not be believed."""
    found = HeldBans()
    for row in _rows(database):
        ban = _ban(row, now_s)
        if ban is None:
            found.odd += 1
            continue
        if ban.left_ms is not None and ban.left_ms <= 0:
            found.over.append(ban)
        else:
            found.bans.append(ban)
    return found


def _rows(database: Path) -> Iterator[tuple[Any, ...]]:
    try:
        if why := doubt(database):
            raise ConfigError(f"{database}: not read, since it cannot be trusted: {why}")
        uri = f"file:{quote(str(database.absolute()))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as connection:
            deadline = time.monotonic() + LONGEST_S
            connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
            connection.execute("PRAGMA trusted_schema = OFF")
            if connection.execute(TABLE).fetchone() != (1,):
                raise ConfigError(f"{database}: no database of fail2ban's: it has no table bips")
            rows = connection.execute(QUERY, (MOST_ROWS + 1,)).fetchall()
    except OSError as error:
        raise ConfigError(f"{database}: cannot be read: {error.strerror}; name it with --database") from error
    except sqlite3.Error as error:
        raise ConfigError(f"{database}: cannot be read: {printable(str(error))}") from error
    if len(rows) > MOST_ROWS:
        raise ConfigError(f"{database}: more than {MOST_ROWS} addresses; so many are not taken over")
    yield from rows


def _ban(row: tuple[Any, ...], now_s: float) -> HeldBan | None:
    """The ban that a row says; None: it says none of an address."""
    ip, jail, since_s, length_s, number = row
    if not isinstance(ip, str) or not isinstance(jail, str) or not jail:
        return None
    if not all(isinstance(each, int) for each in (since_s, length_s, number)):
        return None
    try:
        prefix = values.prefix(ip)
    except ValueError:
        return None
    left_ms = over_ms = None
    if length_s != FOREVER_S:
        over_ms = max(0, min((since_s + length_s) * 1_000, LAST_TOLD_MS))
        left_ms = min(length_s * 1_000, round((since_s + length_s - now_s) * 1_000), LONGEST_MS)
    return HeldBan(prefix, jail, since_s, left_ms, number, over_ms)
