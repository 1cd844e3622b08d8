"""What `banstream events` shows: of whom, of when, the last; whatever the number of events and partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from banstream.commands.events import events_command
from banstream.looking import LEAD_MS, Look, events_of
from banstream.sentences import is_told, sentence
from eventlog.contract import Append, EventLog, Message
from eventlog.follower import Located, located
from eventlog.index import Index
from eventlog.sqlite import SqliteLog
from eventlog.urls import open_log
from schemas.codec import encode, encode_frame
from schemas.records import AuthEvent, RulesChanged, Tick
from schemas.topics import COMMANDS, EVENTS, partition_of
from tests.eventlog.subjects import EMBEDDED, FixedClock
from tests.streams.folding import T0, failure, rules

PARTITIONS = 3
Events = Callable[..., list[dict[str, Any]]]


class Filled:
    """A log of several partitions whose clock is set before each message."""

    def __init__(self, folder: Path) -> None:
        self.clock = FixedClock(T0)
        self.path = folder / "log.db"
        self.log = SqliteLog.open(self.path, partitions=PARTITIONS, now_ms=self.clock)
        self.config = folder / "banstream.toml"
        self.config.write_text(f'[log]\nurl = "sqlite://{self.path}"\n[jail.sshd]\n', encoding="utf-8")
        self.config.chmod(0o600)
        self.position = 0

    def read(self, read_at_ms: int, *events: tuple[str, int]) -> None:
        """The log takes a message of events of addresses, at its instant."""
        self.clock.now_ms = read_at_ms
        frame: list[AuthEvent] = []
        for ip, at_ms in events:
            self.position += 1
            frame.append(failure(ip, at_ms, self.position))
        partition = partition_of(events[0][0], PARTITIONS)
        self.log.append([Append(EVENTS.name, encode_frame(frame), partition=partition)])


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    """An empty log with its configuration."""
    made = Filled(tmp_path)
    yield made
    made.log.close()


@pytest.fixture
def events(filled: Filled, capfdbinary: pytest.CaptureFixture[bytes]) -> Events:
    """`banstream events --json` over it."""

    def run(*arguments: str) -> list[dict[str, Any]]:
        code = events_command.main(
            [*arguments, "--json", "--config", str(filled.config)], standalone_mode=False
        )
        lines = capfdbinary.readouterr().out.splitlines()
        assert code == (0 if lines else 1)
        return [orjson.loads(line) for line in lines]

    return run


def spread(filled: Filled, minutes: int) -> list[str]:
    """A message a minute, of networks in every partition; the addresses in order."""
    ips = [f"192.0.{minute % 7}.{minute // 7}" for minute in range(minutes)]
    for minute, ip in enumerate(ips):
        filled.read(T0 + minute * 60_000, (ip, T0 + minute * 60_000))
    return ips


def test_the_last_are_those_that_the_log_took_last_over_all_partitions(
    filled: Filled, events: Events
) -> None:
    """In the order in which it took them, oldest first; all of them in that order, too."""
    ips = spread(filled, 50)
    assert [each["ip"] for each in events()] == ips
    assert [each["ip"] for each in events("--last", "7")] == ips[-7:]
    assert [each["ip"] for each in events("--last", "100")] == ips
    assert [each["ip"] for each in events("192.0.3.0/24", "--last", "2")] == [ips[38], ips[45]]
    assert [each["ip"] for each in events("192.0.0.0/21", "--last", "3")] == ips[-3:]
    assert [each["ip"] for each in events("192.0.0.0/8", "--last", "3")] == ips[-3:]
    assert [each["ip"] for each in events(ips[9])] == [ips[9]]
    assert events("198.51.100.1") == events("198.51.100.0/24", "--last", "1") == []


def test_the_last_of_a_frame_are_its_last(filled: Filled, events: Events) -> None:
    """Events of one message keep their order."""
    filled.read(T0, *((f"192.0.2.{number}", T0) for number in range(9)))
    assert [each["ip"] for each in events("--last", "3")] == ["192.0.2.6", "192.0.2.7", "192.0.2.8"]


def test_since_and_until_go_by_the_time_of_the_events(filled: Filled, events: Events) -> None:
    """A backlog that is read late is found by when it was written; `--read-since` goes by the reading."""
    filled.read(T0, ("192.0.2.1", T0))
    filled.read(T0 + 3_600_000, ("192.0.2.2", T0 + 3_600_000), ("192.0.2.3", T0 + 3_599_999))
    filled.read(T0 + 8 * 3_600_000, ("192.0.2.4", T0 + 1_000), ("192.0.2.5", T0 + 3_600_001))
    ahead = T0 + 9 * 3_600_000 + LEAD_MS
    filled.read(T0 + 9 * 3_600_000, ("192.0.2.6", ahead))

    def at(at_ms: int) -> str:
        return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat()

    def ips(*arguments: str) -> list[str]:
        return [each["ip"][-1] for each in events(*arguments)]

    assert ips("--since", at(T0 + 3_600_000)) == ["2", "5", "6"]
    assert ips("--since", at(T0), "--until", at(T0 + 3_600_000)) == ["1", "3", "4"]
    assert ips("--read-since", at(T0 + 2 * 3_600_000)) == ["4", "5", "6"]
    assert ips("--read-since", at(T0 + 2 * 3_600_000), "--since", at(T0 + 3_600_000)) == ["5", "6"]
    assert ips("--since", at(ahead)) == ["6"]
    assert ips("--since", at(T0 + 3_600_000), "--last", "1", "192.0.2.2") == ["2"]
    assert ips("--since", at(T0 + 1), "192.0.2.1") == []


def test_looking_backwards_reads_no_more_than_it_must(
    filled: Filled, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand messages the last few of each partition; of an address those that are about it."""
    spread(filled, 1_000)
    read: list[tuple[str, int, int]] = []
    plain = SqliteLog.read

    def noted(
        self: SqliteLog, topic: str, partition: int, offset: int, *, limit: int = 1_000
    ) -> list[Message]:
        found = plain(self, topic, partition, offset, limit=limit)
        read.extend((topic, partition, each.offset) for each in found)
        return found

    monkeypatch.setattr(SqliteLog, "read", noted)
    assert len(events("--last", "3")) == 3
    assert len(read) <= 3 * 8
    (one,) = events("192.0.3.100", "--last", "10") or events("192.0.3.100")
    read.clear()
    assert events("192.0.3.100") == [one]
    assert len(read) <= 3 + 1


@pytest.fixture(params=["memory", "sqlite", pytest.param("kafka", marks=pytest.mark.real("kafka"))])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    """A log of each kind in turn, with four partitions."""
    if request.param != "kafka":
        made = EMBEDDED[request.param](tmp_path)
        yield made.log
        made.log.close()
        return
    cluster = request.getfixturevalue("broker")
    url = cluster.url(partitions=4)
    shared = open_log(url)
    yield shared
    shared.close()
    cluster.drop(url)


def test_every_log_gives_the_same(log: EventLog) -> None:
    """The last, all and those of an address agree with going through everything."""
    random = Random(3)
    for number in range(120):
        frame = encode_frame(
            failure(f"192.0.2.{random.randrange(20)}", T0 + number, number) for _ in range(3)
        )
        log.append([Append(EVENTS.name, frame, partition=number % 2)])
    with closing(Index(log)) as index:
        look = Look(log, index)
        every = through(log)
        assert len(every) == 360
        for count in (1, 5, 17, 1_000):
            found = look.last(EVENTS.name, count, events_of(None))
            assert found == list(look.all(EVENTS.name, events_of(None)))[-count:]
        assert sorted(look.all(EVENTS.name, events_of(None)), key=place_of) == every
        for ip in ("192.0.2.7", "192.0.2.19", "192.0.2.99"):
            about = list(look.all(EVENTS.name, events_of(ip), inside=ip))
            assert sorted(about, key=place_of) == [each for each in every if ip_of(each) == ip]
            assert look.last(EVENTS.name, 4, events_of(ip), inside=ip) == about[-4:]


def through(log: EventLog) -> list[Located]:
    """Every event, by place."""
    return sorted(
        (
            each
            for number in range(log.partitions)
            for message in log.read(EVENTS.name, number, 0)
            for each in located(EVENTS.name, message)
        ),
        key=place_of,
    )


def place_of(each: Located) -> tuple[int, int, int]:
    """Where it stands."""
    return each.partition, each.offset, each.index


def ip_of(each: Located) -> str:
    """Whose it is."""
    assert isinstance(each.record, AuthEvent)
    return each.record.ip


def test_rules_are_told_with_their_time_and_ticks_not_at_all() -> None:
    """A bare word would say nothing."""
    in_force = rules()
    record = RulesChanged(version=in_force.version, at_ms=T0, rules=in_force.to_wire())
    said = sentence(record)
    assert said.endswith(f"  rules     {in_force.version}  in force: sshd")
    assert said.startswith("20")
    assert sentence(RulesChanged(version="x", at_ms=T0, rules={})).endswith("in force")
    assert is_told(Located(COMMANDS.name, 0, 0, 0, record))
    assert not is_told(Located(COMMANDS.name, 0, 0, 0, Tick(at_ms=T0)))
    assert encode(record)
