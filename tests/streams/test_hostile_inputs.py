"""Nothing that stands in the inputs makes deciding, saving or loading fail, whoever wrote it."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.contract import Message
from schemas.bounds import LAST_INSTANT_MS, LAST_TOLD_MS, MOST_POSITION
from schemas.codec import encode, frame_of
from schemas.records import RECORDS, Command, RulesChanged
from schemas.rules import Rules
from schemas.topics import COMMANDS, EVENTS
from streams.partition import Partition
from tests.schemas.strategies import _record_of, json_values, records
from tests.streams.folding import ALICE, BOB, SIX, T0, failure, rules

KEYS = (
    st.none()
    | st.text(max_size=40)
    | st.sampled_from(["web1@1795351806062", "web1@999999999999999", "@", "web1@-5"])
)
AT_MS = st.integers(0, LAST_INSTANT_MS) | st.sampled_from([T0, T0, LAST_INSTANT_MS])
ODD: st.SearchStrategy[Any] = (
    st.integers() | st.sampled_from([-(2**63), 2**63, 2**64, "x" * 2_000, None, [], {}]) | json_values
)


def changed(wire: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """A record in which some fields hold something else."""
    fields = st.dictionaries(st.sampled_from(list(wire)), ODD, max_size=3)
    return fields.map(lambda odd: _dumped({**wire, **odd}))


def _dumped(wire: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(wire)
    except TypeError:  # a number that JSON has and this writer has not
        return repr(wire).replace("'", '"').encode()


changes = _record_of(Rules).map(
    lambda chosen: encode(RulesChanged(version=chosen.version, at_ms=T0, rules=chosen.to_wire()))
)
failures = st.builds(
    lambda ip, at_ms, position, kind: encode(failure(ip, at_ms, position, kind=kind, source=f"s{position}")),
    st.sampled_from([ALICE, BOB, SIX]),
    st.sampled_from([T0, T0 + 1, 0, LAST_TOLD_MS]),
    st.integers(0, MOST_POSITION),
    st.sampled_from(["failed", "failed", "failed", "succeeded", "probed"]),
)
lines = st.one_of(
    st.binary(max_size=60),
    records().map(encode),
    failures,
    records(Command).map(encode),
    changes,
    records(*RECORDS).flatmap(lambda record: changed(orjson.loads(encode(record)))),
)
attacks = st.lists(failures, min_size=2, max_size=6).map(frame_of)
hostile = st.lists(lines, min_size=1, max_size=3).map(frame_of)
inputs = st.lists(
    st.one_of(
        st.tuples(st.just(EVENTS.name), attacks, st.none(), st.sampled_from([T0, LAST_INSTANT_MS])),
        st.tuples(st.sampled_from([EVENTS.name, COMMANDS.name, "time"]), hostile, KEYS, AT_MS),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=400, deadline=None)
@given(inputs, st.integers(0, 8))
def test_no_bytes_make_deciding_saving_or_loading_fail(
    given_inputs: list[tuple[str, bytes, str | None, int]], authority: int
) -> None:
    """Unfoldable is raised for nothing; what is written can be read, and leads to the same place."""
    partition = Partition()
    partition.fold.authority_from = authority  # before it, operators' records count among the events
    chosen = rules(maxretry=2)
    first = encode(RulesChanged(version=chosen.version, at_ms=T0, rules=chosen.to_wire()))
    partition.obey(COMMANDS.name, [Message(0, 0, None, first, T0)])
    for nth, (topic, value, key, at_ms) in enumerate(given_inputs, start=1):
        match topic:
            case EVENTS.name:
                partition.decide([Message(0, nth, key, value, at_ms)])
            case COMMANDS.name:
                partition.obey(COMMANDS.name, [Message(0, nth, key, value, at_ms)])
            case _:
                partition.pass_time(at_ms)
    partition.tell()
    state = {str(append.key): append.value for append in partition.checkpoint()}
    state |= {str(append.key): append.value for append in [partition.position_message()]}
    again = Partition()
    goal = again.restore({key: value for key, value in state.items() if value}, {EVENTS.name: 0}, 100)
    assert goal.want() is None
    again.resumed(goal)
    assert again.next_offsets == partition.next_offsets
    assert again.digest == partition.digest
    assert again.decider.rules == partition.decider.rules
    assert again.fold.floods.dump() == partition.fold.floods.dump()
