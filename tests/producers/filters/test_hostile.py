"""No client can have another address banned: hostile lines ban nobody but the true source."""

from __future__ import annotations

import os
import random
from datetime import UTC
from itertools import islice

import pytest

from producers.filters import NativeFilter, every_filter
from producers.filters.rows import IP
from producers.filters.samples import CLOCK
from producers.stamps import Stamps
from tests.producers.filters.hostile import FOREIGN, hostile_lines

LINES = int(os.environ.get("BANSTREAM_HOSTILE_LINES", "40000"))
"""In all; a million takes about three minutes."""
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
