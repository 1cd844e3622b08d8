"""Requests of a web server, sifted: which become events of their own, which are counted, which are none.

| a request | becomes |
|---|---|
| of a path that some jail has as a decoy | an event |
| any other, where some jail counts requests | one of its address's in that second, which are one event |
| any other | none |

A path is taken as a server reads it (producers.filters.native.targets): decoded, without `//`, `/../`,
parameters and query, in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from operator import itemgetter
from typing import Final

from producers.filters.rows import EventRow

REQUEST: Final = "request"
PATH: Final = "path"
TIMES: Final = "times"
NO_FIELDS: Final[Mapping[str, str]] = {}


class RequestSieve:
    """What jails want of requests: the paths that are decoys, as shell patterns; whether others count."""

    def __init__(self, decoys: Iterable[str], *, counted: bool) -> None:
        self._decoys = pattern_of(decoys)
        self._counted = counted

    def sift(self, rows: Sequence[EventRow]) -> list[EventRow]:
        """The rows that become events, in the order of their lines; what is no request is let be."""
        kept: list[EventRow] = []
        counted: dict[tuple[int, str], tuple[int, EventRow]] = {}
        for row in rows:
            if row[0] != REQUEST or self._is_decoy(row):
                kept.append(row)
            elif self._counted:
                key = row[1], row[2]
                counted[key] = counted.get(key, (0, row))[0] + 1, row
        for times, row in counted.values():
            kept.append(row if times == 1 else (*row[:10], {**(row[10] or NO_FIELDS), TIMES: str(times)}))
        kept.sort(key=itemgetter(3))
        return kept

    def _is_decoy(self, row: EventRow) -> bool:
        if self._decoys is None:
            return False
        return self._decoys.match((row[10] or NO_FIELDS).get(PATH, "")) is not None


def pattern_of(decoys: Iterable[str]) -> re.Pattern[str] | None:
    """What matches a path that one of these shell patterns does; None where there is none."""
    wanted = [translate(each) for each in sorted(set(decoys))]
    return re.compile("|".join(wanted)) if wanted else None
