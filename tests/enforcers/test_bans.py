"""A message of the bans topic, read directly or through the codec: always the same."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcers.bans import read_standing
from enforcers.standing import ends_of
from schemas.codec import decode, encode
from schemas.errors import InvalidMessage
from schemas.records import Standing, Tick
from tests.enforcers.standings import NOW_MS, hold

USUAL = orjson.loads(
    encode(Standing(prefix="192.0.2.7", decision="0-1-0-0", decided_at_ms=NOW_MS, holds=(hold(NOW_MS),)))
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.sampled_from(["standing", "192.0.2.07", "192.0.2.0/24", "2001:db8::1", "1", "", [], {}, [22]]),
)


def by_codec(value: bytes) -> Any:
    """What the codec alone makes of it."""
    record = decode(value)
    if not isinstance(record, Standing):
        raise InvalidMessage("not a standing")
    return record.prefix, record.decision, record.decided_at_ms, ends_of(record.holds)


def result(read: Any, value: bytes) -> Any:
    """What a reader returns, or that it refuses."""
    try:
        return read(value)
    except InvalidMessage:
        return "invalid"


@given(st.dictionaries(st.sampled_from([*USUAL, "ports"]), ODD, max_size=2), st.booleans(), st.data())
def test_reading_directly_is_reading_by_the_codec(
    changes: dict[str, Any], in_hold: object, data: st.DataObject
) -> None:
    """Whatever field of the usual record is changed, missing or new, in the record or in its hold."""
    wire = {**USUAL, "holds": [dict(USUAL["holds"][0])]}
    target = wire["holds"][0] if in_hold else wire
    target.update({("until_ms" if in_hold and key == "v" else key): value for key, value in changes.items()})
    if data.draw(st.booleans()):
        target.pop(data.draw(st.sampled_from(sorted(target))))
    value = orjson.dumps(wire)
    assert result(read_standing, value) == result(by_codec, value)


def test_the_usual_record_is_read() -> None:
    """Prefix, decision and the one end."""
    assert read_standing(orjson.dumps(USUAL)) == ("192.0.2.7", "0-1-0-0", NOW_MS, (((), NOW_MS),))


@pytest.mark.parametrize(("jail", "until_ms"), [("sshd", NOW_MS), ("web", NOW_MS + 1)])
def test_only_the_jails_that_are_heeded_hold_a_prefix(jail: str, until_ms: int) -> None:
    """Of several holds those of the host's jails count, read directly or through the codec."""
    both = Standing(
        prefix="192.0.2.7",
        decision="0-1-0-0",
        decided_at_ms=NOW_MS,
        holds=(hold(NOW_MS), hold(NOW_MS + 1, jail="web")),
    )
    assert read_standing(encode(both), {jail}).ends == (((), until_ms),)
    assert bool(read_standing(orjson.dumps(USUAL), {jail}).ends) == (jail == "sshd")


@pytest.mark.parametrize("value", [b"", b"[]", b"{", b'"standing"', b"\xff", encode(Tick(at_ms=1))])
def test_what_is_no_standing_is_refused(value: bytes) -> None:
    """With InvalidMessage and nothing else."""
    with pytest.raises(InvalidMessage):
        read_standing(value)
