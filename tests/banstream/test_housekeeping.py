"""The log of one machine within its size: events go, and nobody who is banned or counted is forgotten."""

from __future__ import annotations

from base64 import b85encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from banstream.housekeeping import DROPPED, EXCESS, SHRINK_MS, Housekeeping
from eventlog.contract import Append
from eventlog.sqlite import SqliteLog
from schemas.codec import encode
from schemas.records import AuthEvent, Ban
from schemas.topics import DECISIONS, EVENTS
from streams.embedded import EmbeddedDecider
from tests.banstream.service import eventually, service
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, failure, rules

ROOM_BYTES = 1 << 20


class House:
    """A decider on a log, and who keeps it within ROOM_BYTES; by a clock of its own."""

    def __init__(self, path: Path) -> None:
        self.now_ms = T0
        self.path = path
        self.log = SqliteLog.open(path, now_ms=self.clock)
        self.decider = EmbeddedDecider(self.log, now_ms=self.clock)
        self.decider.catch_up()
        self.decider.govern(rules())
        self.housekeeping = Housekeeping(self.log, self.clock)

    def clock(self) -> int:
        """The instant."""
        return self.now_ms

    def fails(self, ip: str, position: int) -> None:
        """An address fails, and is folded."""
        self.append(failure(ip, self.now_ms, position))
        self.decider.catch_up()

    def noise(self) -> None:
        """A failure each of sixteen hundred others, with long lines: more than there is room for."""
        for number in range(1_600):
            line = b85encode(Random(number).randbytes(819)).decode("ascii")
            ip = f"198.51.{number % 100}.{number // 100}"
            self.append(failure(ip, self.now_ms, 1_000 + number, source="noise", line=line))

    def append(self, event: AuthEvent) -> None:
        """An event comes into the log."""
        self.log.append([Append(EVENTS.name, encode(event))])

    def keep(self, max_bytes: int | None = ROOM_BYTES) -> None:
        """Keep house, a while after the last time."""
        self.now_ms += SHRINK_MS
        self.housekeeping.keep(self.decider, max_bytes)

    def bans(self) -> list[str]:
        """Whom the log says is banned, in order."""
        with closing(SqliteLog.open(self.path, read_only=True)) as log:
            records = [line for each in log.read(DECISIONS.name, 0, 0) for line in each.value.splitlines()]
        return [record.prefix for record in map(_decoded, records) if isinstance(record, Ban)]


def _decoded(line: bytes) -> object:
    from schemas.codec import decode  # noqa: PLC0415 - only here

    return decode(line)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house."""
    made = House(tmp_path / "log.db")
    yield made
    made.log.close()


def test_bans_stay_and_half_counted_failures_count(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Who was banned is; who failed twice before his events went, and once after a crash, is banned then."""
    for position in range(3):
        house.fails(ALICE, position)
    for position in range(3, 5):
        house.fails(BOB, position)
    house.noise()
    house.decider.catch_up()
    house.keep()
    assert house.log.begin(EVENTS.name) > 10
    assert house.log.used_bytes() <= ROOM_BYTES
    assert house.bans() == [ALICE]
    assert house.housekeeping.notices() == {DROPPED: house.log.begin(EVENTS.name)}
    house.decider = EmbeddedDecider(house.log, now_ms=house.clock)  # as after kill -9
    house.decider.catch_up()
    house.fails(BOB, 9)
    assert house.bans() == [ALICE, BOB]
    house.noise()
    house.decider.catch_up()
    house.keep()
    assert caplog.text.count("The log is at its size, so its oldest events go max_size_bytes=") == 1


def test_what_is_not_decided_yet_stays(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """However little room there is: what nobody has folded may be the failure that decides."""
    house.decider.catch_up()
    end = house.log.end(EVENTS.name)
    house.noise()
    house.keep()  # the rules that were put in force go
    house.keep()
    assert house.log.begin(EVENTS.name) == end
    assert house.housekeeping.notices()[EXCESS] > 0
    assert "past its size" in caplog.text
    house.decider.catch_up()
    house.keep()
    assert EXCESS not in house.housekeeping.notices()


class Waiting(EmbeddedDecider):
    """A decider that takes no events yet, and so names none that it has still to read."""

    def offsets(self) -> dict[tuple[str, int], int]:
        """None."""
        return {}


def test_events_that_nobody_takes_yet_stay(house: House) -> None:
    """What a decider does not name as folded is not."""
    house.decider = Waiting(house.log, now_ms=house.clock)
    house.noise()
    house.keep()
    assert house.log.begin(EVENTS.name) == 0


def test_a_log_that_is_far_too_large_gives_way_bit_by_bit(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody waits long to be banned: it says that there is more, and goes on at once."""
    monkeypatch.setattr("eventlog.sqlite.SHRINK_BYTES", 60_000)
    house.noise()
    house.decider.catch_up()
    house.now_ms += SHRINK_MS
    kept = [house.housekeeping.keep(house.decider, ROOM_BYTES) for _ in range(20)]
    assert 3 < kept.index(False) < 19
    assert not any(kept[kept.index(False) :])
    assert house.log.used_bytes() <= ROOM_BYTES
    assert EXCESS not in house.housekeeping.notices()


def test_without_a_limit_and_between_times_nothing_goes(house: House) -> None:
    """`max_size = "none"` lets it grow; and it is looked at no more often than every SHRINK_MS."""
    house.noise()
    house.decider.catch_up()
    house.keep(None)
    house.now_ms += SHRINK_MS - 1
    house.housekeeping.keep(house.decider, ROOM_BYTES)
    assert house.housekeeping.notices() == {}
    house.now_ms += 1
    house.housekeeping.keep(house.decider, ROOM_BYTES)
    assert DROPPED in house.housekeeping.notices()


def test_age_is_looked_at_too(house: House) -> None:
    """Every ten minutes what its topic keeps no longer goes."""
    house.noise()
    house.decider.catch_up()
    house.now_ms += 31 * 24 * 60 * MINUTE
    house.keep(None)
    assert house.log.begin(EVENTS.name) == house.log.end(EVENTS.name)


def test_status_says_that_events_were_dropped(tmp_path: Path) -> None:
    """`up` on a log that is past its size says so in its own log, and `banstream status` as a warning."""
    with service(tmp_path) as up:
        up.configure(more="", enforcer='backend = "null"')
        text = up.config.read_text(encoding="utf-8").replace("[log]", '[log]\nmax_size = "64 MB"', 1)
        up.config.write_text(text, encoding="utf-8")
        (tmp_path / "state").mkdir(mode=0o700)
        with closing(SqliteLog.open(tmp_path / "state/log.db")) as log:
            for number in range(70):
                filler = failure("192.0.2.99", T0 + number * SECOND, number, source="old", line="x")
                padding = b',"padding":"%b"}' % b85encode(Random(number).randbytes(1 << 20))
                log.append([Append(EVENTS.name, encode(filler).removesuffix(b"}") + padding)])
        up.start()
        eventually(lambda: "The log is at its size" in up.errors, "the log is made smaller")
        eventually(lambda: DROPPED in up.run("status", "--config", str(up.config)).stdout, "status says so")
        up.stop()
