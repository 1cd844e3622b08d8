"""The alarm about unreadable lines: a flood of them, never one frame, and across restarts."""

from __future__ import annotations

from streams.poison import Poison


def test_one_frame_of_garbage_alarms_nobody() -> None:
    """However many lines a frame of garbage has, among readable ones it is no flood."""
    poison = Poison()
    for _ in range(20):
        poison.count(500, 0)
    poison.count(1_000_000, 1_000_000)
    assert not poison.alarming


def test_more_than_half_of_the_last_thousand_lines_is_a_flood() -> None:
    """Half of a full window is none yet, more than half is."""
    poison = Poison()
    for line in range(1_000):
        poison.count(1, line % 2)
    assert not poison.alarming
    poison.count(1, 1)
    poison.count(1, 1)
    assert poison.alarming


def test_readable_lines_end_a_flood() -> None:
    """A thousand readable lines push everything else out of the window."""
    poison = Poison(1_000, 1_000)
    for _ in range(10):
        poison.count(100, 0)
    assert not poison.alarming


def test_goes_on_where_it_was() -> None:
    """A window restored has what it had."""
    poison = Poison(1_000, 500)
    poison.count(2, 2)
    assert poison.alarming
