"""Whose events count: what a fold makes of messages that are signed, unsigned, or signed by another."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from banstream.reading import records
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from schemas.codec import encode, encode_frame
from schemas.records import Ban, Command, DeadLetter, RulesChanged, Verb
from schemas.shipments import Shipment, key_of
from schemas.signatures import digest_of, public_text, sign
from schemas.topics import COMMANDS, DEADLETTERS, DECISIONS, EVENTS
from streams.embedded import EmbeddedDecider
from streams.hosts import REASONS
from streams.worker.notices import Notices
from tests.streams.folding import ALICE, BOB, T0, failure, rules


class Shippers:
    """Hosts that ship into a log, each with a key."""

    def __init__(self, *, require: bool) -> None:
        self.now_ms = T0
        self.log = MemoryLog(now_ms=lambda: self.now_ms)
        self.keys = {name: Ed25519PrivateKey.generate() for name in ("web1", "web2")}
        self.decider = self.reopened()
        chosen = rules(maxretry=2)
        wire = {**chosen.to_wire(), "require_enrolled": require}
        self.say(encode(RulesChanged(version=chosen.version, at_ms=T0, rules=wire)))

    def reopened(self) -> EmbeddedDecider:
        """The decider as a restart makes it."""
        self.decider = EmbeddedDecider(self.log, now_ms=lambda: self.now_ms)
        return self.decider

    def say(self, value: bytes) -> None:
        """An operator says something."""
        self.log.append([Append(COMMANDS.name, value)])
        self.decider.catch_up()

    def command(self, verb: Verb, host: str, **facts: str) -> None:
        """A command about a host."""
        self.say(encode(Command(id=verb, verb=verb, at_ms=self.now_ms, who="root", host=host, **facts)))  # type: ignore[arg-type]

    def enroll(self, *hosts: str) -> None:
        """Enroll hosts with their keys."""
        for host in hosts:
            self.command("enroll", host, public_key=public_text(self.keys[host]))

    def signed(self, host: str, by: str, value: bytes, *, partition: int = 0) -> Append:
        """A message in a host's name, signed with a key."""
        self.now_ms += 1
        shipment = Shipment(host, self.now_ms)
        signature = sign(self.keys[by], digest_of(EVENTS.name, partition, shipment, value))
        return Append(EVENTS.name, value, key_of(shipment._replace(signature=signature)))

    def ship(self, append: Append) -> list[str]:
        """Let a message come; whom it banned."""
        before = len(self.decisions())
        self.log.append([append])
        self.decider.catch_up()
        return [each.prefix for each in self.decisions()[before:] if isinstance(each, Ban)]

    def decisions(self) -> list[Ban]:
        """Every ban in the log."""
        return [each.record for each in records(self.log, DECISIONS.name) if isinstance(each.record, Ban)]

    def letters(self) -> list[str]:
        """The reasons of what was refused."""
        found = [each.record for each in records(self.log, DEADLETTERS.name)]
        return [each.reason for each in found if isinstance(each, DeadLetter)]


def frame(ip: str, positions: Iterable[int], source: str = "file:/a") -> bytes:
    """Failures of an address."""
    return encode_frame([failure(ip, T0, position, source=source) for position in positions])


def test_a_host_speaks_for_itself_only() -> None:
    """With his own key, or none, nobody ships as another; his own events count."""
    made = Shippers(require=True)
    made.enroll("web1", "web2")
    assert made.ship(made.signed("web1", "web2", frame(ALICE, (1, 2)))) == []
    assert made.ship(Append(EVENTS.name, frame(ALICE, (1, 2)), key_of(Shipment("web1", T0)))) == []
    assert made.ship(Append(EVENTS.name, frame(ALICE, (1, 2)))) == []
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (1, 2)), partition=1)) == [], (
        "another partition's"
    )
    assert made.ship(made.signed("web2", "web2", frame(BOB, (1, 2)))) == [BOB]
    wrong, none = REASONS["wrong signature"], REASONS["unsigned"]
    assert made.letters() == [wrong, none, none, wrong]
    assert made.decider.partitions[0].fold.witness.refused == {"wrong signature": 2, "unsigned": 2}


def test_who_is_not_enrolled_counts_only_where_nobody_has_to_be() -> None:
    """Where a fleet begins to sign, host by host; an enrolled name is taken at once."""
    made = Shippers(require=False)
    made.enroll("web1")
    assert made.ship(Append(EVENTS.name, frame(ALICE, (1, 2)))) == [ALICE]
    assert made.ship(Append(EVENTS.name, frame(BOB, (1, 2)), key_of(Shipment("web1", T0 + 9)))) == []
    assert made.ship(made.signed("web1", "web1", frame(BOB, (1, 2)))) == [BOB]


def test_what_was_sent_before_is_refused_for_ever() -> None:
    """A message that somebody appends again is not after its host's last; after a restart neither."""
    made = Shippers(require=True)
    made.enroll("web1")
    old = made.signed("web1", "web1", frame(ALICE, (1,)))
    assert made.ship(old) == []
    assert made.ship(old) == []
    made.reopened()
    assert made.ship(old) == []
    assert made.letters() == [REASONS["not newer"]] * 2
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (2,)))) == [ALICE]


def test_a_host_says_nothing_of_anothers_source() -> None:
    """A mark that one sets far ahead hides no event of another, though their sources are called alike."""
    made = Shippers(require=True)
    made.enroll("web1", "web2")
    assert made.ship(made.signed("web2", "web2", frame(BOB, (2**40,)))) == []
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (1, 2)))) == [ALICE]
    made.decider.checkpoint()
    made.reopened()
    assert made.ship(made.signed("web1", "web1", frame(BOB, (2, 3)))) == [BOB], "one was sent again"


@pytest.mark.parametrize("checkpoint", [True, False])
def test_a_revoked_host_counts_no_longer(*, checkpoint: bool) -> None:
    """From the command on, whatever it signs, after a restart, too; with a new key it comes back."""
    made = Shippers(require=True)
    made.enroll("web1")
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (1,)))) == []
    made.command("revoke", "web1")
    if checkpoint:
        made.decider.checkpoint()
    made.reopened()
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (2,)))) == []
    assert made.letters() == [REASONS["revoked"]]
    made.keys["web1"] = Ed25519PrivateKey.generate()
    made.enroll("web1")
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (3,)))) == [ALICE]


def test_what_is_wrong_about_a_host_is_refused_and_the_rest_goes_on() -> None:
    """A key that is none is a dead letter among the commands; nobody stops."""
    made = Shippers(require=True)
    made.command("enroll", "web1", public_key="no key")
    made.command("enroll", "web1")
    assert len(made.letters()) == 2
    made.enroll("web1")
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (1, 2)))) == [ALICE]


def test_a_taken_over_host_can_lie_about_itself_alone() -> None:
    """It has its key and may write events: it bans by its own events, and what else it tries is refused."""
    made = Shippers(require=True)
    made.enroll("web1", "web2")
    said: tuple[tuple[Verb, str | None], ...] = (
        ("ban", "198.51.100.1"),
        ("unban", None),
        ("allow", "0.0.0.0/0"),
    )
    words = [encode(Command(id="x", verb=verb, at_ms=T0, who="root", prefix=ip)) for verb, ip in said]
    words.append(encode(Command(id="x", verb="revoke", at_ms=T0, who="root", host="web1")))
    words.append(encode(RulesChanged(version="0", at_ms=T0, rules=rules().to_wire())))
    for word in words:
        assert made.ship(made.signed("web2", "web2", word)) == []
    assert len(made.letters()) == len(words)
    assert made.ship(made.signed("web2", "web2", frame(BOB, (1, 2)))) == [BOB], "what is left to it"
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (1, 2)))) == [ALICE], "and nobody is hindered"


def test_rules_that_are_refused_do_not_change_who_has_to_sign() -> None:
    """A dead letter changes nothing, nor does a restart then change it back."""
    made = Shippers(require=True)
    bad = {**rules().to_wire(), "jails": 7}
    made.say(encode(RulesChanged(version="0", at_ms=T0, rules=bad)))
    assert len(made.letters()) == 1
    assert made.ship(Append(EVENTS.name, frame(ALICE, (1, 2)))) == []


def test_messages_that_nobody_signed_stop_no_partition() -> None:
    """However many a revoked host sends: they were not read, so they say nothing about what can be."""
    made = Shippers(require=True)
    made.enroll("web1")
    made.log.append([Append(EVENTS.name, frame(BOB, (nth,))) for nth in range(1_500)])
    made.decider.catch_up()
    assert made.decider.partitions[0].fold.floods.dump() == []
    assert made.ship(made.signed("web1", "web1", frame(ALICE, (1, 2)))) == [ALICE]


def test_what_was_refused_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A worker says how many since it last said so, of each of its partitions."""
    made = Shippers(require=True)
    made.ship(Append(EVENTS.name, frame(ALICE, (1, 2))))
    other, notices = Shippers(require=True), Notices()
    for _ in range(3):
        for each in (made, other):
            notices.tell(each.decider.partitions[0].fold.witness)
    assert [record.getMessage().count("messages=1") for record in caplog.records] == [1]
