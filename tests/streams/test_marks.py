"""How far sources are folded: bounded by number and size, and no sender pushes out another's."""

from __future__ import annotations

import orjson

from schemas.bounds import NAME_CHARACTERS
from streams.decider import Decider
from streams.inputs import NOBODY
from streams.marks import MOST_BYTES, MOST_MARKS, SHARE, Marks
from streams.state import dump_whole, load_whole
from tests.streams.folding import rules


def test_one_who_makes_up_sources_loses_his_own_marks_alone() -> None:
    """Ten times as many as there is room for: of the others none is gone, and the newest of his are there."""
    marks = Marks()
    honest = [(f"file:/{number}", "1", "sshd", f"web{number % 7}") for number in range(SHARE * 5)]
    for mark in honest:
        marks.move(mark, 7)
    for number in range(MOST_MARKS * 3):
        marks.move((f"made up {number}", "1", "sshd", "taken"), 1)
    assert len(marks) == MOST_MARKS
    assert all(marks[mark] == 7 for mark in honest)
    assert (f"made up {MOST_MARKS * 3 - 1}", "1", "sshd", "taken") in marks


def test_names_that_are_long_as_json_are_fewer() -> None:
    """Whatever is in them, a checkpoint stays a message that a log takes."""
    marks = Marks()
    for number in range(2_000):
        long = f"{number:\x01>{NAME_CHARACTERS}}"
        marks.move((long, long, long, NOBODY), number)
    assert 0 < len(marks) < 2_000
    whole = dump_whole(Decider(rules()), {}, marks)
    assert len(whole) < MOST_BYTES + 100_000
    _, _, again = load_whole(whole, 0)
    assert dict(again) == dict(marks)
    before = len(again)
    again.move(("x" * NAME_CHARACTERS, "y", "z", NOBODY), 1)
    assert len(again) <= before + 1


def test_what_moves_again_is_new_again() -> None:
    """The least recently moved goes first where nobody has more than his share."""
    marks = Marks()
    for number in range(MOST_MARKS):
        marks.move((str(number), "1", "sshd", f"web{number % 1_000}"), 1)
    marks.move(("0", "1", "sshd", "web0"), 2)
    marks.move(("new", "1", "sshd", "web5"), 1)
    assert ("0", "1", "sshd", "web0") in marks
    assert ("1", "1", "sshd", "web1") not in marks
    assert orjson.dumps(list(marks.items()))
