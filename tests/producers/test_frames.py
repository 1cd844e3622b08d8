"""Frames built from rows are what the codec writes for the events."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.filters import EventRow as Row
from producers.filters import load_filter
from producers.frames import BETWEEN, EVENTS_PER_FRAME, Origin, appends, frame
from producers.stamps import LineClock
from schemas.codec import decode, decode_frame, encode
from schemas.records import LINE_BYTES, AuthEvent
from schemas.topics import partition_of

SSHD = load_filter("sshd")


def origin(labels: Mapping[str, str] | None = None) -> Origin:
    """Where the data is from."""
    return Origin(SSHD, "file:/log", "1f", 1_000, 1_795_338_000_000, labels or {})


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
def test_a_line_equals_what_the_codec_writes(row: Row, data: bytes, labels: dict[str, str]) -> None:
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
        line=data[:-1].decode("utf-8", "replace")[:LINE_BYTES],
        user=user,
        port=port,
        service="sshd",
        host=host,
        labels=labels,
        skewed=skewed,
    )
    sized: Row = (*row[:4], len(data), *row[5:])
    line = frame(data, [sized], origin(labels))
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
    for append in appends(data, found, origin(), partitions):
        events = decode_frame(append.value)
        assert len(events) <= EVENTS_PER_FRAME
        for event in events:
            assert isinstance(event, AuthEvent)
            assert partition_of(event.ip, partitions) == append.partition
            positions.append(event.position)
    assert sorted(positions) == [1_000 + row[3] for row in found]
    assert partitions > 1 or positions == sorted(positions)


@given(st.lists(st.sampled_from([BETWEEN, b"},{", b'"', b"\\", b'"type":"auth","v":1', b"x"]), max_size=9))
def test_no_text_can_forge_where_one_event_ends(parts: list[bytes]) -> None:
    """Whatever a line holds, a frame of three events is three events with that line."""
    data = b"".join(parts).rstrip() + b"\n"
    row = ("failed", 1, "192.0.2.7", 0, len(data), data[:-1].decode(), None, None, False, 0, None)
    events = decode_frame(frame(data, [row, row, row], origin()))
    assert [event.line for event in events if isinstance(event, AuthEvent)] == [data[:-1].decode()] * 3
