"""Frames built from rows are what the codec writes for the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.filters import EventRow, load_filter
from producers.filters.native.filter import NativeFilter
from producers.frames import EVENTS_PER_FRAME, EventOrigin, appends, auth_lines, in_line_order
from producers.stamps import LineClock
from schemas.bounds import MOST_LABELS, MOST_PORT, NAME_CHARACTERS, TEXT_CHARACTERS
from schemas.codec import (
    MOST_BYTES,
    AuthLine,
    changed,
    decode,
    decode_frame,
    encode,
    encode_lines,
    read_events,
)
from schemas.records import LINE_CHARACTERS, AuthEvent
from schemas.topics import partition_of

SSHD = load_filter("sshd")
EVENT = AuthLine("auth", 1, "failed", 1, 1, "a", "1", "192.0.2.7", "file:/log", "1f", 0, "")


def origin(labels: Mapping[str, str] | None = None) -> EventOrigin:
    """Where the data is from."""
    return EventOrigin(SSHD, "file:/log", "1f", 1_000, 1_795_338_000_000, labels or {})


rows = st.tuples(
    st.sampled_from(("failed", "succeeded", "probed")),
    st.integers(0, 2**41),
    st.sampled_from(("192.0.2.7", "2001:db8::7")),
    st.just(0),
    st.just(0),
    st.none() | st.text(max_size=9).filter(lambda text: text.isprintable()),
    st.none() | st.integers(1, 65_535),
    st.none() | st.just("web"),
    st.booleans(),
    st.integers(0, 5),
    st.none() | st.just({"id": "a"}),
)


@given(rows, st.binary(max_size=3_000), st.dictionaries(st.just("site"), st.just("a")))
def test_a_line_equals_what_the_codec_writes(row: EventRow, data: bytes, labels: dict[str, str]) -> None:
    """Whatever the row and the bytes: the JSON is the codec's, byte for byte."""
    data = data.replace(b"\n", b"").rstrip(b"\r") + b"\n"
    kind, at_ms, ip, _, _, user, port, host, skewed, nth, _ = row
    event = AuthEvent(
        kind=kind,  # type: ignore[arg-type]
        at_ms=at_ms,
        seen_at_ms=1_795_338_000_000,
        filter="sshd",
        filter_version=SSHD.version,
        ip=ip,
        source="file:/log",
        incarnation="1f",
        position=1_000 + nth,
        line=data[:-1].decode("utf-8", "replace")[:LINE_CHARACTERS],
        user=user,
        port=port,
        service="sshd",
        host=host,
        labels=labels,
        skewed=skewed,
    )
    sized: EventRow = (*row[:4], len(data), *row[5:])
    line = encode_lines(auth_lines(data, [sized], origin(labels)))
    assert line == encode(event)
    assert decode(line) == event


@pytest.mark.parametrize("partitions", [1, 4])
def test_events_go_to_the_partition_of_their_address(partitions: int) -> None:
    """Each event is in its address's partition, in order, in frames of a bounded number."""
    data = b"".join(
        b"Nov 22 09:00:00 web sshd[%d]: Invalid user x from 192.0.%d.7 port 5\n" % (pid, pid % 200)
        for pid in range(2_000)
    )
    found = SSHD.matcher().scan(data, LineClock(1_795_338_000_000, "offline"))
    positions: list[int] = []
    for append in appends(auth_lines(data, found, origin()), partitions):
        events = decode_frame(append.value)
        assert len(events) <= EVENTS_PER_FRAME
        for event in events:
            assert isinstance(event, AuthEvent)
            assert partition_of(event.ip, partitions) == append.partition
            positions.append(event.position)
    assert sorted(positions) == [1_000 + row[3] for row in found]
    assert partitions > 1 or positions == sorted(positions)


@given(
    st.lists(
        st.sampled_from(
            [b'},{"type":"auth","v":', b"}\\n{", b"},{", b'"', b"\\", b'"type":"auth","v":1', b"x"]
        ),
        max_size=9,
    )
)
def test_no_text_can_forge_where_one_event_ends(parts: list[bytes]) -> None:
    """Whatever a line holds, a frame of three events is three events with that line."""
    data = b"".join(parts).rstrip() + b"\n"
    row = ("failed", 1, "192.0.2.7", 0, len(data), data[:-1].decode(), None, None, False, 0, None)
    events = decode_frame(encode_lines(auth_lines(data, [row, row, row], origin())))
    assert [event.line for event in events if isinstance(event, AuthEvent)] == [data[:-1].decode()] * 3


def test_what_several_filters_found_is_told_line_by_line() -> None:
    """Events of one line stay in the order of the filters; those of one filter in their own."""
    first, second = ([changed(EVENT, position=at, filter=name) for at in (5, 9)] for name in "ab")
    second[0].position = 2
    assert in_line_order([first, second]) == [second[0], first[0], first[1], second[1]]


def test_events_of_one_position_are_never_cut_apart() -> None:
    """What shares a position in two frames would be taken for sent again."""
    places = (*range(EVENTS_PER_FRAME - 1), 600, 600, 600, 601)
    events = [changed(EVENT, position=at) for at in places]
    first, second = (append.value.count(b"\n") + 1 for append in appends(events, 1))
    assert (first, second) == (EVENTS_PER_FRAME + 2, 1)


hostile_texts = st.none() | st.builds(
    str.__mul__, st.sampled_from(["", "x", "\0", "\ufffd", "\U0001f600"]), st.integers(1, 3_000)
)


@given(hostile_texts, hostile_texts, st.none() | st.integers(0, 99_999), st.binary(max_size=9))
def test_whatever_a_line_holds_its_event_can_be_read(
    user: str | None, host: str | None, port: int | None, text: bytes
) -> None:
    """A user, a host and a line of any length are cut to what readers take; a port is left out."""
    data = text.replace(b"\n", b"") * 500 + b"\n"
    row = ("failed", 1, "192.0.2.7", 0, len(data), user, port, host, False, 0, None)
    (event,) = read_events(encode_lines(auth_lines(data, [row], origin())))
    assert isinstance(event, AuthLine)
    assert event.user == (None if user is None else user[:TEXT_CHARACTERS])
    assert event.host == (None if host is None else host[:NAME_CHARACTERS])
    assert event.port == (port if port is not None and port <= MOST_PORT else None)
    assert event.line == data.rstrip(b"\r\n").decode("utf-8", "replace")[:LINE_CHARACTERS]


def test_a_frame_of_the_largest_events_can_be_read() -> None:
    """Control characters take six bytes each in JSON: then fewer events are in a frame, none is lost."""
    name, text = "\0" * NAME_CHARACTERS, "\0" * TEXT_CHARACTERS
    labels = {chr(number) + name[1:]: name for number in range(MOST_LABELS)}
    names = dict.fromkeys(("source", "incarnation", "filter", "service", "host"), name)
    large = changed(EVENT, line=text, user=text, labels=labels, **names)
    events = [changed(large, position=at) for at in range(700)]
    frames = [append.value for append in appends(events, 1)]
    assert max(map(len, frames)) <= MOST_BYTES
    assert [each for frame in frames for each in read_events(frame)] == events


def test_a_service_of_any_length_is_cut() -> None:
    """A filter of one's own may say anything."""
    assert isinstance(SSHD, NativeFilter)
    of_any_length = replace(SSHD, definition=replace(SSHD.definition, service="s" * 1_000))
    made = replace(origin(), filter=of_any_length)
    row = ("failed", 1, "192.0.2.7", 0, 1, None, None, None, False, 0, None)
    (event,) = read_events(encode_lines(auth_lines(b"\n", [row], made)))
    assert isinstance(event, AuthLine)
    assert event.service == "s" * NAME_CHARACTERS
