"""What CrowdSec's `cscli` lists as JSON: decisions are bans, the items of allow-lists are allows.

| file | holds |
|---|---|
| `cscli decisions list -o json` | alerts, each with its `decisions`: scope, value, type, duration left |
| `cscli allowlists list -o json`, or `inspect` | lists, or one, each with its `items`: value, expiration |

A duration is Go's (`3h59m50.9s`, negative when it is over), and was left when the file was written. Formats:
the documentation of cscli, https://docs.crowdsec.net/docs/next/cscli/cscli
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

import orjson

from banstream import values
from banstream.importing.commands import Elsewhere
from schemas.bounds import LONGEST_MS, TEXT_CHARACTERS
from schemas.errors import ConfigError

OVER: Final = "over"
WHO: Final = "import crowdsec"
MOST_BYTES: Final = 512 << 20
SCOPES: Final = frozenset({"ip", "range"})
NEVER: Final = 1
"""The year of Go's zero time: an item of an allow-list that does not end."""
DURATION: Final = re.compile(r"(-?)((?:\d{1,9}(?:\.\d{1,9})?(?:h|ms|us|µs|ns|m|s))+)")
PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
UNITS_MS: Final = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1, "us": 1e-3, "µs": 1e-3, "ns": 1e-6}

Json = dict[str, Any]


@dataclass(slots=True)
class Listed:
    """What files list.

    Attributes:
        left_out: what is not taken over, and how often, by why.
    """

    decided: list[Elsewhere] = field(default_factory=list[Elsewhere])
    left_out: Counter[str] = field(default_factory=Counter[str])


def read_lists(files: list[Path]) -> Listed:
    """All that files list. Raises ConfigError: one cannot be read, or is no list of cscli's."""
    found = Listed()
    for file in files:
        try:
            state = file.stat()
            if state.st_size > MOST_BYTES:
                raise ConfigError(f"{file}: {state.st_size} bytes; {MOST_BYTES} at most are read")
            listed = orjson.loads(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
        except orjson.JSONDecodeError as error:
            raise ConfigError(
                f"{file}: no JSON ({error}); expected what `cscli ... -o json` prints"
            ) from error
        for table in _tables(listed, file):
            _take(table, round((time.time() - state.st_mtime) * 1_000), found)
    return found


def _tables(listed: object, file: Path) -> Iterator[Json]:
    """The alerts or lists of a file; cscli writes null for none."""
    tables = [] if listed is None else listed if isinstance(listed, list) else [listed]
    for table in cast("list[object]", tables):
        if not isinstance(table, dict) or not {"decisions", "items"} & table.keys():
            raise ConfigError(
                f"{file}: neither decisions nor allow-lists; expected what `cscli decisions list -o json` or "
                "`cscli allowlists list -o json` prints"
            )
        yield cast("Json", table)


def _take(table: Json, age_ms: int, found: Listed) -> None:
    for key, read in (("decisions", _ban), ("items", _allow)):
        for each in table.get(key) or []:
            try:
                decided = read(each, table, age_ms)
            except (ValueError, TypeError, AttributeError, KeyError):
                found.left_out["not of the form that cscli writes"] += 1
                continue
            if isinstance(decided, str):
                found.left_out[decided] += 1
            else:
                found.decided.append(decided)


def _ban(each: Json, alert: Json, age_ms: int) -> Elsewhere | str:
    """A decision as a ban; a text: why it is none here."""
    scope, kind = str(each["scope"]), str(each["type"])
    if kind.lower() != "ban" or each.get("simulated") is True:
        return f"simulated, or of type {kind[:20]}: here are bans alone"
    if scope.lower() not in SCOPES:
        return f"of scope {scope[:20]}: here addresses and networks are banned"
    left_ms = min(_duration_ms(str(each["duration"])) - age_ms, LONGEST_MS)
    if left_ms <= 0:
        return OVER
    scenario = str(each.get("scenario", ""))
    return Elsewhere(
        verb="ban",
        prefix=values.prefixes(str(each["value"]))[0],
        duration_ms=left_ms,
        who=WHO,
        why=f"CrowdSec: {scenario}"[:TEXT_CHARACTERS],
        since=f"{each.get('id')} {alert.get('created_at')}",
    )


def _allow(each: Json, list_: Json, age_ms: int) -> Elsewhere | str:
    """An item of an allow-list as an allow; a text: why it is none here."""
    del age_ms
    end = datetime.fromisoformat(each["expiration"]) if each.get("expiration") else None
    left_ms = None
    if end is not None and end.year > NEVER:
        left_ms = min(round((end.timestamp() - time.time()) * 1_000), LONGEST_MS)
        if left_ms <= 0:
            return OVER
    said = f"CrowdSec's allow-list {list_.get('name', '')}: {each.get('description', '')}"
    return Elsewhere(
        verb="allow",
        prefix=values.prefixes(str(each["value"]))[0],
        duration_ms=left_ms,
        who=WHO,
        why=said[:TEXT_CHARACTERS].rstrip(": "),
        since=f"{each.get('created_at')}",
    )


def _duration_ms(text: str) -> int:
    found = DURATION.fullmatch(text)
    if found is None:
        raise ValueError("a duration of Go's")
    length = sum(float(number) * UNITS_MS[unit] for number, unit in PART.findall(found[2]))
    return round(-length if found[1] else length)
