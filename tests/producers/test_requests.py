"""Requests, sifted: which become events, and how many each stands for."""

from __future__ import annotations

import pytest

from producers.filters import load_filter
from producers.filters.rows import EventRow
from producers.frames import EventOrigin, auth_lines
from producers.requests import RequestSieve
from producers.stamps import LineClock
from schemas.codec import AuthLine

NOW_MS = 1_795_338_000_000
DATA = b"".join(
    b'%b - - [22/Nov/2026:09:00:%02d +0000] "GET %b HTTP/1.1" 200 1 "-" "-"\n' % each
    for each in (
        (b"192.0.2.7", 0, b"/"),
        (b"192.0.2.7", 0, b"/a?token=secret"),
        (b"192.0.2.8", 0, b"/b"),
        (b"192.0.2.7", 0, b"//%57P-login.php?x"),
        (b"192.0.2.7", 0, b"/c"),
        (b"192.0.2.7", 1, b"/d/../.ENV.bak"),
        (b"192.0.2.7", 1, b"/e"),
    )
)


def found() -> list[EventRow]:
    """The requests of the lines."""
    return load_filter("requests").matcher().scan(DATA, LineClock(NOW_MS, "offline"))


def events(sieve: RequestSieve) -> list[AuthLine]:
    """What becomes of them."""
    origin = EventOrigin(load_filter("requests"), "file:/x", "0", 1_000, NOW_MS, {})
    return auth_lines(DATA, sieve.sift(found()), origin)


@pytest.mark.parametrize(
    ("decoys", "counted", "kept"),
    [
        ((), False, []),
        (("/wp-login.php", "/.env*"), False, [("/wp-login.php", 1), ("/.env.bak", 1)]),
        ((), True, [("/b", 1), ("/c", 4), ("/e", 2)]),
        (("/wp-login.php",), True, [("/b", 1), ("/wp-login.php", 1), ("/c", 3), ("/e", 2)]),
    ],
)
def test_what_becomes_of_requests(
    decoys: tuple[str, ...],
    counted: bool,  # noqa: FBT001 - a table's column
    kept: list[tuple[str, int]],
) -> None:
    """Decoys stand alone, however spelt; the rest of one address and second is one, at its last line."""
    told = events(RequestSieve(decoys, counted=counted))
    assert [(each.path, each.times) for each in told] == kept
    positions = [each.position for each in told]
    assert positions == sorted(set(positions))
    assert all(each.kind == "request" and each.line.startswith("192.0.2.") for each in told)


def test_no_request_is_lost_or_counted_twice() -> None:
    """However the lines are cut into pieces, the events of each address and second stand for as many."""
    rows = found()
    for cut in range(len(rows) + 1):
        sieve = RequestSieve((), counted=True)
        told = [*sieve.sift(rows[:cut]), *sieve.sift(rows[cut:])]
        assert sum(int((row[10] or {}).get("times", 1)) for row in told) == len(rows)


def test_a_query_is_no_part_of_a_path() -> None:
    """It may hold secrets; the line has what the log has."""
    (_, path) = (each[10]["path"] for each in found()[:2] if each[10])
    assert path == "/a"
