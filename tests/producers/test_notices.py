"""What many files say is one sentence."""

from __future__ import annotations

from producers.notices import MOST_NAMED, gathered


def test_a_few_are_named_and_of_many_the_first_alone() -> None:
    """With how often all of them said it; what was never said is not."""
    few = [(f"/a/{number}.log", "cut", 2) for number in range(MOST_NAMED)]
    assert gathered("/a/*.log", few) == {f"/a/{number}.log: cut": 2 for number in range(MOST_NAMED)}
    other = [("/b.log", "gone", 1), ("/b.log", "gone", 1), ("/c.log", "gone", 0)]
    assert gathered("/a/*.log", [*few, ("/a/9.log", "cut", 1), *other]) == {
        "/a/*.log: of several, /a/0.log among them: cut": 2 * MOST_NAMED + 1,
        "/b.log: gone": 2,
    }
