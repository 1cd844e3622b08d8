"""Bounds: the same for every reader, and wide enough for what is computed within them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from schemas.bounds import (
    LAST_INSTANT_MS,
    LAST_TOLD_MS,
    LONGEST_MS,
    MOST_LABELS,
    MOST_PORT,
    MOST_POSITION,
    MOST_TIMES,
    NAME_CHARACTERS,
    STATEMENT_CHARACTERS,
    TEXT_CHARACTERS,
)
from schemas.codec import AuthLine, decode, encode, read_events
from schemas.durations import parse_duration
from schemas.errors import InvalidMessage
from schemas.records import Record
from tests.schemas.examples import EXAMPLES

SYSTEM = (0, 2**32 - 1)
INSTANT, TOLD, DURATION = (0, LAST_INSTANT_MS), (0, LAST_TOLD_MS), (0, LONGEST_MS)
NUMBERS = {
    "auth": {
        "at_ms": TOLD,
        "seen_at_ms": TOLD,
        "position": (0, MOST_POSITION),
        "port": (0, MOST_PORT),
        "asn": SYSTEM,
        "times": (1, MOST_TIMES),
    },
    "command": {"at_ms": TOLD, "duration_ms": DURATION},
    "tick": {"at_ms": TOLD},
    "rules": {"at_ms": TOLD},
    "ban": {"at_ms": INSTANT, "until_ms": INSTANT, "findtime_ms": DURATION, "asn": SYSTEM},
    "unban": {"at_ms": INSTANT},
    "prolong": {"at_ms": INSTANT, "until_ms": INSTANT},
    "alert": {"at_ms": INSTANT, "minute_ms": INSTANT, "count": (0, MOST_POSITION)},
    "standing": {"decided_at_ms": INSTANT},
    "enforcement": {"at_ms": INSTANT, "delay_ms": (-LAST_INSTANT_MS, LAST_INSTANT_MS)},
    "heartbeat": {"at_ms": INSTANT, "lag_ms": DURATION},
    "deadletter": {"at_ms": INSTANT},
}
NAMES = {
    "auth": ("filter", "filter_version", "source", "incarnation", "service", "host", "as_name"),
    "command": ("id", "who", "jail"),
    "rules": ("version",),
    "ban": ("id", "jail", "rules", "who", "as_name"),
    "unban": ("id", "jail", "ban", "who"),
    "prolong": ("id", "jail", "ban", "who"),
    "alert": ("id", "jail", "rules"),
    "standing": ("decision",),
    "enforcement": ("decision", "host", "backend"),
    "heartbeat": ("host", "backend"),
    "deadletter": ("topic",),
}
TEXTS = {
    "auth": ("user", "line", "path"),
    "command": ("why",),
    "ban": ("why",),
    "unban": ("why",),
    "prolong": ("why",),
}
STATEMENTS = {"enforcement": ("detail",), "heartbeat": ("observing",), "deadletter": ("reason", "line")}
TYPICAL = {pair[0].TYPE: pair[0] for pair in EXAMPLES}


def changed(record: Record, field: str, value: Any) -> bytes:
    """A record's line with another value in a field."""
    return orjson.dumps({**orjson.loads(encode(record)), field: value})


def check(record: Record, field: str, *, fits: list[Any], beyond: list[Any]) -> None:
    """Both readers take what fits, at once, and refuse what is beyond, with the field."""
    for value in fits:
        line = changed(record, field, value)
        assert getattr(decode(line), field) == value
        assert record.TYPE != "auth" or isinstance(read_events(line)[0], AuthLine)
    for value in beyond:
        line = changed(record, field, value)
        with pytest.raises(InvalidMessage) as refused:
            decode(line)
        assert refused.value.field == field
        assert len(str(refused.value)) < 100
        assert str(read_events(line)[0]) == str(refused.value)


@pytest.mark.parametrize(
    ("record", "field", "low", "high"),
    [
        pytest.param(TYPICAL[name], field, *bounds, id=f"{name}.{field}")
        for name, fields in NUMBERS.items()
        for field, bounds in fields.items()
    ],
)
def test_a_number_is_within_its_bounds(record: Record, field: str, low: int, high: int) -> None:
    """The bounds are numbers still; one further is refused, by whichever reader, and names the field."""
    beyond = [low - 1, high + 1, -(2**63), 2**62, 2**63 - 1]
    check(record, field, fits=[low, high], beyond=beyond)


@pytest.mark.parametrize(
    ("record", "field", "most"),
    [
        pytest.param(TYPICAL[name], field, most, id=f"{name}.{field}")
        for group, most in (
            (NAMES, NAME_CHARACTERS),
            (TEXTS, TEXT_CHARACTERS),
            (STATEMENTS, STATEMENT_CHARACTERS),
        )
        for name, fields in group.items()
        for field in fields
    ],
)
def test_a_text_is_no_longer_than_its_bound(record: Record, field: str, most: int) -> None:
    """Characters count, whatever each takes in bytes or in JSON."""
    check(record, field, fits=["x" * most, "\U0001f600" * most], beyond=["x" * (most + 1), "\0" * (1 << 20)])


def test_labels_are_as_many_as_their_bound() -> None:
    """And each name and each value is as long as a name."""
    long, longer = "x" * NAME_CHARACTERS, "x" * (NAME_CHARACTERS + 1)
    many = {str(number): "" for number in range(MOST_LABELS)}
    beyond: list[dict[str, str]] = [{**many, "more": ""}, {longer: ""}, {"": longer}]
    check(TYPICAL["auth"], "labels", fits=[many, {long: long}], beyond=beyond)


@pytest.mark.parametrize(
    ("hold", "field"),
    [
        ({"until_ms": LAST_INSTANT_MS + 1}, "holds.until_ms"),
        ({"ports": [MOST_PORT + 1]}, "holds.ports"),
        ({"jail": "x" * (NAME_CHARACTERS + 1)}, "holds.jail"),
        ({"labels": {str(number): "" for number in range(MOST_LABELS + 1)}}, "holds.labels"),
    ],
)
def test_what_is_within_a_record_has_bounds_too(hold: dict[str, Any], field: str) -> None:
    """A hold's fields, each of its ports, each deciding line of a ban."""
    holds = [{"jail": "sshd", "ban": "0-1-2-3", "until_ms": None, **hold}]
    with pytest.raises(InvalidMessage) as refused:
        decode(changed(TYPICAL["standing"], "holds", holds))
    assert refused.value.field == field
    with pytest.raises(InvalidMessage, match=r"^lines: "):
        decode(changed(TYPICAL["ban"], "lines", ["", "x" * (TEXT_CHARACTERS + 1)]))


def test_an_instant_that_was_told_and_two_durations_are_an_instant() -> None:
    """What a decider computes of what it was told can be read, has a date, and is exact as a double."""
    assert LAST_TOLD_MS + 2 * LONGEST_MS <= LAST_INSTANT_MS < 2**53
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    last = datetime.max.replace(microsecond=999_000, tzinfo=UTC)
    assert epoch + timedelta(milliseconds=LAST_INSTANT_MS) == last
    assert parse_duration("1000y") == LONGEST_MS
