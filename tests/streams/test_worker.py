"""The worker on a real broker, on each host: the decisions are those of the fold alone, whatever happens."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from banstream.audit import verify
from eventlog.contract import Append, Message
from eventlog.kafka.options import parse_url
from eventlog.kafka.transactions import Transactions
from schemas.codec import decode, encode_frame
from schemas.records import AuthEvent, Ban, DeadLetter, Decision, Unban
from schemas.topics import COMMANDS, DEADLETTERS, DECISIONS, EVENTS, partition_of
from streams.partition import Partition, position_of
from streams.worker.states import FENCED_S
from tests.banstream.service import BANSTREAM, eventually
from tests.broker import Broker, Cluster
from tests.streams.fleet import POLICIES, RULES, USERS, Fleet, attack, fleet, now_ms, records
from tests.streams.folding import failure

pytestmark = pytest.mark.real("kafka")
OTHERS = (1, 2, 3)
MOST_ADDRESSES = 40
ALICE, BOB, CAROL = "192.0.2.1", "192.88.99.2", "100.64.0.1"


@pytest.fixture(params=["faust", "aiokafka"])
def membership(request: pytest.FixtureRequest) -> str:
    """Each host of the decider."""
    return str(request.param)


@pytest.fixture
def one(broker: Cluster, tmp_path: Path, membership: str) -> Iterator[Fleet]:
    """A fleet on a log of one partition."""
    with fleet(broker.url(1), tmp_path, membership) as made:
        yield made


@pytest.fixture(scope="module")
def frames() -> list[list[AuthEvent]]:
    """The same attack for each fleet."""
    return attack(1, 200)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 2), (16, 1), (16, 4)])
def test_any_number_of_workers_and_partitions_decides_the_same(
    broker: Cluster, tmp_path: Path, membership: str, frames: list[list[AuthEvent]], shape: tuple[int, int]
) -> None:
    """Each once, as the fold of each partition decides, and as one partition would that had everything."""
    partitions, workers = shape
    with fleet(broker.url(partitions), tmp_path, membership) as made:
        worker = made.start("--workers", str(workers))
        made.governed()
        made.send(frames)
        made.settled()
        inputs = [message for number in range(partitions) for message in made.inputs(number)]
        assert caused(made.decisions(), inputs) == caused(*alone(made.commands(0)[0], frames))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    broker.drop(made.url)


def alone(rules: Message, frames: list[list[AuthEvent]]) -> tuple[list[Decision], list[Message]]:
    """What one partition that has all the frames decides, and its messages."""
    inputs = [
        Message(0, offset, None, encode_frame(frame), frame[0].at_ms)
        for offset, frame in enumerate(frames, 1)
    ]
    fold = Partition().fold
    fold.obey(COMMANDS.name, replace(rules, partition=0, offset=0))
    return [decision for message in inputs for decision in fold.take(message)[0]], inputs


def caused(decisions: list[Decision], inputs: list[Message]) -> set[tuple[object, ...]]:
    """Bans by what caused them: the event's position in its source in place of its place in the log."""
    values = {(message.partition, message.offset): message.value.split(b"\n") for message in inputs}
    found: set[tuple[object, ...]] = set()
    for ban in decisions:
        assert isinstance(ban, Ban)
        partition, offset, index, ordinal = map(int, ban.id.split("-"))
        event = decode(values[partition, offset][index])
        assert isinstance(event, AuthEvent)
        facts = (
            ban.prefix,
            ban.jail,
            ban.at_ms,
            ban.until_ms,
            ban.count,
            ban.ban_count,
            ban.lines,
            ban.rules,
        )
        found.add((event.position, ordinal, *facts))
    assert len(found) == len(decisions) > 100
    return found


def test_kill_9_at_random_moments(broker: Cluster, tmp_path: Path, membership: str) -> None:
    """Of two workers under load one is killed again and again: nothing is missing, nothing twice.

    Nor of what is counted by users, who are tried from addresses of all partitions, in buckets or in pairs.
    """
    chance = random.Random(2)
    with fleet(broker.url(4), tmp_path, membership) as made:
        made.configure(RULES + USERS + POLICIES)
        running = [made.start(), made.start()]
        made.governed()
        for kill in range(10):
            until = time.monotonic() + chance.uniform(0.2, 1.5)
            number = 0
            while time.monotonic() < until:
                made.send(attack(1_000 * kill + number, 5))
                number += 1
            victim = chance.randrange(2)
            running[victim].kill()
            running[victim] = made.start()
        assert len(made.settled(90)) > 100
        by_user = [each for each in made.decisions() if isinstance(each, Ban) and each.user is not None]
        assert len(by_user) > 100
        assert {each.id.split("-")[1][0] for each in by_user} >= {"s", "v"}
        audit = verify(made.log, now_ms())
        assert (audit.findings, audit.vouched > 400) == ([], True)


def test_a_worker_that_was_halted_writes_nothing_any_more(one: Fleet) -> None:
    """Halted for longer than its session under load and let go on, a worker is fenced: nothing is twice."""
    halted = one.start()
    one.governed()
    one.send(attack(1, 20))
    one.settled()

    def load() -> None:
        for seed in range(2, 40):
            one.send(attack(seed, 5))

    loading = threading.Thread(target=load)
    loading.start()
    eventually(lambda: len(one.decisions()) > 300, "it decides")
    halted.send_signal(signal.SIGSTOP)
    loading.join()
    one.start()
    one.settled()
    halted.send_signal(signal.SIGCONT)
    one.send(attack(100, 20))
    one.settled()
    time.sleep(1)
    one.settled()


def test_goes_on_from_the_state_topic(one: Fleet) -> None:
    """Two failures before a restart and one after it make a ban, whether it stopped cleanly or was killed."""
    worker = one.start()
    one.governed()
    for nth, (ip, end) in enumerate(((ALICE, signal.SIGTERM), (BOB, signal.SIGKILL))):
        one.send(
            [
                [failure(ip, now_ms(), 10 * nth + each) for each in range(2)],
                [failure(CAROL, now_ms(), 10 * nth + 5)],
            ]
        )
        eventually(lambda nth=nth: committed(one) >= 2 * nth + 1, "both are folded")  # type: ignore[misc]
        worker.send_signal(end)
        worker.wait(30)
        worker = one.start()
        one.send([[failure(ip, now_ms(), 10 * nth + 7)]])
        eventually(lambda ip=ip: any(each.prefix == ip for each in one.decisions()), "it is banned")  # type: ignore[misc]
    one.settled()
    assert one.in_force() == {ALICE, BOB}


def test_what_cannot_be_read_is_a_dead_letter(one: Fleet) -> None:
    """Garbage, a little and too much of it, and a record of the future are put aside, with the reason."""
    one.start()
    one.governed()
    good = [failure(ALICE, now_ms(), number) for number in range(3)]
    garbage, hopeless = (random.Random(1).randbytes(size) for size in (1_000_000, 5_000_000))
    future = b'{"type":"auth","v":99}'
    one.log.append([Append(EVENTS.name, value) for value in (garbage, hopeless, future)])
    one.send([good])
    one.settled()
    letters = [each for each in records(one.log, DEADLETTERS.name) if isinstance(each, DeadLetter)]
    lines = garbage.count(b"\n") + 1
    assert [(each.offset, each.index) for each in letters[:3]] == [
        (letters[0].offset, index) for index in range(3)
    ]
    assert len(letters) == lines + 2, "the five megabytes have too many lines to be taken apart"
    assert "99" in letters[-1].reason
    assert one.in_force() == {ALICE}


def test_a_flood_stops_nobody_but_who_sends_it(broker: Cluster, tmp_path: Path, membership: str) -> None:
    """In its partition, too, the others go on, though workers are killed; and it is said."""
    with fleet(broker.url(2), tmp_path, membership) as made:
        worker = made.start()
        made.governed()
        number = partition_of(ALICE, 2)
        near = [f"198.51.{network}.7" for network in range(50)]
        mine = [ip for ip in near if partition_of(ip, 2) == number][:3]
        for nth, ip in enumerate(mine):
            flood = [Append(EVENTS.name, b"\n".join([b"garbage"] * 50), f"bad@{now_ms()}", number)] * 30
            made.log.append(flood)
            attack_on = encode_frame([failure(ip, now_ms(), 10 * nth + each) for each in range(3)])
            made.log.append([Append(EVENTS.name, attack_on, f"good@{now_ms()}", number)])
            worker.kill()
            worker.wait()
            worker = made.start()
        unheard = encode_frame([failure(ALICE, now_ms(), 100 + each) for each in range(3)])
        made.log.append([Append(EVENTS.name, unheard, f"bad@{now_ms()}", number)])
        made.settled()
        assert made.in_force() == set(mine)
        letters = [each for each in records(made.log, DEADLETTERS.name) if isinstance(each, DeadLetter)]
        assert sum("put aside" not in each.reason for each in letters) == 19 * 50
        assert sum("put aside" in each.reason for each in letters) == 30 * len(mine) - 19 + 1
        eventually(lambda: "What a sender ships is put aside" in made.said, "the worker says so")
        shown = [*BANSTREAM, "status", "--fleet", "--config", str(made.folder / "banstream.toml")]
        said = subprocess.run(shown, capture_output=True, text=True, check=False).stderr
        assert f"WARNING: partition {number} puts aside what bad (unsigned) ships" in said


def test_a_partition_that_waits_holds_up_no_other(broker: Cluster, tmp_path: Path, membership: str) -> None:
    """While one is fenced, and busy, each of the others is decided; afterwards nothing is missing there."""
    with fleet(broker.url(4), tmp_path, membership) as made:
        made.start()
        made.governed()
        made.send(
            [
                [failure(address(number, 0), now_ms(), position) for position in range(3)]
                for number in range(4)
            ]
        )
        made.settled()
        options = parse_url(made.url)
        thief = Transactions(options, f"{options.prefix}decider-0")
        thief.close()
        before = decided(made, 0)
        until = time.monotonic() + FENCED_S - 4
        nth = 0
        while time.monotonic() < until and nth < MOST_ADDRESSES:
            nth += 1
            made.send([[failure(address(0, nth), now_ms(), 10 * nth + each) for each in range(3)]] * 5)
            made.send(
                [[failure(address(n, nth), now_ms(), 10 * nth + each) for each in range(3)] for n in OTHERS]
            )
            for number in OTHERS:
                eventually(lambda number=number, nth=nth: decided(made, number) > nth, "it is decided")  # type: ignore[misc]
        assert nth > 3
        assert decided(made, 0) == before, "it did not wait, so that nothing was held up"
        assert "taken over" in made.said
        made.settled()


def address(partition: int, nth: int) -> str:
    """The `nth` address of a partition of four."""
    found = [f"10.{number}.0.1" for number in range(256) if partition_of(f"10.{number}.0.1", 4) == partition]
    return found[nth]


def decided(one: Fleet, number: int) -> int:
    """How many decisions a partition has made."""
    return len(records(one.log, DECISIONS.name, number))


def test_what_was_undone_never_happened(one: Fleet) -> None:
    """Events of a transaction that is aborted are not decided, whoever brings them while it is open."""
    one.start()
    one.governed()
    one.send([[failure(CAROL, now_ms(), number) for number in range(3)]])
    one.settled()
    options = parse_url(one.url)
    undone = Transactions(options, f"{options.prefix}banstream-test")
    undone.write(
        [Append(EVENTS.name, encode_frame([failure(ALICE, now_ms(), 3 + each) for each in range(3)]))]
    )
    time.sleep(1)
    undone.abort()
    undone.close()
    one.send([[failure(BOB, now_ms(), number) for number in range(6, 9)]])
    one.settled()
    assert one.in_force() == {BOB, CAROL}


def test_bans_end_when_nothing_else_happens(one: Fleet) -> None:
    """The owner of a partition lets time pass: the unban comes at the end of the ban, on an idle log."""
    one.configure(RULES.replace("20m", "2s"))
    one.start()
    one.governed()
    one.send([[failure(ALICE, now_ms(), number) for number in range(3)]])
    ban = eventually(one.decisions, "the ban")[0]
    assert isinstance(ban, Ban)
    assert one.in_force() == {ALICE}
    unban = eventually(lambda: one.decisions()[1:], "the unban")[0]
    assert isinstance(unban, Unban)
    assert unban.reason == "expired"
    assert now_ms() - (ban.until_ms or 0) < 5_000
    assert one.in_force() == set()


def test_other_rules_in_the_file_do_not_hold(one: Fleet) -> None:
    """A worker whose file differs from the rules in force says so, and decides by those in force."""
    worker = one.start()
    one.governed()
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    one.configure(RULES.replace("maxretry = 3", "maxretry = 1"))
    one.start()
    eventually(lambda: "other rules" in one.said, "it says so")
    one.send([[failure(ALICE, now_ms(), 1)], [failure(BOB, now_ms(), number) for number in range(2, 5)]])
    one.settled()
    assert one.in_force() == {BOB}


def committed(one: Fleet) -> int:
    """The last offset that partition 0 has committed; -1 before."""
    return int(position_of(one.log, 0).get("offset", -1))


def test_waits_for_a_broker_that_is_away(tmp_path: Path, membership: str) -> None:
    """While the broker is away a worker waits, says so, goes on by itself, and ends when it is told to."""
    broker = Broker(tmp_path / "kafka")
    broker.start()
    try:
        with fleet(broker.url(1, timeout="5s"), tmp_path, membership) as one:
            broker.kill()
            worker = one.start()
            eventually(lambda: "Waiting for the broker" in one.said, "it waits")
            broker.start()
            one.governed()
            one.send(attack(1, 20))
            one.settled()
            broker.kill()
            eventually(lambda: one.said.count("Waiting for the broker") > 1, "it says so again")
            assert worker.poll() is None
            broker.start()
            one.send(attack(2, 20))
            one.settled(90)
            assert worker.poll() is None
            broker.kill()
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0
    finally:
        broker.kill()
