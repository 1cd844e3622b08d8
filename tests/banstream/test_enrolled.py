"""Whose heartbeats and enforcements are believed: those that the host signed which they name."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from banstream.chains import chain_of
from banstream.enrolled import LATE_MS, Vouchers, hosts_of
from banstream.heard import Heard, heartbeats
from enforcers.recorder import Recorder, Result
from enforcers.seals import RecordSeal, RecordSigning
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from schemas.codec import encode
from schemas.records import Command, Enforcement, Heartbeat, Unban
from schemas.shipments import Shipment
from schemas.signatures import public_text, signed_key
from schemas.topics import COMMANDS, ENFORCEMENTS, EVENTS
from tests.streams.folding import ALICE, T0


class Enforcers:
    """Two hosts that are enrolled, and a log of a fleet into which enforcers write."""

    def __init__(self) -> None:
        self.now_ms = T0
        self.log = MemoryLog(2, now_ms=lambda: self.now_ms)
        self.keys = {name: Ed25519PrivateKey.generate() for name in ("web1", "web2")}
        for host, key in self.keys.items():
            word = Command(
                id=host, verb="enroll", at_ms=T0, who="root", host=host, public_key=public_text(key)
            )
            self.log.append([Append(COMMANDS.name, encode(word))])

    def seal(self, host: str, by: str | None = None) -> RecordSeal:
        """The seal of an enforcer that gives a name, signed with a host's key."""
        return RecordSigning(host, lambda: self.now_ms, self.keys[by or host])

    def beat(self, host: str, seal: RecordSeal | None = None, in_force: int = 1) -> Append:
        """A heartbeat in a host's name."""
        self.now_ms += 1_000
        recorder = Recorder(self.log, host, "null", seal)
        recorder.beat(Heartbeat(host=host, backend="null", at_ms=self.now_ms, lag_ms=0, in_force=in_force))
        assert recorder.commit()
        recorder.close()
        message = self.log.read(ENFORCEMENTS.name, 0, self.log.end(ENFORCEMENTS.name, 0) - 1)[-1]
        return Append(ENFORCEMENTS.name, message.value, key=message.key)

    def heard(self) -> dict[str, Heard]:
        """What `status --fleet` goes by."""
        return heartbeats(self.log, self.now_ms, Vouchers(hosts_of(self.log)))


def test_a_heartbeat_is_believed_of_the_host_that_signed_it() -> None:
    """What others say in its name is not: unsigned, by another's signature, or with another's key."""
    made = Enforcers()
    made.beat("web1", made.seal("web1"), in_force=7)
    made.beat("web1", in_force=0)
    made.beat("web1", made.seal("web2"), in_force=0)
    made.beat("web1", made.seal("web1", by="web2"), in_force=0)
    made.beat("web9", in_force=3)
    heard = made.heard()
    assert (heard["web1"].beat.in_force, heard["web1"].signed, heard["web1"].forged) == (7, True, 3)
    assert (heard["web9"].beat.in_force, heard["web9"].signed, heard["web9"].forged) == (3, False, 0)
    made.beat("web1", made.seal("web1"), in_force=8)
    assert made.heard()["web1"][2:] == (True, 0)


def test_what_a_host_said_once_is_not_said_again_by_another() -> None:
    """Repeated at once, long after, or out of what it ships: a host that is gone stays so."""
    made = Enforcers()
    old = made.beat("web1", made.seal("web1"))
    made.log.append([old])
    assert made.heard()["web1"].forged == 1
    made.now_ms += 3_600_001
    said_ms = made.now_ms
    made.log.append([old])
    assert not made.heard()["web1"].signed
    shipment = Shipment("web1", said_ms)
    shipped = signed_key(made.keys["web1"], EVENTS.name, 0, shipment, old.value)
    made.log.append([replace(old, key=shipped)])
    assert not made.heard()["web1"].signed
    late = signed_key(
        made.keys["web1"], ENFORCEMENTS.name, 0, Shipment("web1", said_ms - LATE_MS - 1), old.value
    )
    made.log.append([replace(old, key=late)])
    assert not made.heard()["web1"].signed


def test_a_revoked_hosts_enforcer_is_not_believed() -> None:
    """From the command on; what it said before stands."""
    made = Enforcers()
    seal = made.seal("web1")
    made.beat("web1", seal)
    made.now_ms += 1
    word = Command(id="r", verb="revoke", at_ms=made.now_ms, who="root", host="web1")
    made.log.append([Append(COMMANDS.name, encode(word))])
    made.beat("web1", seal, in_force=0)
    heard = made.heard()["web1"]
    assert (heard.beat.in_force, heard.signed, heard.forged) == (1, True, 1)


def test_explain_marks_what_a_host_did_not_sign() -> None:
    """In a fleet; on a machine's own log nobody else could have written it."""
    made = Enforcers()
    decision = Unban(id="0-5-0-0", prefix=ALICE, jail="sshd", at_ms=T0, ban="0-4-0-0", reason="expired")
    for host, seal in (("web1", made.seal("web1")), ("web2", made.seal("web1")), ("web2", None)):
        made.now_ms += 1
        recorder = Recorder(made.log, host, "null", seal)
        for prefix in (ALICE, "192.0.2.9"):
            recorder.note("unban", prefix, Result(decision.ban, "applied"), T0)
        recorder.commit()
        recorder.close()
    found = chain_of(made.log, decision, hosts_of(made.log)).to_wire()["enforcements"]
    assert [(each["host"], each["signed"]) for each in found[::2]] == [
        ("web1", True),
        ("web2", False),
        ("web2", False),
    ]
    assert [each["signed"] for each in found[1::2]] == [True, False, False]
    made.now_ms += 1
    recorder = Recorder(made.log, "web1", "null", made.seal("web1"))
    recorder.note("unban", ALICE, Result(decision.ban, "applied"), T0)
    recorder.commit()
    recorder.close()
    *others, last = made.log.read(ENFORCEMENTS.name, 0, 0)
    values = [*(b"{}" for _ in others), last.value]
    made.log.append([Append(ENFORCEMENTS.name, value, key="web1", partition=1) for value in values])
    found = chain_of(made.log, decision, hosts_of(made.log)).to_wire()["enforcements"]
    assert [each["signed"] for each in found].count(True) == 3, (
        "at that place of another partition it is nobody's"
    )
    alone = chain_of(made.log, decision).enforcements
    assert {signed for each, signed in alone if isinstance(each, Enforcement)} == {None}
