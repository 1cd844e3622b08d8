"""What services write when they start, are used as they should be, and stop is no failed login and no probe.

`ordinary_lines.tsv` has a line's service, where it is from, and the line. "started": the service,
as Debian 12 has it, was started, used (a login, a request, a mail, a query) and stopped, and wrote
the line; times are set to one day, names and addresses are examples. "recalled": the service could
not be started there, or not in that state, and the line is written as the service is known to
write it, checked against no source. Failed logins at a terminal, without a client's address, are
among them: there is nobody to ban.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from producers.filters import every_filter
from producers.filters.plan import Plan
from producers.filters.rows import EventRow
from producers.filters.samples import CLOCK, scan

LIBRARY = every_filter()
FILTERS = {each.name: each for each in LIBRARY}
TABLE = [
    line.split("\t", 2)
    for line in Path(__file__).with_name("ordinary_lines.tsv").read_text(encoding="utf-8").splitlines()
]
SERVICES = {service: [row[2] for row in rows] for service, rows in groupby(TABLE, lambda row: row[0])}


def accusations(rows: list[EventRow]) -> Iterator[tuple[str, str]]:
    """Kind and address of the events that speak against somebody."""
    return ((row[0], row[2]) for row in rows if row[0] != "succeeded")


@pytest.mark.parametrize("service", SERVICES)
def test_an_ordinary_line_accuses_nobody(service: str) -> None:
    """Neither the whole library nor the service's own filter finds a failure or a probe in it."""
    for line in SERVICES[service]:
        plan = Plan(LIBRARY, 0)
        found = plan.scan(f"{line}\n".encode(), CLOCK)
        named = [
            (each.name, *event)
            for each, rows in zip(plan.filters, found, strict=True)
            for event in accusations(rows)
        ]
        assert (line, named) == (line, [])
        if service in FILTERS:
            assert (line, list(accusations(scan(FILTERS[service], line)))) == (line, [])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_starts_works_and_stops_accuses_nobody(service: str) -> None:
    """Its lines in one stream, where one may name the address for another, accuse nobody either."""
    plan = Plan(LIBRARY, 0)
    found = plan.scan("".join(f"{line}\n" for line in SERVICES[service]).encode(), CLOCK)
    named = {
        each.name: list(accusations(rows)) for each, rows in zip(plan.filters, found, strict=True) if rows
    }
    assert {name: events for name, events in named.items() if events} == {}


def test_the_table_is_of_a_hundred_services_and_more() -> None:
    """Services stand in order, each once, and most that a Debian has by itself were started."""
    services = [service for service, _ in groupby(TABLE, lambda row: row[0])]
    assert len(services) == len(set(services)) > 100
    assert len({row[0] for row in TABLE if row[1] == "started"}) > 50
    assert {row[1] for row in TABLE} == {"started", "recalled"}
