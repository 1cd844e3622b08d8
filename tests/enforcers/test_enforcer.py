"""The enforcer over a log and the null backend: what it applies, records, retries and repairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from enforcers.bans import Heeded
from enforcers.breaker import BreakerLimits
from enforcers.contract import Element, Failure
from enforcers.enforcer import FLUSHED, Enforcer, EnforcerConfig
from enforcers.null import NullBackend
from enforcers.saying import Said
from eventlog.contract import Append, Message
from eventlog.memory import MemoryLog
from schemas.codec import decode
from schemas.errors import ConfigError, EnforcementFailed, Fenced, Transient
from schemas.records import DeadLetter, Heartbeat
from schemas.topics import BANS, DEADLETTERS, ENFORCEMENTS
from tests.enforcers.standings import (
    HOUR_MS,
    NOW_MS,
    enforcements,
    freed,
    hold,
    outcomes,
    standing,
)


class Clock:
    """A wall clock that moves when told."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        """Unix milliseconds."""
        return self.now_ms

    def seconds(self) -> float:
        """The same in seconds."""
        return self.now_ms / 1_000


class Rig:
    """A log, a backend that may be told to fail, and an enforcer on both."""

    def __init__(
        self, *bans: Append, config: EnforcerConfig | None = None, observing: str | None = None
    ) -> None:
        self.clock = Clock()
        self.log = MemoryLog()
        self.backend = TroubledBackend(self.clock)
        self.config = config or EnforcerConfig(host="h1")
        self.observing = observing
        self.said: list[Said] = []
        if bans:
            self.log.append(bans)
        self.enforcer = self.another()

    def another(self) -> Enforcer:
        """A new enforcer, started."""
        enforcer = self.made()
        enforcer.start()
        return enforcer

    def made(self) -> Enforcer:
        """A new enforcer."""
        config = replace(self.config, tell=self.said.append)
        return Enforcer(self.log, self.backend, config, observing=self.observing, now_ms=self.clock)

    def heard(self) -> list[str]:
        """What was said since it was last asked, in few words."""
        said = [f"[{each.jail}] {f'{each.manner} {each.word}'.strip()} {each.prefix}" for each in self.said]
        self.said.clear()
        return said

    def follow(self, *bans: Append, after_ms: int = 0) -> bool:
        """Let time pass, append bans and poll once."""
        self.clock.now_ms += after_ms
        if bans:
            self.log.append(bans)
        return self.enforcer.poll()

    @property
    def held(self) -> dict[str, int | None]:
        """What the backend holds, with the remaining times."""
        return {element.prefix: element.remaining_ms for element in self.backend.list()}


class TroubledBackend(NullBackend):
    """The null backend, with prefixes it fails on, a count of its calls, and changes by others."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.seconds)
        self.fails_on: set[str] = set()
        self.was_changed = False
        self.batches: list[tuple[str, list[Element]]] = []

    def ban(self, elements: Sequence[Element]) -> Sequence[Failure]:
        """Fail on what it was told to."""
        self.batches.append(("ban", list(elements)))
        super().ban([element for element in elements if element.prefix not in self.fails_on])
        return [Failure(element, "no room") for element in elements if element.prefix in self.fails_on]

    def unban(self, elements: Sequence[Element]) -> Sequence[Failure]:
        """Fail on what it was told to."""
        self.batches.append(("unban", list(elements)))
        super().unban([element for element in elements if element.prefix not in self.fails_on])
        return [Failure(element, "stuck") for element in elements if element.prefix in self.fails_on]

    def changed(self) -> bool:
        """What it was told, once."""
        was, self.was_changed = self.was_changed, False
        return was


def test_a_start_applies_what_stands_and_records_it() -> None:
    """Bans in force are applied with their remaining time, those freed before are not."""
    rig = Rig(
        standing("203.0.113.9", hold(NOW_MS + HOUR_MS)),
        standing("2001:db8::/64"),
        standing("203.0.113.8"),
        freed("203.0.113.8"),
    )
    assert rig.held == {"203.0.113.9": HOUR_MS, "2001:db8::/64": None}
    assert outcomes(rig.log) == [("ban", "203.0.113.9", "applied"), ("ban", "2001:db8::/64", "applied")]
    record = enforcements(rig.log)[0]
    assert (record.decision, record.host, record.backend, record.at_ms) == ("0-1-0-0", "h1", "null", NOW_MS)
    assert rig.enforcer.status().in_force == 2


def test_a_second_start_touches_nothing_that_is_right() -> None:
    """Only what differs is changed and recorded: a missing ban, a wrong end, and one nobody wants."""
    rig = Rig(
        standing("203.0.113.1"), standing("203.0.113.2"), standing("203.0.113.3", hold(NOW_MS + HOUR_MS))
    )
    rig.enforcer.close()
    NullBackend.unban(rig.backend, [Element("203.0.113.2")])
    NullBackend.ban(rig.backend, [Element("203.0.113.3", (), 5), Element("203.0.113.4")])
    rig.backend.batches.clear()
    before = len(enforcements(rig.log))
    rig.another()
    assert rig.held == {"203.0.113.1": None, "203.0.113.2": None, "203.0.113.3": HOUR_MS}
    assert rig.backend.batches == [
        ("unban", [Element("203.0.113.4")]),
        ("ban", [Element("203.0.113.2"), Element("203.0.113.3", (), HOUR_MS)]),
    ]
    assert outcomes(rig.log)[before:] == [
        ("ban", "203.0.113.2", "applied"),
        ("ban", "203.0.113.3", "applied"),
        ("unban", "203.0.113.4", "applied"),
    ]


def test_new_bans_are_one_batch_and_unbans_another() -> None:
    """However many messages came since the last poll."""
    rig = Rig(standing("203.0.113.1"))
    rig.backend.batches.clear()
    assert rig.follow(standing("203.0.113.2"), freed("203.0.113.1"), standing("203.0.113.3"))
    assert [verb for verb, _ in rig.backend.batches] == ["unban", "ban"]
    assert set(rig.held) == {"203.0.113.2", "203.0.113.3"}
    assert outcomes(rig.log)[-1] == ("ban", "203.0.113.3", "applied")
    assert ("unban", "203.0.113.1", "applied") in outcomes(rig.log)
    assert not rig.follow()


def test_prolonging_and_shortening_change_the_remaining_time() -> None:
    """Each is recorded under the decision that did it."""
    rig = Rig(standing("203.0.113.1", hold(NOW_MS + HOUR_MS)))
    for until_ms, remaining_ms in (
        (NOW_MS + 2 * HOUR_MS, 2 * HOUR_MS),
        (NOW_MS + 60_000, 60_000),
        (None, None),
    ):
        rig.follow(standing("203.0.113.1", hold(until_ms), decision=f"0-{until_ms}-0-0"))
        assert rig.held == {"203.0.113.1": remaining_ms}
        assert enforcements(rig.log)[-1].decision == f"0-{until_ms}-0-0"


def test_a_ban_limited_to_ports_gives_way_to_one_on_all() -> None:
    """And comes back when only it is left."""
    rig = Rig(standing("203.0.113.1", hold(None, (22,))))
    rig.follow(
        standing("203.0.113.1", hold(None, (22,)), hold(NOW_MS + HOUR_MS, jail="web"), decision="0-2-0-0")
    )
    assert {element.ports for element in rig.backend.list()} == {(), (22,)}
    rig.follow(standing("203.0.113.1", hold(None, jail="web"), hold(None, (22,)), decision="0-3-0-0"))
    assert {element.ports for element in rig.backend.list()} == {()}
    rig.follow(standing("203.0.113.1", hold(None, (22,)), decision="0-4-0-0"))
    assert {element.ports for element in rig.backend.list()} == {(22,)}


def test_a_ban_that_has_ended_is_skipped_and_recorded() -> None:
    """At the start and later; the tombstone that follows is nothing to do."""
    rig = Rig(standing("203.0.113.1", hold(NOW_MS)))
    rig.follow(standing("203.0.113.2", hold(NOW_MS - 5)))
    rig.follow(freed("203.0.113.1"), freed("203.0.113.2"))
    assert rig.held == {}
    assert outcomes(rig.log) == [("ban", "203.0.113.1", "skipped"), ("ban", "203.0.113.2", "skipped")]


def test_words_that_were_overtaken_are_recorded_as_skipped() -> None:
    """Two decisions on one prefix between two polls: the newest is applied, the other one not forgotten."""
    rig = Rig()
    first = standing("203.0.113.1", decision="0-1-0-0")
    rig.follow(
        replace(first, key="kept by a log that has not compacted"),
        standing("203.0.113.1", decision="0-2-0-0"),
    )
    kept = [(record.decision, record.outcome) for record in enforcements(rig.log)]
    assert kept == [("0-1-0-0", "skipped"), ("0-2-0-0", "applied")]


def test_never_ban_is_refused_and_recorded_once() -> None:
    """Built-in, own and configured networks, prefixes around them too; polls and repairs do not repeat it."""
    config = EnforcerConfig(host="h1", never_ban=("203.0.113.0/24",))
    rig = Rig(standing("127.0.0.1"), standing("0.0.0.0/0"), config=config)
    rig.follow(standing("203.0.113.9"), standing("203.0.0.0/16"), standing("203.0.114.9"))
    rig.backend.was_changed = True
    rig.follow(after_ms=1_000)
    assert set(rig.held) == {"203.0.114.9"}
    assert sorted(outcomes(rig.log)) == [
        ("ban", "0.0.0.0/0", "refused"),
        ("ban", "127.0.0.1", "refused"),
        ("ban", "203.0.0.0/16", "refused"),
        ("ban", "203.0.113.9", "refused"),
        ("ban", "203.0.114.9", "applied"),
    ]
    assert enforcements(rig.log)[2].detail == "never banned: 203.0.113.0/24 (operator)"
    assert "203.0.113.0/24 (operator)" in rig.enforcer.status().never_ban


def test_a_never_ban_address_found_in_the_firewall_is_let_go() -> None:
    """One that was banned before it was listed."""
    rig = Rig(standing("203.0.113.9"))
    rig.enforcer.close()
    rig.config = EnforcerConfig(host="h1", never_ban=("203.0.113.9",))
    rig.another()
    assert rig.held == {}
    assert outcomes(rig.log)[-1] == ("ban", "203.0.113.9", "refused")


def test_a_failure_is_recorded_once_and_tried_again_ever_more_seldom() -> None:
    """The others of the batch are applied; when it works at last, that is recorded."""
    rig = Rig()
    rig.backend.fails_on = {"203.0.113.1"}
    rig.follow(standing("203.0.113.1"), standing("203.0.113.2"))
    assert set(rig.held) == {"203.0.113.2"}
    tried = len(rig.backend.batches)
    for _ in range(100):
        rig.follow(after_ms=100)
    assert 2 <= len(rig.backend.batches) - tried <= 4
    assert rig.enforcer.status().retrying == 1
    rig.backend.fails_on = set()
    rig.follow(after_ms=60_000)
    assert set(rig.held) == {"203.0.113.1", "203.0.113.2"}
    assert outcomes(rig.log) == [
        ("ban", "203.0.113.1", "failed"),
        ("ban", "203.0.113.2", "applied"),
        ("ban", "203.0.113.1", "applied"),
    ]
    assert enforcements(rig.log)[0].detail == "no room"
    assert rig.enforcer.status().retrying == 0


def test_an_unban_that_failed_is_tried_again() -> None:
    """A prefix that is free in the log and stuck in the firewall is not forgotten."""
    rig = Rig(standing("203.0.113.1"))
    rig.backend.fails_on = {"203.0.113.1"}
    rig.follow(freed("203.0.113.1"))
    assert set(rig.held) == {"203.0.113.1"}
    rig.backend.fails_on = set()
    rig.follow(after_ms=2_000)
    assert rig.held == {}
    assert [outcome for verb, _, outcome in outcomes(rig.log) if verb == "unban"] == ["failed", "applied"]
    assert rig.enforcer.status().in_force == 0


def test_what_others_changed_is_repaired_recorded_and_counted() -> None:
    """What they took is put back, what they added goes, and what they left is not touched."""
    rig = Rig(standing("203.0.113.1"), standing("203.0.113.2"))
    NullBackend.unban(rig.backend, [Element("203.0.113.1")])
    NullBackend.ban(rig.backend, [Element("203.0.113.3")])
    rig.backend.was_changed = True
    rig.backend.batches.clear()
    assert rig.follow(after_ms=1_000)
    assert set(rig.held) == {"203.0.113.1", "203.0.113.2"}
    assert rig.backend.batches == [("unban", [Element("203.0.113.3")]), ("ban", [Element("203.0.113.1")])]
    status = rig.enforcer.status()
    assert (status.repairs, status.repaired) == (1, 2)
    record = enforcements(rig.log)[-2]
    assert (record.prefix, record.outcome) == ("203.0.113.1", "applied")
    assert record.detail == "repaired: others had changed the firewall"


def test_repairs_are_bounded_in_rate_and_none_is_forgotten() -> None:
    """Somebody who changes it at every poll makes us list it twice a second, and the last change is seen."""
    rig = Rig(standing("203.0.113.1"))
    for _ in range(100):
        NullBackend.unban(rig.backend, [Element("203.0.113.1")])
        rig.backend.was_changed = True
        rig.follow(after_ms=10)
    assert 1 <= rig.enforcer.status().repairs <= 3
    rig.follow(after_ms=500)
    assert set(rig.held) == {"203.0.113.1"}


def test_the_breaker_refuses_what_is_too_much_and_says_so() -> None:
    """Bans before the limit stay; those refused are recorded, and applied when its time is over."""
    config = EnforcerConfig(host="h1", breaker=BreakerLimits(bans_per_minute=10, reset_after_ms=60_000))
    rig = Rig(*(standing(f"203.0.113.{n}") for n in range(50)), config=config)
    assert len(rig.held) == 50
    rig.follow(*(standing(f"198.51.100.{n}") for n in range(15)))
    assert len(rig.held) == 60
    status = rig.enforcer.status()
    assert (status.breaker, status.refused) == ("breaker: more than 10 new bans in a minute by jail sshd", 5)
    assert status.breaker_resets_at_ms == NOW_MS + 60_000
    rig.backend.was_changed = True
    rig.follow(freed("203.0.113.1"), after_ms=1_000)
    assert len(rig.held) == 59
    rig.follow(after_ms=59_000)
    assert len(rig.held) == 64
    assert rig.enforcer.status().breaker is None


def test_while_a_jail_has_tripped_its_longest_bans_are_let_through() -> None:
    """A tenth as fast as the rest would be; never what is never banned; another jail's all at once."""
    limits = BreakerLimits(bans_per_minute=600)
    rig = Rig(config=EnforcerConfig(host="h1", breaker=limits, never_ban=("10.9.9.1",)))
    rig.follow(*(standing(f"10.0.{n // 250}.{n % 250}", hold(NOW_MS + HOUR_MS)) for n in range(600)))
    assert len(rig.held) == 600
    rig.follow(
        *(standing(f"10.1.0.{n}", hold(NOW_MS + n * HOUR_MS)) for n in range(1, 10)),
        standing("10.9.9.1"),
        standing("10.2.0.1"),
    )
    assert len(rig.held) == 600
    rig.follow(standing("10.3.0.1", hold(NOW_MS + HOUR_MS, jail="dovecot")))
    assert len(rig.held) == 601
    for expected in ("10.2.0.1", "10.1.0.9", "10.1.0.8"):
        rig.follow(after_ms=1_000)
        assert expected in rig.held
    assert len(rig.held) == 604
    assert "[sshd] Ban 10.2.0.1" in rig.heard()


def test_only_what_a_jail_was_refused_is_let_through_meanwhile() -> None:
    """Neither a network that has tripped, nor a ban of half the internet, takes the place of the others."""
    limits = BreakerLimits(bans_per_minute=600, bans_of_a_network=2)
    rig = Rig(config=EnforcerConfig(host="h1", breaker=limits))
    rig.follow(*(standing(f"10.99.9.{n}", hold(None)) for n in range(1, 9)), standing("64.0.0.0/2"))
    assert len(rig.held) == 2
    rig.follow(*(standing(f"10.{n // 250}.{n % 250}.1", hold(NOW_MS + HOUR_MS)) for n in range(610)))
    assert len(rig.held) == 600
    rig.follow()
    for expected in (601, 602, 603):
        rig.follow(after_ms=1_000)
        assert len(rig.held) == expected
    assert len([prefix for prefix in rig.held if prefix.startswith("10.99.")]) == 2
    assert "64.0.0.0/2" not in rig.held


def test_who_is_let_go_while_held_back_is_not_let_through() -> None:
    """He takes nobody's place, and does not come back."""
    rig = Rig(config=EnforcerConfig(host="h1", breaker=BreakerLimits(bans_per_minute=600)))
    rig.follow(*(standing(f"10.{n // 250}.{n % 250}.1", hold(NOW_MS + HOUR_MS)) for n in range(600)))
    rig.follow(standing("10.91.1.1"), standing("10.92.2.1", hold(NOW_MS + HOUR_MS)))
    rig.follow(freed("10.91.1.1"))
    rig.follow(after_ms=1_000)
    assert "10.92.2.1" in rig.held
    assert "10.91.1.1" not in rig.held


def test_an_operator_resets_the_breaker() -> None:
    """What it refused is looked at anew at once."""
    config = EnforcerConfig(host="h1", breaker=BreakerLimits(bans_per_minute=10))
    rig = Rig(config=config)
    rig.follow(*(standing(f"198.51.100.{n}") for n in range(15)))
    rig.enforcer.reset_breaker()
    assert len(rig.held) == 15


def test_a_message_that_is_no_standing_goes_to_the_dead_letters() -> None:
    """The ones around it are applied, and the reader goes on behind it."""
    rig = Rig()
    rig.follow(standing("203.0.113.1"), Append(BANS.name, b"{oops", key="x"), standing("203.0.113.2"))
    assert set(rig.held) == {"203.0.113.1", "203.0.113.2"}
    assert not rig.follow()
    letter = decode(rig.log.read(DEADLETTERS.name, 0, 0)[0].value)
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.offset, letter.line) == (BANS.name, 1, "{oops")


def test_many_outcomes_are_recorded_in_frames_of_bounded_size() -> None:
    """1,200 bans are 1,200 records in three frames."""
    rig = Rig(*(standing(f"203.0.{n >> 8}.{n & 255}") for n in range(1_200)))
    frames = rig.log.read(ENFORCEMENTS.name, 0, 0)
    assert [frame.value.count(b"\n") + 1 for frame in frames] == [500, 500, 200]
    assert {record.prefix for record in enforcements(rig.log)} == set(rig.held)


def test_observing_only_records_skipped_and_never_applied() -> None:
    """Nobody who reads the log may believe that packets were dropped."""
    rig = Rig(standing("203.0.113.1"), observing="not root")
    rig.follow(freed("203.0.113.1"))
    assert outcomes(rig.log) == [("ban", "203.0.113.1", "skipped"), ("unban", "203.0.113.1", "skipped")]
    assert enforcements(rig.log)[0].detail == "observing only"
    assert rig.enforcer.status().observing == "not root"


def test_stopping_leaves_bans_in_place_unless_told_otherwise() -> None:
    """keep_on_stop is on by default."""
    rig = Rig(standing("203.0.113.1"))
    rig.enforcer.close()
    assert set(rig.held) == {"203.0.113.1"}
    rig.config = EnforcerConfig(host="h1", keep_on_stop=False)
    rig.another().close()
    assert rig.held == {}


def test_a_flush_empties_the_firewall_until_the_next_start() -> None:
    """Nothing is banned meanwhile, whatever the log says, others do or the breaker lets through."""
    rig = Rig(standing("203.0.113.1"))
    rig.enforcer.flush()
    rig.backend.was_changed = True
    rig.follow(standing("203.0.113.2"), after_ms=120_000)
    rig.enforcer.reset_breaker()
    assert rig.held == {}
    status = rig.enforcer.status()
    assert (status.in_force, status.observing) == (0, FLUSHED)
    assert enforcements(rig.log)[-1].detail == "flushed by an operator"
    rig.another()
    assert set(rig.held) == {"203.0.113.1", "203.0.113.2"}


def test_a_newer_enforcer_of_the_host_fences_the_older() -> None:
    """The older one may record nothing more, and stops."""
    rig = Rig()
    rig.another()
    with pytest.raises(Fenced):
        rig.follow(standing("203.0.113.1"))


def test_a_wrong_configuration_names_its_key() -> None:
    """Networks with host bits, and an empty host."""
    with pytest.raises(ConfigError, match=r"enforcer\.never_ban"):
        EnforcerConfig(host="h1", never_ban=("10.0.0.1/8",))
    with pytest.raises(ConfigError, match=r"enforcer\.host"):
        EnforcerConfig(host="")


def test_only_the_jails_of_this_host_ban_here() -> None:
    """A ban of another jail is left alone without a word; one that only it holds any more ends."""
    config = EnforcerConfig(host="h1", heeded=Heeded(frozenset({"sshd"})))
    until_ms = NOW_MS + HOUR_MS
    both = standing("203.0.113.1", hold(until_ms), hold(until_ms + 1, jail="web"), decision="0-1-0-0")
    rig = Rig(both, standing("203.0.113.2", hold(until_ms, jail="web"), decision="0-2-0-0"), config=config)
    assert rig.held == {"203.0.113.1": HOUR_MS}
    rig.follow(standing("203.0.113.1", hold(until_ms + 1, jail="web"), decision="0-3-0-0"))
    assert rig.held == {}
    assert outcomes(rig.log) == [("ban", "203.0.113.1", "applied"), ("unban", "203.0.113.1", "applied")]


def test_a_record_says_how_long_the_decision_took() -> None:
    """From its instant until it was applied; where a prefix was freed nobody knows that."""
    rig = Rig()
    rig.follow(standing("203.0.113.1"), after_ms=31)
    rig.follow(freed("203.0.113.1"), after_ms=5)
    assert [(record.verb, record.delay_ms) for record in enforcements(rig.log)] == [
        ("ban", 31),
        ("unban", None),
    ]


def test_it_tells_the_log_how_it_is() -> None:
    """At first, each time the gap has passed, and when it stops, why it observes cut; without a gap never."""
    config = EnforcerConfig(host="h1", heartbeat_ms=1_000)
    rig = Rig(standing("203.0.113.1"), config=config, observing="x" * 5_000)
    rig.backend.fails_on = {"203.0.113.2"}
    rig.follow()
    rig.follow(standing("203.0.113.2"), after_ms=999)
    rig.follow(after_ms=1)
    rig.enforcer.close()
    beats = [
        record
        for message in rig.log.read(ENFORCEMENTS.name, 0, 0)
        for line in message.value.splitlines()
        if isinstance(record := decode(line), Heartbeat)
    ]
    assert [(beat.at_ms - NOW_MS, beat.in_force, beat.failing, beat.stopped) for beat in beats] == [
        (0, 1, 0, False),
        (1_000, 1, 1, False),
        (1_000, 1, 1, True),
    ]
    assert {beat.observing for beat in beats} == {"x" * 4_096}


def test_the_firewall_is_looked_after_while_the_log_is_away() -> None:
    """What others took out is put back although nothing can be read; the error is the caller's to handle."""

    class AwayLog(MemoryLog):
        away = False

        def read(self, topic: str, partition: int, offset: int, *, limit: int = 1_000) -> list[Message]:
            if self.away:
                raise Transient("away")
            return super().read(topic, partition, offset, limit=limit)

    rig = Rig()
    rig.log = log = AwayLog()
    log.append([standing("203.0.113.1")])
    rig.enforcer = rig.another()
    log.away = True
    rig.backend.flush()
    rig.backend.was_changed = True
    with pytest.raises(Transient):
        rig.follow(after_ms=1_000)
    assert list(rig.held) == ["203.0.113.1"]


def test_a_start_that_failed_can_be_tried_again() -> None:
    """A firewall that could not be read at first makes no difference to what is recorded."""

    class ShyBackend(TroubledBackend):
        shy = True

        def list(self) -> Sequence[Element]:
            if self.shy:
                self.shy = False
                raise EnforcementFailed("not yet")
            return super().list()

    rig = Rig()
    rig.backend = ShyBackend(rig.clock)
    rig.log.append([standing("203.0.113.1")])
    enforcer = Enforcer(rig.log, rig.backend, rig.config, now_ms=rig.clock)
    with pytest.raises(EnforcementFailed):
        enforcer.start()
    enforcer.start()
    assert outcomes(rig.log) == [("ban", "203.0.113.1", "applied")]
