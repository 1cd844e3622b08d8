"""Requests of a web server, folded: some ban at once, since nobody asks for such a path; others are counted.

They are folded apart from attempts to log in, since one event stands for many requests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from fnmatch import fnmatchcase

from streams.forgetting import Forgetting
from streams.jail import JailState
from streams.rates import RateJail
from streams.routes import REQUEST, Routes
from streams.runs import PATH, TIMES, Run, RunRow, value_in
from streams.subjects import Held
from streams.window import AT_SHIFT

DecidingLine = Callable[[], str | None]


class RequestFold(Forgetting, ABC):
    """The fold over requests.

    Attributes:
        routes: which jails an event concerns.
    """

    routes: Routes

    @abstractmethod
    def _trap(self, jail: JailState, ip: str, failure: int, why: str, line_of: DecidingLine) -> None:
        """Ban for one failure."""

    @abstractmethod
    def _new(self, jail: JailState, subject: str, row: RunRow, failure: int) -> bool:
        """Count a failure of an address that is no subject itself."""

    @abstractmethod
    def _beneath(self, jail: JailState, subject: str, above: Held, failures: int) -> None:
        """Count failures of a subject in the ban of its network."""

    @abstractmethod
    def _judge(self, jail: JailState, ip: str, failure: int, line_of: DecidingLine) -> None:
        """Ban when a window that contains the failure is full."""

    def _take_requests(self, run: Run, line_of: Callable[[int], str | None]) -> None:
        """Fold the requests of a run."""
        for row in run.rows:
            if row[0] != REQUEST:
                continue
            index = row[3]
            self._begin(run.base + index)
            self.advance(row[1])
            failure = (row[1] << AT_SHIFT) + run.base + index
            for jail in self.routes[run.route]:
                decoy = _decoy_of(jail, row)
                if decoy is not None:
                    why = f'decoy path "{decoy}"'
                    self._trap(jail, row[2], failure, why, lambda: line_of(index))  # noqa: B023 - called before the next row
                elif isinstance(jail, RateJail):
                    self._ask(jail, row, failure, lambda: line_of(index))  # noqa: B023 - as above

    def _ask(self, jail: RateJail, row: RunRow, failure: int, line_of: DecidingLine) -> None:
        """Count what one event stands for, and ban when that fills a window."""
        times: int = value_in(row, TIMES, 1)
        jail.failures += times
        subject = jail.subject_of(row[2])
        self.touched.add(subject)
        above, held = jail.beneath(subject), jail.held_by(subject)
        if above is not None:
            self._beneath(jail, subject, above, times)
        elif held is not None:
            held.while_banned += times
        elif self._new(jail, subject, row, failure):
            self._judge(jail, subject, failure, line_of)


def _decoy_of(jail: JailState, row: RunRow) -> str | None:
    """The decoy of a jail that a request asks for; None: none."""
    path = value_in(row, PATH)
    if path is None:
        return None
    return next((each for each in jail.rules.decoy_paths if fnmatchcase(path, each)), None)
