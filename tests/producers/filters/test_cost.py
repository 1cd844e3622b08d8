"""What a line costs grows with its length, not faster: its own pieces repeated are read in milliseconds."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator

import pytest

from producers.filters import NativeFilter, every_filter
from producers.filters.entries import unwrap

FILTERS = [each for each in every_filter() if each.engine is None]
LENGTH = 8_192
MOST_S = 0.04
"""Of processor time. The costliest reads such a line in a third of it; one that looks at each part of a line
again for each of its parts takes a multiple."""
LINES = 60
TRIES = 3


def long_lines(filter_: NativeFilter, chance: random.Random) -> Iterator[str]:
    """Samples in which a word, or the line from it on, is repeated up to the length."""
    for sample in filter_.samples:
        text = sample.text.rpartition("\n")[2]
        for word in re.finditer(r"[^\s\"'\[\]<>(){},;=|]+", text):
            for piece in (word[0], f"{word[0]} ", text[word.start() :], text[: word.end()]):
                if chance.random() < 0.5:
                    yield text[: word.start()] + (piece * (LENGTH // len(piece) + 1)) + text[word.end() :]


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda each: each.name)
def test_a_line_of_repeated_pieces_costs_milliseconds(filter_: NativeFilter) -> None:
    """Whatever a client repeats, the filter is done with the line long before it would be broken off."""
    chance = random.Random(filter_.name)
    lines = list(long_lines(filter_, chance))
    for line in chance.sample(lines, min(LINES, len(lines))):
        entry = unwrap(line.encode())
        filter_.rules.first(entry)
        assert min(cost_s(filter_, entry) for _ in range(TRIES)) < MOST_S, line[:300]


def cost_s(filter_: NativeFilter, entry: object) -> float:
    """The processor time of one look at an entry."""
    began = time.process_time()
    filter_.rules.first(entry)  # type: ignore[arg-type]
    return time.process_time() - began
