"""`bans` shows what the firewalls hold, and what they do not and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from banstream import enforced, tables
from banstream.backwards import FEWEST_BACK, pages_back
from banstream.banned import Banned, banned_in
from banstream.commands.bans import table_of as shown
from banstream.standings import Around
from enforcers.recorder import Recorder, Result
from enforcers.seals import RecordSeal
from eventlog.contract import Append, Message
from eventlog.memory import MemoryLog
from schemas.codec import encode, frame_of
from schemas.records import Ban, Hold, Outcome, Standing
from schemas.topics import BANS, DECISIONS, ENFORCEMENTS, partition_of
from tests.banstream.service import Service, service
from tests.banstream.test_enrolled import Enforcers
from tests.namespaces import fleet
from tests.streams.folding import ALICE, BOB, T0

HOUR_MS = 3_600_000
FLEET = "kafka://nowhere:1"
OWN = "sqlite:none.db"
CAROL, DAVE = "203.0.113.66", "198.51.100.77"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A service that runs in a namespace of its own."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        made.env["SUDO_USER"] = "ann"
        made.start()
        yield made


def ban(
    log: MemoryLog, prefix: str, at_ms: int, *, until_ms: int | None = None, jails: Sequence[str] = ("sshd",)
) -> str:
    """Ban a prefix, as a decider does; the id of the last decision."""
    number = partition_of(prefix, log.partitions)
    made = [
        Ban(
            id=f"{number}-{at_ms}-{nth}-0",
            prefix=prefix,
            jail=jail,
            at_ms=at_ms,
            until_ms=until_ms,
            count=5,
            ban_count=1,
            rules="r",
        )
        for nth, jail in enumerate(jails)
    ]
    holds = tuple(Hold(jail=each.jail, ban=each.id, until_ms=until_ms) for each in made)
    standing = Standing(prefix=prefix, decision=made[-1].id, decided_at_ms=at_ms, holds=holds)
    log.append(
        [
            Append(DECISIONS.name, frame_of(map(encode, made)), partition=number),
            Append(BANS.name, encode(standing), key=prefix),
        ]
    )
    return made[-1].id


def told(
    log: MemoryLog, host: str, prefix: str, result: tuple[Outcome, str | None], seal: RecordSeal | None = None
) -> None:
    """A host's enforcer says what came of a ban."""
    recorder = Recorder(log, host, "nftables", seal)
    recorder.note("ban", prefix, Result("d", *result), T0)
    assert recorder.commit()
    recorder.close()


def states(found: Banned) -> dict[str, dict[str, str]]:
    """How each prefix is on each host."""
    return {
        each.prefix: {found.name(host): said.state for host, said in each.hosts.items()}
        for each in found.bans
    }


@pytest.mark.real("nftables")
def test_what_the_firewall_refused_is_not_in_force(up: Service) -> None:
    """A ban that would lock the host's own network out: the title, the row and the JSON say so, and why."""
    assert up.host is not None
    up.run("ban", "10.77.0.0/16", "--config", str(up.config), code=1)
    up.run("ban", ALICE, "--for", "1h", "--why", "ticket 4711", "--config", str(up.config))
    text = up.run("bans", "--config", str(up.config)).stdout
    title, header, refused, held = text.splitlines()
    assert title.startswith("1 ban in force, 1 refused by the firewall of ")
    assert header.split() == ["prefix", "jail", "since", "until", "for", "state"]
    assert "refused: never banned" in refused
    assert held.endswith("by ann: ticket 4711  in force")
    found = {each["prefix"]: each for each in up.json("bans")}
    assert {prefix: each["in_force"] for prefix, each in found.items()} == {
        "10.77.0.0/16": False,
        ALICE: True,
    }
    assert found["10.77.0.0/16"]["holds"][0]["hosts"][0]["state"] == "refused"
    assert [each["prefix"] for each in up.json("bans", "--refused")] == ["10.77.0.0/16"]
    assert [each["prefix"] for each in up.json("bans", "--expiring", "2h")] == [ALICE]
    assert [each["prefix"] for each in up.json("bans", "--prefix", "10.77.3.3")] == ["10.77.0.0/16"]
    assert up.json("bans", "--jail", "sshd", code=1) == []
    assert up.run("bans", "--jail", "sshd", "--config", str(up.config), code=1).stdout == (
        "No such bans, of 2.\n"
    )
    assert up.stop() == 0
    assert "is not running since" in up.run("bans", "--config", str(up.config)).stderr


def test_a_host_that_only_observes_holds_nothing(tmp_path: Path) -> None:
    """With the null backend: nothing is in force, and it says that this is how it is meant."""
    with service(tmp_path) as made:
        made.configure(enforcer='backend = "null"')
        made.start()
        made.run("ban", CAROL, "--config", str(made.config), code=None)
        title, _, row = made.run("bans", "--config", str(made.config)).stdout.splitlines()
        assert title.startswith("0 bans in force, 1 observed only: ")
        assert row.endswith("  observed only")


def test_the_newest_word_counts_and_none_is_pending() -> None:
    """Refused, then applied; what nobody has taken up yet; and what has ended."""
    log = MemoryLog(1, now_ms=lambda: T0 + HOUR_MS)
    for prefix in (ALICE, BOB, "192.0.2.9"):
        ban(log, prefix, T0, until_ms=T0 + (2 * HOUR_MS if prefix != "192.0.2.9" else 1))
    told(log, "web1", ALICE, ("refused", "the breaker"))
    told(log, "renamed", ALICE, ("applied", None))
    told(log, "web1", "192.0.2.9", ("applied", None))
    found = banned_in(log, OWN, T0 + HOUR_MS)
    assert states(found) == {
        ALICE: {"this machine": "in force"},
        BOB: {"this machine": "pending"},
        "192.0.2.9": {"this machine": "ended"},
    }
    assert {each.reason.sentence for each in found.bans if each.reason} == {"5 failures"}


def test_a_ban_of_before_what_is_kept_is_in_force_as_far_as_is_known() -> None:
    """The enforcements are kept for a month, a ban for ever."""
    now_ms = T0
    log = MemoryLog(1, now_ms=lambda: now_ms)
    ban(log, ALICE, T0)
    told(log, "web1", ALICE, ("applied", None))
    now_ms = T0 + 31 * 24 * HOUR_MS
    log.retain(now_ms)
    assert log.begin(ENFORCEMENTS.name) > 0
    ban(log, BOB, now_ms)
    (old, new) = banned_in(log, OWN, now_ms).bans
    assert [(each.state, bool(each.why)) for each in (*old.hosts.values(), *new.hosts.values())] == [
        ("in force", True),
        ("pending", True),
    ]


def test_of_a_host_that_signs_only_what_it_signed_counts() -> None:
    """Somebody else says that web1 holds a ban that it refused, and that web2 does not."""
    made = Enforcers()
    ban(made.log, ALICE, T0)
    made.beat("web1", made.seal("web1"))
    made.beat("web2", made.seal("web2"))
    made.beat("web9")
    made.now_ms += 1
    told(made.log, "web1", ALICE, ("refused", "never banned"), made.seal("web1"))
    told(made.log, "web2", ALICE, ("applied", None), made.seal("web2"))
    told(made.log, "web9", ALICE, ("applied", None))
    for seal in (None, made.seal("web1", by="web2")):
        told(made.log, "web1", ALICE, ("applied", None), seal)
        told(made.log, "web2", ALICE, ("failed", None), None)
    found = banned_in(made.log, FLEET, made.now_ms)
    assert states(found) == {ALICE: {"web1": "refused", "web2": "in force", "web9": "in force"}}
    (row,) = found.bans
    assert (row.in_force, row.everywhere) == (True, False)
    title, _, line = tables.lines(shown(found, found.bans), None)
    assert title == "1 ban in force, 1 of them not everywhere"
    assert line.endswith("  5 failures  in force on 2 of 3; refused on web1: never banned")


class Counted(MemoryLog):
    """A log that counts the messages that it hands out."""

    handed_out = 0

    def read(self, topic: str, partition: int, offset: int, *, limit: int = 1_000) -> list[Message]:
        """As ever."""
        found = super().read(topic, partition, offset, limit=limit)
        self.handed_out += len(found) if topic == ENFORCEMENTS.name else 0
        return found


def test_reading_stops_where_every_ban_has_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many words are before it, and where one has none after a bound."""
    log = Counted(1, now_ms=lambda: T0)
    for nth in range(1_000):
        told(log, "web1", f"192.0.2.{nth % 200}", ("applied", None))
    ban(log, CAROL, T0)
    told(log, "web1", CAROL, ("applied", None))
    assert states(banned_in(log, OWN, T0))[CAROL] == {"this machine": "in force"}
    assert log.handed_out == FEWEST_BACK
    log.handed_out = 0
    monkeypatch.setattr(enforced, "MOST_READ", 200)
    ban(log, DAVE, T0)
    assert states(banned_in(log, OWN, T0))[DAVE] == {"this machine": "pending"}
    assert 100 <= log.handed_out < 200, "each is a message and a word"


def test_a_partition_is_read_backwards_whole_and_once() -> None:
    """Whatever the stretches are, and from an offset on only."""
    log = MemoryLog(1)
    log.append([Append(ENFORCEMENTS.name, b"%d" % nth) for nth in range(500)])
    assert [int(each.value) for each in pages_back(log, (ENFORCEMENTS.name, 0))] == list(range(499, -1, -1))
    assert [int(each.value) for each in pages_back(log, (ENFORCEMENTS.name, 0), 490)] == list(
        range(499, 489, -1)
    )


def test_gaps_between_offsets_give_no_message_twice() -> None:
    """As a compacted topic has them, and a broker's transactions: a read may go further than the stretch."""
    log = MemoryLog(1)
    keys = ["a"] * 70 + [str(nth) for nth in range(50)] + ["b"] * 70
    log.append([Append(BANS.name, b"x", key=key) for key in keys])
    log.retain(0)
    kept = [each.offset for each in log.read(BANS.name, 0, 0)]
    assert kept == [69, *range(70, 120), 189]
    assert [each.offset for each in pages_back(log, (BANS.name, 0))] == kept[::-1]


def test_a_prefix_finds_what_holds_it_and_what_it_holds() -> None:
    """Itself as well; not its neighbours, nor the other protocol's."""
    around = Around("192.0.2.0/24")
    assert all(map(around, ("192.0.2.0/24", "192.0.2.7", "192.0.0.0/16")))
    assert not any(map(around, ("192.0.3.0/24", "2001:db8::/32")))
