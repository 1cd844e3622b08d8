"""No line takes longer than 50 ms: a match that does is broken off.

`re` looks for signals while it matches, so a timer can end it. One timer runs through a whole scan and ticks
every 12.5 ms of processor time; at each tick the line in hand is compared with the one at the tick before: a
line that is in hand at the fourth tick in a row is broken off. What a line costs is one assignment.

Where several filters are asked about a line (`producers.filters.plan`) they have the 50 ms together, in two
turns: the filter that is at work when the first 25 ms are over is left out of this line, the ones behind it
have 25 ms more. So a line that one filter reads slowly is still everybody else's; to keep it from a filter a
client would have to slow down two others that are asked before it.

A tick raises only where code of a filter, or the function that opened the guard, is itself at work. What a
signal's handler raises elsewhere may come to nothing: Python prints and forgets what is raised while it
collects garbage, in a `__del__` or in a weak reference's callback. There a tick leaves it to the next one.

Only the main thread is bounded: elsewhere Python delivers no signals. The sshd filter's own code
(`producers.filters.sshd_matcher`) is not: its one expression reads a line in time that grows with its length.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import AnyStr, Final

TICK_S: Final = 0.0125
TICKS: Final = 4
"""As many as a line may see in hand."""
TURNS: Final = 2
"""Into so many is a line's time cut where several filters share it."""
NO_LINE: Final = -1
TOO_SLOW: Final = "lines that took too long, and were skipped"
MOST_EXCERPTS: Final = 8
EXCERPT_BYTES: Final = 120
AT_WORK: Final = (f"{Path(__file__).parent}/", f"{Path(re.__file__).parent}/")
"""Where the code is that a tick may end, the filters' and `re`'s: the garbage collector runs none of it."""


def skipped(notices: Counter[str], line: bytes) -> None:
    """Count a line that took too long; the first few are kept in part, to be found again."""
    notices[TOO_SLOW] += 1
    if notices[TOO_SLOW] <= MOST_EXCERPTS:
        notices[f"{TOO_SLOW}, such as {line[:EXCERPT_BYTES]!r}"] += 1


class TooSlow(Exception):  # noqa: N818 - said of a line, as StopIteration is of an iterator
    """The line in hand has taken too long."""


class Guard:
    """Knows which line is in hand, and for how many ticks it may be.

    Attributes:
        at: the line in hand, any number that differs from the line's before; NO_LINE: none.
    """

    __slots__ = ("_code", "_last", "_seen", "_ticks", "at")

    def __init__(self, ticks: int = TICKS, code: CodeType | None = None) -> None:
        self._ticks = ticks
        self._code = code
        self._seen = 0
        self.at = self._last = NO_LINE

    def tick(self, at_work: CodeType | None = None) -> None:
        """Raises TooSlow when the line in hand has seen all its ticks; it begins anew then.

        `at_work` is the code that is interrupted: where it may not be, the next tick raises.
        """
        self._seen = self._seen + 1 if self._last == self.at else 1
        self._last = self.at
        if self._seen >= self._ticks and self.at != NO_LINE and self._may_end(at_work):
            self.at = self._last = NO_LINE
            raise TooSlow

    def _may_end(self, code: CodeType | None) -> bool:
        return code is self._code or (code is not None and code.co_filename.startswith(AT_WORK))


_guards: list[Guard] = []


class bounded:  # noqa: N801 - a context manager, used as contextlib's functions are
    """A guard for one scan, whose lines may see so many ticks.

    Set its `at` before each line, and take TooSlow for an answer:

    ```python
    with bounded() as guard:
        for start in starts:
            guard.at = start
            try:
                match = expression.match(data, start)
            except TooSlow:
                ...  # record the line, go on with the next
    ```

    May be nested: the innermost counts.
    """

    __slots__ = ("_guard", "_timed")

    def __init__(self, ticks: int = TICKS) -> None:
        self._guard = Guard(ticks, sys._getframe(1).f_code)  # noqa: SLF001 - the function that opens it
        self._timed = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Guard:
        if self._timed:
            if not _guards:
                signal.signal(signal.SIGVTALRM, _on_tick)
                signal.setitimer(signal.ITIMER_VIRTUAL, TICK_S, TICK_S)
            _guards.append(self._guard)
        return self._guard

    def __exit__(self, *_error: object) -> None:
        self._guard.at = NO_LINE
        if self._timed:
            _guards.pop()
            if not _guards:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _on_tick(_number: int, frame: FrameType | None) -> None:
    if _guards:
        _guards[-1].tick(None if frame is None else frame.f_code)


def compiled(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """An expression that is compiled when a line first needs it: that is no part of the line's time."""
    if not _guards or threading.current_thread() is not threading.main_thread():
        return re.compile(source, flags)
    guard = _guards[-1]
    line, guard.at = guard.at, NO_LINE
    try:
        return re.compile(source, flags)
    finally:
        guard.at = line
