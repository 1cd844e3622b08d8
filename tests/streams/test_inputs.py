"""Reading frames for the decider: what the codec reads counts, and what it refuses is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.contract import Message
from schemas.codec import MOST_LINES, decode, decode_frame, encode, encode_frame, to_wire
from schemas.errors import InvalidMessage
from schemas.records import (
    LINE_CHARACTERS,
    RECORDS,
    AuthEvent,
    Ban,
    Command,
    DeadLetter,
    ListChanged,
    RulesChanged,
    Tick,
)
from streams.inputs import ANY_FILTER, NOBODY, Frame, Mark, read_frame, read_told
from streams.partition import Partition
from streams.runs import Run
from tests.schemas.examples import EXAMPLES
from tests.streams.folding import T0, failure

EXAMPLE = {plain.TYPE: plain for plain, _ in EXAMPLES}
EVENT = failure("192.0.2.1", T0, 7, user="root", port=22, host="web")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65).filter(lambda number: -(2**63) <= number < 2**64),
    st.floats(allow_nan=False),
    st.sampled_from(["", "auth", "failed", "192.0.2.1", "192.0.2.1/24", "::ffff:192.0.2.1", "::1", "tick"]),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["x", 1])),
)


def read(*lines: bytes, marks: dict[Mark, int] | None = None) -> Frame:
    """A frame of these lines, read."""
    message = Message(0, 5, None, b"\n".join(lines), T0)
    return read_frame(message, marks or {}, selective=False, not_after_ms=T0 + 10**6)


@given(
    st.dictionaries(st.sampled_from([*to_wire(EVENT), "labels", "skewed", "new"]), VALUES, max_size=4),
    st.data(),
)
def test_a_line_counts_when_it_holds_an_event(changes: dict[str, Any], data: st.DataObject) -> None:
    """A line counts exactly when the codec reads an authentication event from it."""
    wire = {**to_wire(EVENT), **changes}
    for key in data.draw(st.sets(st.sampled_from(list(wire)), max_size=2)):
        del wire[key]
    line = orjson.dumps(wire)
    frame = read(line)
    (record,) = decode_frame(line)
    if isinstance(record, InvalidMessage):
        assert [str(each) for _, each in frame.refused] == [str(record)]
        assert frame.runs == []
    elif isinstance(record, AuthEvent):
        at_ms = min(record.at_ms, T0 + 10**6)
        if record.position > -1:
            (run,) = frame.runs
            assert isinstance(run, Run)
            assert (run.base, run.route) == (5 << 20, record.filter)
            assert list(run.rows) == [(record.kind, at_ms, record.ip, 0)]
    else:
        assert isinstance(record, Tick)
        assert frame.runs == [(0, record)]


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_refused_line_by_line_and_nothing_else_happens(lines: list[bytes]) -> None:
    """Garbage before and after good lines does not keep them from counting."""
    clean = [line.replace(b"\n", b"") for line in lines]
    frame = read(*clean, encode(EVENT), *clean)
    assert [row[2] for run in frame.runs if isinstance(run, Run) for row in run.rows] == ["192.0.2.1"]
    assert [index for index, _ in frame.refused] == [
        index for index in range(2 * len(clean) + 1) if index != len(clean)
    ]


def test_a_record_of_another_topic_is_refused() -> None:
    """A ban among the events is a mistake of somebody's, and is said to be."""
    ban = Ban(
        id="0-0-0-0", prefix="192.0.2.1", jail="a", at_ms=1, until_ms=2, count=3, ban_count=1, rules="x"
    )
    ((index, error),) = read(encode(EVENT), encode(ban)).refused
    assert index == 1
    assert "a record of type ban does not belong among the events" in str(error)


@pytest.mark.parametrize("name", [each.TYPE for each in RECORDS if each is not AuthEvent])
def test_among_the_events_nothing_else_counts(name: str) -> None:
    """Whoever may write events may say nothing else: an operator's word there is refused as any other."""
    record = EXAMPLE[name]
    frame = read(encode(record), encode(EVENT))
    assert [index for index, _ in frame.refused] == [0]
    assert len(frame.runs) == 1


@pytest.mark.parametrize("name", [each.TYPE for each in RECORDS])
def test_among_the_commands_only_operators_words_count(name: str) -> None:
    """Commands, rules and lists; an authentication event that stands there is refused."""
    frame = read_told("commands", Message(0, 0, None, encode(EXAMPLE[name]), T0))
    taken = name in {Command.TYPE, RulesChanged.TYPE, ListChanged.TYPE}
    assert (len(frame.runs), len(frame.refused)) == ((1, 0) if taken else (0, 1))


@pytest.mark.parametrize("name", [Command.TYPE, RulesChanged.TYPE, Tick.TYPE])
def test_in_a_log_of_before_they_count_where_they_stand(name: str) -> None:
    """Up to the offset at which a partition began to read commands from their own topic."""
    message = Message(0, 0, None, encode(EXAMPLE[name]), T0)
    frame = read_frame(message, {}, selective=False, not_after_ms=T0, mixed=True)
    assert len(frame.runs) == 1


def test_a_time_ahead_of_the_logs_own_is_taken_for_the_limit() -> None:
    """A shipper whose clock is a day ahead cannot move time for everybody."""
    late = orjson.dumps({**to_wire(EVENT), "at_ms": T0 + 86_400_000})
    (run,) = read(late).runs
    assert isinstance(run, Run)
    assert next(iter(run.rows))[1] == T0 + 10**6


def test_events_at_or_below_their_sources_mark_are_dropped() -> None:
    """Each source, incarnation and filter has a mark of its own; events of one line share a position."""
    lines = [
        orjson.dumps({**to_wire(EVENT), "position": position, "incarnation": incarnation, "filter": name})
        for incarnation, name, position in (
            ("1", "sshd", 6),
            ("1", "sshd", 7),
            ("1", "sshd", 7),
            ("2", "sshd", 3),
            ("1", "sshd", 9),
            ("1", "dovecot", 2),
        )
    ]
    log = "file:/var/log/auth.log"
    frame = read(*lines, marks={(log, "1", "sshd", NOBODY): 6})
    assert frame.sent_again == {(log, "1"): 1}
    assert frame.marks == {
        (log, "1", "sshd", NOBODY): 9,
        (log, "2", "sshd", NOBODY): 3,
        (log, "1", "dovecot", NOBODY): 2,
    }
    assert frame.line_of(1) == EVENT.line


def test_a_frame_of_one_route_is_one_run() -> None:
    """What is no event cuts it."""
    frame = read(encode_frame([EVENT]), encode(Tick(at_ms=T0)), encode(EVENT))
    assert [type(each) for each in frame.runs] == [Run, Run]


def test_a_mark_of_before_is_the_least_of_every_filter() -> None:
    """A state written when a source had one mark for all filters lets nothing count twice."""
    lines = [
        orjson.dumps({**to_wire(EVENT), "position": at, "filter": name}) for name in "ab" for at in (6, 7)
    ]
    log = ("file:/var/log/auth.log", "0")
    frame = read(*lines, marks={(*log, ANY_FILTER, NOBODY): 6, (*log, "b", NOBODY): 7})
    assert frame.sent_again.total() == 3
    assert frame.marks == {(*log, "a", NOBODY): 7}


def test_a_frame_that_is_too_large_is_one_dead_letter() -> None:
    """Whatever is in it, it is refused as a whole; its beginning is kept, and the next message is read."""
    partition = Partition()
    bomb = b"\n".join([encode(EVENT)] * (MOST_LINES + 1))
    (append,) = partition.decide([Message(0, 5, None, bomb, T0), Message(0, 6, None, encode(EVENT), T0)])
    letter = decode(append.value)
    assert isinstance(letter, DeadLetter)
    assert (letter.offset, letter.index, letter.line) == (5, 0, bomb[:LINE_CHARACTERS].decode())
    assert "more lines than" in letter.reason
    assert (partition.refused, partition.fold.events) == (1, 1)


def test_a_clock_far_behind_moves_no_event_before_1970() -> None:
    """Whatever a shipper says of its clock, what is decided of its events has an instant."""
    message = Message(0, 5, None, encode(EVENT), T0)
    frame = read_frame(message, {}, selective=False, not_after_ms=T0, behind_ms=-(10**15))
    (run,) = frame.runs
    assert isinstance(run, Run)
    assert [row[1] for row in run.rows] == [0]
