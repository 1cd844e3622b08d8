"""The keys under which an uplink sends: whatever happens to host and clock, what it signs grows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from eventlog.clock import wall_clock_ms
from eventlog.contract import Append, Message
from eventlog.memory import MemoryLog
from producers.seals import CUT_MS, Signing, unsigned
from producers.spool import Spool
from producers.uplink import Uplink
from schemas.records import Command
from schemas.shipments import MOST_INSTANT_MS, Shipment, shipment_of
from schemas.signatures import new_private, public_text
from schemas.topics import EVENTS
from streams.hosts import Hosts
from tests.producers.test_spool import Flaky, eventually, frames

T0 = 1_700_000_000_000
DAY_MS = 86_400_000
PRIVATE = new_private()


class Clock:
    """A clock that shows what it is set to."""

    def __init__(self, now_ms: int = T0) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """What it shows."""
        return self.now_ms


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool for a log of two partitions."""
    made = Spool.open(tmp_path / "ship.db", 1 << 20)
    made.learn_partitions(2)
    yield made
    made.close()


def decider() -> Hosts:
    """What a decider knows once the host is enrolled."""
    hosts = Hosts(require=True)
    command = Command(
        id="1", verb="enroll", at_ms=T0, who="ann", host="web1", public_key=public_text(PRIVATE)
    )
    hosts.enroll(command, T0)
    return hosts


def shipments(sealed: Sequence[Append]) -> list[Shipment]:
    """What the keys of messages say."""
    return [shipment for each in sealed if (shipment := shipment_of(each.key))]


def admitted(hosts: Hosts, sealed: list[Append]) -> bool:
    """Whether a decider takes all of these messages, in this order."""
    messages = [Message(each.partition, 0, each.key, each.value, T0) for each in sealed]
    return all(hosts.admit(message).host == "web1" for message in messages)


def test_without_a_key_a_host_says_who_it_is() -> None:
    """And when, by its clock, as far as a key can say it."""
    clock = Clock()
    for now_ms, said_ms in ((T0, T0), (-5, 0), (10**15, MOST_INSTANT_MS)):
        clock.now_ms = now_ms
        assert shipments(unsigned("web1", clock)(frames(b"1", b"2"))) == [Shipment("web1", said_ms)] * 2


def test_each_message_is_signed_for_where_it_goes(spool: Spool) -> None:
    """Value, topic and partition stay, and a decider takes all of them, also within one millisecond."""
    messages = [*frames(b"1", b"2"), *frames(b"3", partition=1), *frames(b"4")]
    seal, hosts = Signing("web1", Clock(), spool, PRIVATE), decider()
    for _ in range(3):
        sealed = seal(messages)
        assert [(each.topic, each.value, each.partition) for each in sealed] == [
            (each.topic, each.value, each.partition) for each in messages
        ]
        assert {each.sent_at_ms for each in shipments(sealed)} == {T0}
        assert admitted(hosts, sealed)


def test_the_instant_is_the_clocks_wherever_it_is_set(spool: Spool) -> None:
    """Back, forward, before 1970 or past what a key can carry: each message is taken, with what it showed."""
    clock, hosts = Clock(), decider()
    seal = Signing("web1", clock, spool, PRIVATE)
    for now_ms in (T0, T0 + 1, T0 + DAY_MS, T0, T0 - DAY_MS, -1, T0 + 2 * DAY_MS, 10**15, T0, T0 + 1):
        clock.now_ms = now_ms
        sealed = seal(frames(b"1", b"2"))
        assert admitted(hosts, sealed)
        assert {each.sent_at_ms for each in shipments(sealed)} == {min(max(now_ms, 0), MOST_INSTANT_MS)}


def test_in_step_with_its_clock_nothing_is_ahead(spool: Spool) -> None:
    """One message a millisecond: the keys are no longer than they have to be."""
    clock = Clock()
    seal = Signing("web1", clock, spool, PRIVATE)
    for now_ms in range(T0, T0 + 5):
        clock.now_ms = now_ms
        assert [each.ahead_ms for each in shipments(seal(frames(b"1")))] == [0]


@pytest.mark.parametrize("turns", [1, 3])
def test_a_restart_goes_on_after_what_was_sent(spool: Spool, tmp_path: Path, turns: int) -> None:
    """With its clock set back too, and though a power cut took the spool's last moments back."""
    hosts, clock = decider(), Clock(T0 + DAY_MS)
    seal = Signing("web1", clock, spool, PRIVATE)
    assert admitted(hosts, seal(frames(b"1")))
    reader = f"signed/{public_text(PRIVATE)}"
    taken_back = spool.position(reader)
    assert taken_back is not None
    clock.now_ms += CUT_MS - 1
    assert admitted(hosts, seal(frames(b"2")))
    spool.keep(reader, taken_back)
    for turn in range(turns):
        again = Spool.open(tmp_path / "ship.db", 1 << 20)
        clock.now_ms = T0 + turn
        assert admitted(hosts, Signing("web1", clock, again, PRIVATE)(frames(b"3")))
        again.close()


def test_another_key_begins_anew(spool: Spool) -> None:
    """A host whose clock was far ahead is put right by a new key: its order has nothing of the old one's."""
    clock = Clock(T0 + DAY_MS)
    Signing("web1", clock, spool, PRIVATE)(frames(b"1"))
    clock.now_ms = T0
    (first,) = shipments(Signing("web1", clock, spool, new_private())(frames(b"1")))
    assert first.ahead_ms == 0


def test_what_is_sent_again_is_signed_anew(spool: Spool) -> None:
    """What a log has already, unacknowledged, is no reason to refuse it when it comes again."""
    log = Flaky(partitions=2)
    log.silences = 2
    spool.writer("producer").commit(frames(b"1", b"2"), {})
    uplink = Uplink(spool, log, Signing("web1", wall_clock_ms, spool, PRIVATE))
    assert eventually(lambda: spool.filled() == 0)
    uplink.check()
    uplink.close()
    hosts = decider()
    messages = log.read(EVENTS.name, 0, 0)
    assert [message.value for message in messages] == [b"1", b"2"] * 3
    assert [hosts.admit(message).host for message in messages] == ["web1"] * 6


def test_nothing_is_sent_under_what_is_not_kept(spool: Spool) -> None:
    """When the log has a message, the spool has its order, or a later one."""
    reader = f"signed/{public_text(PRIVATE)}"
    seen: list[tuple[int, int]] = []

    class Looking(MemoryLog):
        def append(self, appends: Sequence[Append]) -> list[int]:
            """As MemoryLog, once it has looked at what the spool keeps."""
            kept = spool.position(reader) or b"-1"
            seen.extend((each.order_ms, int(kept)) for each in shipments(appends))
            return super().append(appends)

    spool.writer("producer").commit(frames(b"1", b"2"), {})
    uplink = Uplink(spool, Looking(partitions=2), Signing("web1", wall_clock_ms, spool, PRIVATE))
    assert eventually(lambda: spool.filled() == 0)
    uplink.close()
    assert len(seen) == 2
    assert all(order_ms <= kept_ms for order_ms, kept_ms in seen)
    assert all(one < other for (one, _), (other, _) in itertools.pairwise(seen))
