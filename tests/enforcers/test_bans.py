"""A message of the bans topic, read for a host: what its record says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcers.bans import Heeded, read_standing
from enforcers.standing import HostBan, ends_of, holders_of, packed
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
    wanted, holders = packed(ends_of(record.holds)), holders_of(record.holds, record.decision)
    return HostBan(record.prefix, record.decision, wanted, record.decided_at_ms, holders=holders)


def result(read: Any, value: bytes) -> Any:
    """What a reader returns, or that it refuses."""
    try:
        return read(value)
    except InvalidMessage:
        return "invalid"


@given(st.dictionaries(st.sampled_from([*USUAL, "ports"]), ODD, max_size=2), st.booleans(), st.data())
def test_a_message_says_what_its_record_says(
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
    """Prefix, decision, the one end and whose it is."""
    assert read_standing(orjson.dumps(USUAL)) == HostBan(
        "192.0.2.7", "0-1-0-0", NOW_MS, NOW_MS, holders="sshd"
    )


@pytest.mark.parametrize(("jail", "until_ms"), [("sshd", NOW_MS), ("web", NOW_MS + 1)])
def test_only_the_jails_that_are_heeded_hold_a_prefix(jail: str, until_ms: int) -> None:
    """Of several holds those of the host's jails count, read directly or through the codec."""
    both = Standing(
        prefix="192.0.2.7",
        decision="0-1-0-0",
        decided_at_ms=NOW_MS,
        holds=(hold(NOW_MS), hold(NOW_MS + 1, jail="web")),
    )
    assert read_standing(encode(both), Heeded({jail})).ends == (((), until_ms),)
    assert bool(read_standing(orjson.dumps(USUAL), Heeded({jail})).ends) == (jail == "sshd")


@pytest.mark.parametrize(
    ("labels", "ends"),
    [
        ({}, [1, 2, 3]),
        ({"site": "fra"}, [1, 2]),
        ({"site": "ams"}, [1, 3]),
        ({"tier": "edge"}, [1, 2, 3]),
        ({"site": "fra", "tier": "core"}, [1]),
    ],
)
def test_a_ban_for_hosts_of_other_labels_does_not_hold(labels: dict[str, str], ends: list[int]) -> None:
    """A label that both have must agree; one that only one of them has excludes nothing."""
    holds = (
        hold(1, jail="a"),
        replace(hold(2, ports=(1,), jail="b"), labels={"site": "fra", "tier": "edge"}),
        replace(hold(3, ports=(2,), jail="c"), labels={"site": "ams"}),
    )
    each = [
        Standing(prefix="192.0.2.7", decision="0-1-0-0", decided_at_ms=NOW_MS, holds=(one,)) for one in holds
    ]
    read = [read_standing(encode(one), Heeded(labels=labels)).ends for one in each]
    assert [end for found in read for _, end in found] == ends


@pytest.mark.parametrize("value", [b"", b"[]", b"{", b'"standing"', b"\xff", encode(Tick(at_ms=1))])
def test_what_is_no_standing_is_refused(value: bytes) -> None:
    """With InvalidMessage and nothing else."""
    with pytest.raises(InvalidMessage):
        read_standing(value)
