"""What the fold notices about those who send: wrong clocks, which it puts right, and two under one name."""

from __future__ import annotations

from collections import Counter

import pytest

from eventlog.contract import Message
from schemas.codec import encode, encode_frame
from schemas.records import Ban, Command
from schemas.shipments import Shipment, key_of
from schemas.topics import COMMANDS
from streams.decider import Decider
from streams.fold import SKEW_MS, WRONG_MS, Fold
from streams.inputs import NOBODY
from streams.witness import TURNS, Witness
from tests.streams.folding import ALICE, BOB, MINUTE, T0, failure, rules

DAY_MS = 86_400_000


def shipped(clock_ms: int, ips: list[str], *, offset: int = 1) -> Message:
    """Failures just seen and sent by a host whose clock is off by so much; the log has it at T0."""
    at_ms = T0 + clock_ms
    events = [failure(ip, at_ms, position, incarnation=f"web1/{offset}") for position, ip in enumerate(ips)]
    return Message(0, offset, key_of(Shipment("web1", at_ms)), encode_frame(events), T0)


@pytest.mark.parametrize("clock_ms", [-DAY_MS, DAY_MS, -WRONG_MS - 1, 20 * 365 * DAY_MS])
def test_a_wrong_clock_is_put_right_and_told(clock_ms: int) -> None:
    """Failures of now count now, whatever the clock of their host says."""
    fold = Fold(Decider(rules()))
    (ban,) = fold.take(shipped(clock_ms, [ALICE] * 3))[0]
    assert isinstance(ban, Ban)
    assert (ban.at_ms, ban.until_ms, ban.expired) == (T0, T0 + 20 * MINUTE, False)
    assert fold.witness.wrong_clocks == {"web1": -clock_ms}


def test_hosts_with_right_and_wrong_clocks_are_counted_together() -> None:
    """Two failures of a right clock and one of a host a day behind are three of the same minute."""
    fold = Fold(Decider(rules()))
    assert not fold.take(shipped(0, [ALICE, ALICE]))[0]
    assert len(fold.take(shipped(-DAY_MS, [ALICE], offset=2))[0]) == 1


def test_a_delay_is_no_wrong_clock() -> None:
    """What was under way for some minutes keeps its time, and nobody is told."""
    fold = Fold(Decider(rules()))
    (ban,) = fold.take(shipped(-WRONG_MS, [ALICE] * 3))[0]
    assert ban.at_ms == T0 - WRONG_MS
    assert not fold.witness.wrong_clocks


def test_no_clock_that_is_ahead_ends_a_ban() -> None:
    """An operator's clock a day ahead lets a minute pass, not a day."""
    fold = Fold(Decider(rules()))
    fold.take(shipped(0, [ALICE] * 3))
    record = Command(id="1", verb="ban", at_ms=T0 + DAY_MS, who="me", prefix=BOB)
    decisions = fold.obey(COMMANDS.name, Message(0, 9, None, encode(record), T0))[0]
    assert all(each.prefix == BOB and each.at_ms <= T0 + SKEW_MS for each in decisions)
    assert fold.decider.now_ms == T0 + SKEW_MS


def test_two_incarnations_that_take_turns_are_two_shippers() -> None:
    """Once more than a rotation could explain; a new file after the other is none."""
    witness = Witness()
    for number in range(100):
        witness.see([("file:/a", f"web1/{number}", "sshd", NOBODY)], Counter())
    assert not witness.twins
    for number in range(TURNS):
        assert not witness.twins
        witness.see([("file:/a", f"web1/{98 + number % 2}", "sshd", NOBODY)], Counter())
    assert witness.twins == {("web1", "file:/a")}


def test_files_of_different_hosts_are_no_twins() -> None:
    """Each host has a file of that name, and they come in any order."""
    witness = Witness()
    for number in range(100):
        witness.see([("file:/a", f"web{number % 2}/1", "sshd", NOBODY)], Counter())
    assert not witness.twins


def test_what_was_sent_again_is_counted_by_sender() -> None:
    """A frame that comes twice counts once, and is told."""
    fold = Fold(Decider(rules()))
    fold.take(shipped(0, [ALICE] * 2))
    assert not fold.take(shipped(0, [ALICE] * 2))[0]
    assert fold.witness.sent_again == {("file:/var/log/auth.log", "web1/1"): 2}
