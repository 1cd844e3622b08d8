"""What is remembered of a stream is bounded, and survives a restart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.filters.memory import Memory
from schemas.errors import InvalidMessage


def pair(saved: Any) -> tuple[str, int]:
    """What was saved of one."""
    key, value = saved
    return key, int(value)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers())), st.integers(1, 4))
def test_the_newest_are_kept(kept: list[tuple[str, int]], most: int) -> None:
    """Of more than so many keys the oldest goes; one that is kept again is the newest."""
    memory: Memory[str, int] = Memory(most)
    for key, value in kept:
        memory.keep(key, value)
    newest = list(dict(reversed(kept)))[:most]
    assert list(memory) == newest[::-1]
    assert all(memory[key] == dict(kept)[key] for key in newest)


def test_it_goes_on_in_the_same_order() -> None:
    """Saved and loaded, the next to go is the one that would have gone."""
    one: Memory[str, int] = Memory(2)
    for key in "bac":
        one.keep(key, 1)
    other: Memory[str, int] = Memory(2)
    other.keep("x", 0)
    other.load(json.loads(json.dumps(one.save(lambda key, value: [key, value]))), pair, "sessions")
    assert list(other.items()) == list(one.items()) == [("a", 1), ("c", 1)]


@pytest.mark.parametrize("saved", [None, 1, [1], [["a"]], [["a", "x"]], [[[], 1]]])
def test_what_is_no_memory_is_refused_and_changes_nothing(saved: Any) -> None:
    """The error names the field, and what was remembered stays."""
    memory: Memory[str, int] = Memory(2)
    memory.keep("a", 1)
    with pytest.raises(InvalidMessage) as caught:
        memory.load(saved, pair, "sessions")
    assert caught.value.field == "sessions"
    assert memory == {"a": 1}
