"""Time zones as people and the environment name them.

| text | zone |
|---|---|
| `Europe/Berlin`, `:Europe/Berlin`, `/etc/localtime` | of that name, or of that file |
| `CET-1CEST,M3.5.0,M10.5.0/3`, `<+03>-3` | by POSIX' rule (tzset(3)), which counts west of UTC |
| `+02:00`, `-0330`, `UTC`, `Z` | a fixed offset, which counts east of UTC |

A rule is handed to zoneinfo as the footer of a file without transitions (RFC 8536), so that one reader knows
all of its forms: months, Julian days, hours past midnight, the southern hemisphere.
"""

from __future__ import annotations

import os
import re
import struct
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from io import BytesIO
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

NAME: Final = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
OFFSET: Final = r"[+-]?\d{1,3}(?::\d\d){0,2}"
RULE: Final = re.compile(rf"({NAME}{OFFSET}(?:{NAME}(?:{OFFSET})?)?)(,[JM\d./:,+-]+)?")
SUMMER: Final = re.compile(rf"{NAME}{OFFSET}{NAME}(?:{OFFSET})?")
USUAL: Final = ",M3.2.0,M11.1.0"
"""What glibc takes for the days of change where a rule names none."""
FIXED: Final = re.compile(r"([+-])(\d\d):?(\d\d)?")
UTC_NAMES: Final = frozenset({"UTC", "GMT", "Z", "Etc/UTC"})
EXPECTED: Final = 'a zone such as "Europe/Berlin", "+02:00" or POSIX\' "CET-1CEST,M3.5.0,M10.5.0/3"'


def zone_of(text: str) -> tzinfo:
    """The zone that a text names. Raises ValueError, saying what was expected."""
    name = text.strip().removeprefix(":")
    fixed = FIXED.fullmatch(name)
    try:
        if name in UTC_NAMES:
            return UTC
        if fixed is not None:
            span = timedelta(hours=int(fixed[2]), minutes=int(fixed[3] or 0))
            return timezone(-span if fixed[1] == "-" else span)
        if name.startswith("/"):
            with Path(name).open("rb") as stream:
                return ZoneInfo.from_file(stream)
        return _named(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{EXPECTED}, not {text!r}") from error


def local_zone() -> tzinfo:
    """The zone that TZ names, an empty one being UTC's (tzset(3)); else that of /etc/localtime, else UTC."""
    named = os.environ.get("TZ", "/etc/localtime")
    try:
        return zone_of(named) if named.strip(":") else UTC
    except ValueError:
        return datetime.now(UTC).astimezone().tzinfo or UTC


def _named(name: str) -> tzinfo:
    """The zone of a name in the database, else of POSIX' rule: `EST5EDT` is both."""
    rule = RULE.fullmatch(name)
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        if rule is None:
            raise
    days = rule[2] or (USUAL if SUMMER.fullmatch(rule[1]) else "")
    zone = ZoneInfo.from_file(BytesIO(_file_of(rule[1] + days)))
    datetime(2026, 1, 1, tzinfo=zone).utcoffset()  # a day or more, which zoneinfo takes, datetime refuses
    return zone


def _file_of(rule: str) -> bytes:
    """A TZif file of version 2 that holds a rule alone: one local time type, which the rule overrules."""
    header = b"TZif2" + bytes(15) + struct.pack(">6L", 0, 0, 0, 0, 1, 4)
    types = struct.pack(">lBB", 0, 0, 0) + b"UTC\0"
    return (header + types) * 2 + b"\n" + rule.encode("ascii") + b"\n"
