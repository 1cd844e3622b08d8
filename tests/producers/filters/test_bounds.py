"""A match that does not end is broken off."""

from __future__ import annotations

import gc
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from producers.filters.bounds import NO_LINE, Guard, TooSlow, bounded, compiled

ENDLESS = re.compile("(a+)+$")
BAIT = "a" * 40 + "b"
LONG = "a" * 24 + "b"
"""Seconds, and no more: a bound that has been lost fails a test and does not hang it."""


def test_an_endless_match_is_broken_off_and_the_next_line_goes_on() -> None:
    """A line costs 50 ms of processor time at most, give or take a tick; the next one is matched as ever."""
    with bounded() as guard:
        for number in range(2):
            guard.at = number
            began = time.process_time()
            with pytest.raises(TooSlow):
                ENDLESS.match(BAIT)
            assert time.process_time() - began < 1
        guard.at = 3
        assert ENDLESS.match("aaa")


@pytest.mark.parametrize(
    ("ticks", "lines", "broken"),
    [
        (4, [1, 1, 1, 1], [3]),
        (4, [1, 1, 1, 2, 2, 2, 1], []),
        (2, [1, 1, 2, 2, 2, 2], [1, 3, 5]),
        (2, [NO_LINE, NO_LINE, NO_LINE, 1, NO_LINE, 1], []),
        (1, [1, NO_LINE, 1], [0, 2]),
    ],
)
def test_a_line_may_see_so_many_ticks_in_a_row(ticks: int, lines: list[int], broken: list[int]) -> None:
    """At the last of them it is broken off; another line, or none, begins anew."""
    guard, found = Guard(ticks), []
    for number, line in enumerate(lines):
        guard.at = line
        try:
            guard.tick()
        except TooSlow:
            found.append(number)
    assert found == broken


def test_what_is_compiled_when_a_line_needs_it_is_no_part_of_its_time() -> None:
    """An expression that takes long to compile costs the first line nothing; matching has its bound still."""
    words = "|".join(f"{word:x}y[{word % 7}-9]" for word in range(20_000))
    with bounded() as guard:
        guard.at = 2
        began = time.process_time()
        assert compiled(words).match("ffy3")
        assert time.process_time() - began > 0.1
        assert guard.at == 2
        with pytest.raises(TooSlow):
            ENDLESS.match(BAIT)


def collecting(work: Callable[[], None]) -> None:
    """Work while the garbage collector runs."""

    def during(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            work()

    gc.callbacks.append(during)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(during)


class Dying:
    """Works when it is let go."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work

    def __del__(self) -> None:
        self._work()


def finalizing(work: Callable[[], None]) -> None:
    """Work while an object is let go."""
    Dying(work)


def calling_back(work: Callable[[], None]) -> None:
    """Work while a weak reference tells that its object is gone."""
    thing = Dying(lambda: None)
    reference = weakref.ref(thing, lambda _: work())
    del thing
    assert reference() is None


@pytest.mark.parametrize("way", [collecting, finalizing, calling_back])
def test_an_alarm_where_exceptions_are_lost_waits_for_the_match(
    way: Callable[[Callable[[], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time that runs out while Python cleans up breaks off the match that follows, and nothing before it."""
    lost: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    ended: list[bool] = []

    def busy() -> None:
        began = time.process_time()
        while time.process_time() - began < 0.15:
            pass
        ended.append(True)

    with bounded() as guard, pytest.raises(TooSlow):  # noqa: PT012 - raised by which is what matters
        guard.at = 1
        way(busy)
        ENDLESS.match(LONG)
    assert (lost, ended) == ([], [True])


def test_many_quick_lines_are_not_broken_off() -> None:
    """What lasts is the scan, not a line: nothing is broken off."""
    with bounded() as guard:
        began, number = time.process_time(), 0
        while time.process_time() - began < 0.2:
            guard.at = number = number + 1
    assert number > 100


def test_work_between_lines_is_not_broken_off() -> None:
    """Without a line in hand nothing is broken off, and after the scan the timer is off."""
    with bounded():
        began = time.process_time()
        while time.process_time() - began < 0.2:
            pass
    while time.process_time() - began < 0.3:
        pass


def test_a_scan_in_another_thread_runs_unbounded() -> None:
    """Python delivers signals to the main thread alone, so a thread's scan is let be."""
    ended: list[bool] = []

    def scan() -> None:
        with bounded() as guard:
            guard.at = 1
            ended.append(True)

    thread = threading.Thread(target=scan)
    thread.start()
    thread.join()
    assert ended == [True]
