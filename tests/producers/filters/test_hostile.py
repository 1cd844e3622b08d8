"""No client can have another address banned: hostile lines ban nobody but the true source."""

from __future__ import annotations

import os
import random
from datetime import UTC
from itertools import islice

import pytest

from producers.filters import NativeFilter, every_filter
from producers.filters.plan import Plan
from producers.filters.rows import IP
from producers.filters.samples import CLOCK
from producers.stamps import Stamps
from tests.producers.filters.hostile import FOREIGN, borrowed_lines, hostile_lines, repeating_lines

LINES = int(os.environ.get("BANSTREAM_HOSTILE_LINES", "40000"))
"""In all; a million takes about three minutes."""
NARROW = {"hestia"}
"""Whose log begins with the client's name, which the service takes only if it is a word."""
REPEATS = {"exim", "iis", "zimbra"}
"""Whose logs hold a name twice only if its blanks are in quotes (Exim), if it has none (IIS), or if there is
an account of the name (Zimbra)."""
FILTERS = [each for each in every_filter() if each.engine is None]


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda each: each.name)
def test_hostile_lines_ban_nobody_but_the_true_source(filter_: NativeFilter) -> None:
    """Whatever a client writes wherever he may write: an event is of the address that the service wrote."""
    chance = random.Random(f"{filter_.name} 1")
    samples = [each for each in filter_.samples if each.says]
    each_count = LINES // len(FILTERS) // len(samples)
    for sample in samples:
        for line in islice(hostile_lines(filter_, sample, chance), each_count):
            rows = filter_.matcher(Stamps(UTC)).scan(f"{line}\n".encode("utf-8", "replace"), CLOCK)
            assert FOREIGN not in [row[IP] for row in rows], line


@pytest.mark.parametrize(
    "filter_", [each for each in FILTERS if each.name not in REPEATS], ids=lambda each: each.name
)
def test_a_name_that_a_line_repeats_bans_nobody_but_the_true_source(filter_: NativeFilter) -> None:
    """A name in the prefix of a log may look like the rest of its line: it is of no other address."""
    matcher = filter_.matcher(Stamps(UTC))
    for sample in filter_.samples:
        for line in repeating_lines(filter_, sample):
            rows = matcher.scan(f"{line}\n".encode("utf-8", "replace"), CLOCK)
            assert FOREIGN not in [row[IP] for row in rows], line


@pytest.mark.parametrize("seed", range(4))
def test_no_client_of_one_service_speaks_for_another(seed: int) -> None:
    """With the whole library at hand, a line of one service in a client's words to another bans nobody."""
    sampled = [
        (each, sample)
        for each in FILTERS
        for sample in each.samples
        if sample.says and each.name not in NARROW
    ]
    lines = list(islice(borrowed_lines(sampled, random.Random(seed)), LINES // 4))
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    plan = Plan(every_filter(), 0)
    for filter_, rows in zip(plan.filters, plan.scan(data, CLOCK), strict=True):
        foreign = [data[start:end] for _, _, ip, start, end, *_ in rows if ip == FOREIGN]
        assert foreign == [], filter_.name
