"""The codec: what is written is read back, and any bytes give records or InvalidMessage, nothing else."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args, get_type_hints

import msgspec
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.bounds import LAST_INSTANT_MS, LAST_TOLD_MS, LONGEST_MS, MOST_PORT
from schemas.codec import (
    MOST_BYTES,
    MOST_LINES,
    AuthLine,
    EnforcementLine,
    HoldLine,
    SightingLine,
    StandingLine,
    decode,
    decode_frame,
    encode,
    encode_frame,
    encode_lines,
    frame_of,
    lines_from,
    lines_of,
    read_events,
    read_standing,
    read_told,
    to_wire,
    wires_of,
)
from schemas.deciding import Sighting
from schemas.errors import InvalidMessage
from schemas.fields import FIELDS
from schemas.records import AuthEvent, Enforcement, Hold, Record, Standing, Tick
from tests.schemas.examples import EXAMPLES
from tests.schemas.strategies import PATIENT, records

ALL_RECORDS = [record for pair in EXAMPLES for record in pair]
DEEP = b"[" * 1_000 + b"]" * 1_000
WRONG: tuple[Any, ...] = (None, True, 1, -0.5, 2**64 - 1, "x", [], [[]], [None], {}, {"a": 1}, {"a": [1]})
"""A value of every JSON type; no field takes more than some of them."""

TICKS = {
    "no JSON": b'{"type":"tick","v":1,"at_ms":1',
    "nothing": b"",
    "an array": b'[{"type":"tick","v":1,"at_ms":1}]',
    "no version": b'{"type":"tick","at_ms":1}',
    "a newer version": b'{"type":"tick","v":2,"at_ms":1}',
    "version zero": b'{"type":"tick","v":0,"at_ms":1}',
    "a version that is true": b'{"type":"tick","v":true,"at_ms":1}',
    "an unknown type": b'{"type":"tock","v":1,"at_ms":1}',
    "a type that is a list": b'{"type":["tick"],"v":1,"at_ms":1}',
    "no instant": b'{"type":"tick","v":1}',
    "a null instant": b'{"type":"tick","v":1,"at_ms":null}',
    "an instant that is text": b'{"type":"tick","v":1,"at_ms":"1"}',
    "an instant that is true": b'{"type":"tick","v":1,"at_ms":true}',
    "an instant with a fraction": b'{"type":"tick","v":1,"at_ms":1.0}',
    "an instant of 64 bits and one": b'{"type":"tick","v":1,"at_ms":9223372036854775808}',
    "an instant of 30 digits": b'{"type":"tick","v":1,"at_ms":%s}' % (b"9" * 30),
    "an infinite instant": b'{"type":"tick","v":1,"at_ms":1e999}',
    "not a number": b'{"type":"tick","v":1,"at_ms":NaN}',
    "a lone surrogate": rb'{"type":"tick","v":1,"at_ms":1,"x":"\ud800"}',
    "broken UTF-8": b'{"type":"tick","v":1,"at_ms":1,"x":"\xff"}',
    "a deep instant": b'{"type":"tick","v":1,"at_ms":%s}' % DEEP,
    "a deep version": b'{"type":"tick","v":%s,"at_ms":1}' % DEEP,
    "a deep type": b'{"type":%s,"v":1,"at_ms":1}' % DEEP,
    "a deep unknown field": b'{"type":"tick","v":1,"at_ms":1,"x":%s}' % DEEP,
    "deep rules": b'{"type":"rules","v":1,"version":"","at_ms":1,"rules":{"x":%s}}' % DEEP,
    "far too deep": b"[" * 100_000,
}


@PATIENT
@given(records())
def test_what_is_written_is_read_back(record: Record) -> None:
    """decode(encode(x)) == x for every record, with whatever unknown fields."""
    assert decode(encode(record)) == record


@PATIENT
@given(st.lists(records(), min_size=1, max_size=5))
def test_a_frame_is_one_record_a_line(written: list[Record]) -> None:
    """A frame of any records is as many lines, whatever newlines are in their texts."""
    frame = encode_frame(written)
    assert frame.count(b"\n") == len(written) - 1
    assert decode_frame(frame) == written


@PATIENT
@given(st.binary(max_size=200))
@example(b"\n\n")
@example(b"null")
def test_any_bytes_give_records_or_invalid_messages(frame: bytes) -> None:
    """Whatever the bytes, each line is a record or an InvalidMessage in its place."""
    read = decode_frame(frame)
    assert len(read) == frame.count(b"\n") + 1
    assert all(isinstance(item, (InvalidMessage, *get_args(Record))) for item in read)


@settings(PATIENT, max_examples=300)
@given(st.sampled_from(ALL_RECORDS), st.data())
def test_damaged_lines_give_records_or_invalid_messages(record: Record, data: st.DataObject) -> None:
    """A valid line with bytes overwritten, cut out or doubled is a record or an InvalidMessage."""
    line = encode(record)
    start = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(start, min(len(line), start + 10)))
    middle = data.draw(
        st.sampled_from([b"", b"0", b'"', b"]", b"}", b"null", b"-", b"\\", line[start:end] * 2])
    )
    for item in decode_frame(line[:start] + middle + line[end:]):
        if not isinstance(item, InvalidMessage):
            assert decode(encode(item)) == item


def places(wire: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: the container, and the key or index in it."""
    items = wire.items() if isinstance(wire, dict) else enumerate(wire) if isinstance(wire, list) else ()
    for key, value in list(items):
        yield wire, key
        yield from places(value)


@pytest.mark.parametrize("record", ALL_RECORDS, ids=lambda record: record.TYPE)
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_wrong_value_anywhere_is_an_invalid_message_or_fits(record: Record, wrong: Any) -> None:
    """With a value of any type in any place, a record is read that is written the same, or none is."""
    for number in range(len(list(places(to_wire(record))))):
        wire = orjson.loads(encode(record))
        container, key = list(places(wire))[number]
        container[key] = wrong
        (item,) = decode_frame(orjson.dumps(wire))
        assert isinstance(item, InvalidMessage) or decode(encode(item)) == item


@pytest.mark.parametrize("record", [pair[0] for pair in EXAMPLES], ids=lambda record: record.TYPE)
def test_every_field_is_checked(record: Record) -> None:
    """Each known field refuses another type and names itself, and may miss only where it has a default."""
    for field in FIELDS[type(record)]:
        wire = orjson.loads(encode(record)) | {field.name: [{"a": [1]}]}
        with pytest.raises(InvalidMessage) as refused:
            decode(orjson.dumps(wire))
        assert (refused.value.field or "").split(".")[0] == field.name
        del wire[field.name]
        if field.default is dataclasses.MISSING:
            with pytest.raises(InvalidMessage, match=f"^{field.name}: missing$"):
                decode(orjson.dumps(wire))
        else:
            assert getattr(decode(orjson.dumps(wire)), field.name) == field.default


@pytest.mark.parametrize("line", TICKS.values(), ids=TICKS)
def test_what_is_no_record_is_an_invalid_message(line: bytes) -> None:
    """Each of these lines is refused with a reason that is short enough to be kept."""
    with pytest.raises(InvalidMessage) as refused:
        decode(line)
    assert len(str(refused.value)) < 300


def test_a_key_that_comes_twice_counts_once() -> None:
    """Of two values for one key the last holds, as in most readers of JSON."""
    assert decode(b'{"type":"tick","v":1,"at_ms":1,"at_ms":2}') == Tick(at_ms=2)


def test_unknown_fields_are_kept_and_written_back() -> None:
    """A newer writer's fields stay in `extra`, in their order, and are on the wire again."""
    line = b'{"type":"tick","v":1,"at_ms":1,"zebra":{"a":[1,null]},"ant":2.5}'
    record = decode(line)
    assert record == Tick(at_ms=1, extra={"zebra": {"a": [1, None]}, "ant": 2.5})
    assert encode(record) == line


def test_what_cannot_be_written_is_an_invalid_message() -> None:
    """A text that is no Unicode, or an integer beyond 64 bits, is refused by the writer."""
    for record in (
        Tick(at_ms=2**65),
        Tick(at_ms=1, extra={"x": "\ud800"}),
        Tick(at_ms=1, extra={"x": object()}),
    ):
        with pytest.raises(InvalidMessage, match="a tick record cannot be written"):
            encode(record)


def test_an_error_within_a_hold_names_its_place() -> None:
    """A wrong field of a nested record is named with its path."""
    line = encode(next(record for record in ALL_RECORDS if isinstance(record, Standing)))
    with pytest.raises(InvalidMessage, match=r"^holds\.until_ms: expected an integer"):
        decode(line.replace(b'"until_ms":1767226200123', b'"until_ms":"never"'))


@pytest.mark.parametrize("depth", range(245, 260))
def test_what_is_read_can_be_written(depth: int) -> None:
    """However deep, rules and unknown fields that are read can be written again, or they are refused."""
    deep = b"[" * depth + b"]" * depth
    for line in (
        b'{"type":"tick","v":1,"at_ms":1,"x":%s}' % deep,
        b'{"type":"rules","v":1,"version":"","at_ms":1,"rules":{"x":%s}}' % deep,
    ):
        (item,) = decode_frame(line)
        assert isinstance(item, InvalidMessage) or encode(item) == line


@pytest.mark.parametrize(
    ("field", "value"),
    [("ip", "192.0.2.0/24"), ("labels", {"site": 1}), ("labels", {"site": None}), ("kind", "banned")],
)
def test_values_of_the_right_type_are_checked_too(field: str, value: object) -> None:
    """A prefix is no address, a label is text, and a kind is one of three."""
    wire = orjson.loads(encode(EXAMPLES[0][0])) | {field: value}
    with pytest.raises(InvalidMessage, match=f"^{field}: expected"):
        decode(orjson.dumps(wire))


def test_a_long_wrong_text_is_cut_in_the_error() -> None:
    """An error about a huge value is short, for an address too."""
    line = encode(next(record for record in ALL_RECORDS if isinstance(record, AuthEvent)))
    for old in (b'"192.0.2.7"', b'"failed"', b"81920"):
        with pytest.raises(InvalidMessage) as refused:
            decode(line.replace(old, b'"' + b"y" * 100_000 + b'"'))
        assert len(str(refused.value)) < 300


LINES: dict[type[Any], type[msgspec.Struct]] = {
    Sighting: SightingLine,
    AuthEvent: AuthLine,
    Hold: HoldLine,
    Standing: StandingLine,
    Enforcement: EnforcementLine,
}


@pytest.mark.parametrize("record_type", LINES, ids=lambda each: each.__name__)
def test_a_line_has_the_fields_of_its_record(record_type: type[Any]) -> None:
    """The same names in the same order, with the same types, bounds and defaults, after type and version."""
    fields = {each.name: each for each in msgspec.structs.fields(LINES[record_type])}
    known = [each.name for each in FIELDS[record_type]]
    assert list(fields) == (known if record_type is Hold else ["type", "v", *known])
    here, there = (get_type_hints(each, include_extras=True) for each in (LINES[record_type], record_type))
    for each in FIELDS[record_type]:
        assert fields[each.name].required == (each.default is dataclasses.MISSING)
        assert here[each.name] == there[each.name] or each.name == "holds"


NUMBERS = [
    sign * number + step
    for number in (0, MOST_PORT, LONGEST_MS, LAST_TOLD_MS, LAST_INSTANT_MS, 2**53, 2**62, 2**63, 2**64)
    for sign in (1, -1)
    for step in (-1, 0, 1)
]
LONG = [character * length for length in (257, 1_025) for character in "xé\U0001f600\0"]
LABELS = [{f"{number}": "x" for number in range(count)} for count in (32, 33)]
HOLD = {"jail": "a", "ban": "b", "until_ms": 1}
HOLDS = [{**HOLD, **part} for number in NUMBERS for part in ({"until_ms": number}, {"ports": [number]})]
OF_A_TYPE: dict[type, Sequence[Any]] = {
    int: NUMBERS,
    str: LONG,
    dict: [*LABELS, *({text: text} for text in LONG)],
    list: [[hold] for hold in HOLDS],
}
ODD = [b"1.0", b"-0", b"1e3", b"1e999", b"NaN", b"01", b'"\\ud800"', b'"\\u00e9"', b"[", DEEP]


def hostile(usual: Any) -> st.SearchStrategy[bytes]:
    """What someone may put into a field, as JSON: at a bound of its type, past it, or of another type."""
    large, other = OF_A_TYPE.get(type(usual), WRONG), [*map(msgspec.json.encode, WRONG), *ODD]
    return st.sampled_from(large).map(msgspec.json.encode) | st.sampled_from(other)


def read_singly(read: Callable[[bytes], Any], line: bytes) -> Any:
    """What a reader makes of a line, as a dict, which can be written again; or why it refuses it."""
    try:
        found = read(line)
    except InvalidMessage as error:
        return str(error)
    if isinstance(found, InvalidMessage):
        return str(found)
    if isinstance(found, msgspec.Struct):
        found = decode(msgspec.json.encode(found))
    assert decode(encode(found)) == found
    return to_wire(found)


@settings(PATIENT, max_examples=1_000)
@given(st.sampled_from([pair[1] for pair in EXAMPLES if type(pair[1]) in LINES]), st.data())
def test_a_line_is_read_as_its_record(record: Any, data: st.DataObject) -> None:
    """Whatever is wrong with it, too much, twice in it or new: the same fields, or the same reason."""
    wire = to_wire(dataclasses.replace(record, extra={}))
    items = [(name, orjson.dumps(value)) for name, value in wire.items()]
    for name in data.draw(st.lists(st.sampled_from([*wire, "new"]), min_size=1, max_size=2)):
        value = data.draw(hostile(wire.get(name)))
        items = [each for each in items if each[0] != name or data.draw(st.integers(0, 3)) == 0]
        items.append((name, value))
    line = b"{%s}" % b",".join(b'"%s":%s' % (name.encode(), value) for name, value in items)
    expected = read_singly(decode, line)
    if isinstance(record, Sighting):
        assert read_singly(lambda each: read_told(each)[0], line) == expected
    elif not isinstance(record, Standing):
        assert read_singly(lambda each: read_events(each)[0], line) == expected
    elif isinstance(expected, str) or expected["type"] == "standing":
        assert read_singly(read_standing, line) == expected


@PATIENT
@given(st.lists(records(AuthEvent) | st.just(b"bad"), max_size=5))
def test_a_bad_line_refuses_itself_alone(written: list[Any]) -> None:
    """Every event of a frame is read, whatever stands beside it, and nothing is read across a newline."""
    frame = frame_of(each if isinstance(each, bytes) else encode(each) for each in written) or b"bad"
    lines = frame.split(b"\n")
    for line, event in zip(lines, read_events(frame), strict=True):
        assert event == read_events(line)[0] or str(event) == read_singly(decode, line)


@pytest.mark.parametrize(("old", "new"), [(b"}\n{", b"}{"), (b",", b",\n"), (b"}\n{", b"}\n\n{")])
def test_a_value_is_a_line(old: bytes, new: bytes) -> None:
    """Two on one line, one over two lines, or none on a line: each such line is refused."""
    one = encode(EXAMPLES[0][0])
    frame = frame_of([one, one]).replace(old, new, 1)
    for event, line in zip(read_events(frame), frame.split(b"\n"), strict=True):
        assert isinstance(event, InvalidMessage) == (line != one)


@PATIENT
@given(st.lists(records(AuthEvent, Enforcement), min_size=1, max_size=4))
def test_lines_are_written_as_their_records(written: list[Any]) -> None:
    """Byte for byte, whatever is in their texts."""
    plain = [dataclasses.replace(each, extra={}) for each in written]
    lines: list[Any] = [msgspec.convert(to_wire(each), LINES[type(each)]) for each in plain]
    assert encode_lines(lines) == encode_frame(plain)


def test_lines_that_wait_are_kept_as_json() -> None:
    """A host's name may stand for the address until it is known; what is no event is refused."""
    wire = {**to_wire(EXAMPLES[0][0]), "ip": "a.example"}
    assert lines_from(wires_of(lines_from([wire]))) == lines_from([wire])
    with pytest.raises(InvalidMessage, match="at_ms"):
        lines_from([{**wire, "at_ms": "1"}])


@pytest.mark.parametrize("read", [lines_of, decode_frame, read_events])
def test_a_frame_that_is_too_large_is_refused_as_a_whole(read: Callable[[bytes], Any]) -> None:
    """By its lines or its bytes, and in no more memory than it has itself; one that just fits is read."""
    assert len(read(b"\n" * (MOST_LINES - 1))) == MOST_LINES
    assert len(read(b"x" * MOST_BYTES)) == 1
    frames = (b"\n" * MOST_LINES, b"\n" * MOST_BYTES, b"x" * (MOST_BYTES + 1))
    tracemalloc.start()
    try:
        for frame in frames:
            tracemalloc.reset_peak()
            with pytest.raises(InvalidMessage, match=r"^a frame of ") as refused:
                read(frame)
            assert refused.value.field is None
            assert tracemalloc.get_traced_memory()[1] < 2 * MOST_BYTES
    finally:
        tracemalloc.stop()
