"""A flood of unreadable lines: whose it is, who goes on, how it ends, and that a replay sees the same."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from banstream.trial import ReplayCounts, over_log
from eventlog.contract import Append, Message
from eventlog.memory import MemoryLog
from schemas.codec import decode, encode, encode_frame
from schemas.records import Ban, Command, DeadLetter, RulesChanged
from schemas.shipments import Shipment, key_of
from schemas.signatures import digest_of, public_text, sign
from schemas.topics import COMMANDS, DEADLETTERS, EVENTS
from streams.embedded import EmbeddedDecider
from streams.floods import MOST_A_MESSAGE, MOST_KNOWN, MOST_UNREADABLE, QUIET_MS, Author, Floods
from streams.fold import PUT_ASIDE
from streams.partition import Partition
from streams.worker.notices import MOST_SENDERS, Notices
from tests.streams.folding import ALICE, BOB, T0, failure, rules

WEB1, WEB2 = Author("web1", signed=True), Author("web2", signed=True)
GARBAGE = b"\n".join([b"garbage"] * 100)
FLOOD = MOST_UNREADABLE // MOST_A_MESSAGE


class Inputs:
    """A partition that is given one message of the events after the other."""

    def __init__(self) -> None:
        self.keys = {name: Ed25519PrivateKey.generate() for name in ("web1", "web2")}
        self.partition = Partition()
        self.messages: list[Message] = []
        self.at_ms = T0
        chosen = rules(maxretry=2)
        first = encode(RulesChanged(version=chosen.version, at_ms=T0, rules=chosen.to_wire()))
        self.commands = [Message(0, 0, None, first, T0)]
        self.partition.obey(COMMANDS.name, self.commands)
        self.letters: list[DeadLetter] = []

    def enroll(self, *hosts: str) -> None:
        """Enroll hosts with their keys."""
        for host in hosts:
            key = public_text(self.keys[host])
            word = Command(id=host, verb="enroll", at_ms=T0, who="root", host=host, public_key=key)
            self.commands.append(Message(0, len(self.commands), None, encode(word), self.at_ms))
            self.partition.obey(COMMANDS.name, self.commands[-1:])

    def came(self, host: str, value: bytes, *, signed: bool = True, later_ms: int = 1) -> list[str]:
        """A message of a host comes; whom it banned. A host "" gives no name."""
        self.at_ms += later_ms
        shipment = Shipment(host, self.at_ms)
        if signed and host:
            signature = sign(self.keys[host], digest_of(EVENTS.name, 0, shipment, value))
            shipment = shipment._replace(signature=signature)
        key = key_of(shipment) if host else None
        self.messages.append(Message(0, len(self.messages), key, value, self.at_ms))
        appends = self.partition.decide(self.messages[-1:])
        found = [decode(line) for append in appends if append.value for line in append.value.split(b"\n")]
        self.letters += [each for each in found if isinstance(each, DeadLetter)]
        return [each.prefix for each in found if isinstance(each, Ban)]

    def flood(self, host: str, messages: int = FLOOD, *, signed: bool = True) -> None:
        """So many messages of garbage."""
        for _ in range(messages):
            self.came(host, GARBAGE, signed=signed)


def failures(ip: str, at_ms: int = T0, source: str = "file:/a") -> bytes:
    """Two failures of an address."""
    return encode_frame([failure(ip, at_ms, nth, source=source) for nth in (1, 2)])


def test_the_flood_of_one_host_is_put_aside_and_the_others_go_on() -> None:
    """Its messages are a dead letter each, whatever is in them; nothing of another is touched."""
    made = Inputs()
    made.enroll("web1", "web2")
    made.flood("web1", FLOOD - 1)
    assert len(made.letters) == 100 * (FLOOD - 1), "until then a line is its own"
    made.flood("web1", 5)
    assert [each.reason.rpartition("None: ")[2] for each in made.letters[-5:]] == [PUT_ASIDE] * 5
    assert len(made.letters) == 100 * (FLOOD - 1) + 5
    assert made.came("web1", failures(ALICE)) == []
    assert made.letters[-1].line.startswith('{"type":"auth"')
    assert made.came("web2", failures(BOB)) == [BOB]
    assert made.partition.aside() == {"web1": made.at_ms - 2 + QUIET_MS}
    assert made.partition.fold.put_aside == 6


def test_a_sender_counts_again_after_ten_minutes_without_an_unreadable_line() -> None:
    """Its next message does, also of one that never paused; a single bad line begins the ten minutes anew."""
    made = Inputs()
    made.enroll("web1")
    made.flood("web1")
    assert made.came("web1", failures(ALICE), later_ms=QUIET_MS - 2) == []
    assert made.came("web1", b"garbage") == []
    for nth in range(3):
        assert made.came("web1", failures(ALICE, source=f"s{nth}"), later_ms=QUIET_MS // 4) == []
    assert made.came("web1", failures(ALICE), later_ms=QUIET_MS // 4) == [ALICE]
    assert made.partition.fold.floods.dump() == []


def test_what_was_put_aside_was_not_seen() -> None:
    """Its events move no mark: sent again later they count."""
    made = Inputs()
    made.enroll("web1")
    made.flood("web1")
    assert made.came("web1", failures(ALICE)) == []
    assert made.came("web1", failures(ALICE), later_ms=QUIET_MS) == [ALICE]


def test_who_claims_no_name_is_one_and_a_claim_is_not_who_signed() -> None:
    """Where not all have to sign: a flood hits who claims the name, not the host that proves it."""
    made = Inputs()
    made.flood("")
    made.flood("web1", signed=False)
    assert made.came("", failures(ALICE)) == []
    assert made.came("web1", failures(ALICE), signed=False) == []
    assert made.came("web9", failures(ALICE), signed=False) == [ALICE]
    assert set(made.partition.aside()) == {"unknown", "web1 (unsigned)"}
    made.enroll("web1")
    assert made.came("web1", failures(BOB)) == [BOB]


def test_names_that_change_push_nobody_aside_and_cost_no_memory() -> None:
    """So many are remembered and no more, in the state too; who sends what can be read is none of them."""
    made = Inputs()
    made.enroll("web1")
    made.flood("web1", FLOOD)
    for nth in range(3 * MOST_KNOWN):
        made.came(f"{nth:0>250}", b"garbage", signed=False)
        if nth % 500 == 0:
            ip = f"192.0.2.{nth // 500}"
            assert made.came("honest", failures(ip, source=ip), signed=False) == [ip]
    known = made.partition.fold.floods.dump()
    assert len(known) == MOST_KNOWN + 1
    assert ("web1", True) in {each[:2] for each in known}, "who signs is not forgotten for it"
    assert len(orjson.dumps(known)) < 300_000


def test_one_message_of_garbage_alarms_nobody() -> None:
    """However many lines it has, and however large it is; nor does half of what one sends."""
    floods = Floods()
    assert not floods.put_aside(WEB1, T0, 1_000_000, 1_000_000)
    assert not any(floods.put_aside(WEB2, T0, 2, 1) for _ in range(5_000))
    assert not floods.put_aside(WEB2, T0, 512, 1)


def test_readable_lines_make_up_for_unreadable_ones() -> None:
    """A sender of whose lines less than half are bad is never put aside, however long it goes on."""
    floods = Floods()
    assert not any(floods.put_aside(WEB1, T0 + nth, 100, 49) for nth in range(1_000))
    assert any(floods.put_aside(WEB1, T0 + nth, 100, 60) for nth in range(100))


@pytest.mark.parametrize("step_ms", [-QUIET_MS, QUIET_MS])
def test_a_log_whose_clock_steps_keeps_nobody_aside_for_long(step_ms: int) -> None:
    """Either way it is as if ten minutes had passed."""
    floods = Floods()
    for _ in range(FLOOD):
        floods.put_aside(WEB1, T0, 100, 100)
    assert dict(floods.aside(T0)) == {WEB1: T0 + QUIET_MS}
    assert dict(floods.aside(T0 + step_ms)) == {}
    assert not floods.put_aside(WEB1, T0 + step_ms, 1, 0)


def flooded() -> Inputs:
    """Floods that begin and end, and events of the same senders before, in and after them."""
    made = Inputs()
    made.enroll("web1")
    for nth in range(4):
        made.came("web1", failures(f"192.0.2.{nth}", source=f"a{nth}"))
        made.flood("web1", 7)
        made.came("web9", failures(f"198.51.100.{nth}", source=f"b{nth}"), signed=False)
        made.flood("web9", 6, signed=False)
        if nth == 2:
            made.at_ms += QUIET_MS
    return made


def cut(made: Inputs, place: int, *, crash: bool) -> Partition:
    """The same, stopped at a place and gone on with from what a checkpoint wrote a little before."""
    first = Partition()
    first.obey(COMMANDS.name, made.commands)
    saved = max(0, place - 3) if crash else place
    first.decide(made.messages[:saved])
    first.tell()
    state = {str(append.key): append.value for append in first.checkpoint() if append.value}
    first.decide(made.messages[saved:place])
    state["position"] = first.position_message().value
    again = Partition()
    goal = again.restore(state, {EVENTS.name: 0}, 1_000)
    while want := goal.want():
        goal.take(want.topic, made.messages[want.begin : want.end], want.end or 0, want.end or 0)
    again.resumed(goal)
    again.decide(made.messages[place:])
    return again


@pytest.mark.parametrize("crash", [True, False])
def test_whoever_goes_on_puts_aside_the_same(*, crash: bool) -> None:
    """Stopped or killed after any message, loaded and gone on with: the same state, to the byte."""
    made = flooded()
    assert made.partition.fold.put_aside > 10
    for place in range(len(made.messages)):
        again = cut(made, place, crash=crash)
        assert again.fold.floods.dump() == made.partition.fold.floods.dump()
        assert again.fold.marks == made.partition.fold.marks
        assert again.digest == made.partition.digest


def test_a_replay_of_a_fleets_log_puts_aside_the_same() -> None:
    """Whom it bans is whom the fleet banned."""
    made, decided = Inputs(), []
    for value in [GARBAGE] * FLOOD + [failures(ALICE)]:
        decided += made.came("web1", value, signed=False)
    decided += made.came("web9", failures(BOB), signed=False)
    log = MemoryLog(now_ms=lambda: T0)
    log.append([Append(COMMANDS.name, each.value) for each in made.commands])
    log.append([Append(EVENTS.name, each.value, key=each.key) for each in made.messages])
    steps = over_log([rules(maxretry=2)], log, 0, 2**60, ReplayCounts())
    assert [each.prefix for (bans,) in steps for each in bans] == decided == [BOB]


def test_on_a_log_of_its_own_nothing_is_put_aside() -> None:
    """Nobody else is there to be hindered, and this machine's own failures count, whatever else it wrote."""
    log = MemoryLog(now_ms=lambda: T0)
    decider = EmbeddedDecider(log, now_ms=lambda: T0)
    decider.govern(rules(maxretry=2))
    log.append([Append(EVENTS.name, GARBAGE)] * 2 * FLOOD + [Append(EVENTS.name, failures(ALICE))])
    decider.catch_up()
    assert decider.partitions[0].fold.put_aside == 0
    assert decider.status().jails["sshd"]["bans"] == 1
    steps = over_log([rules(maxretry=2)], log, 0, 2**60, ReplayCounts())
    assert [each.prefix for (bans,) in steps for each in bans] == [ALICE]
    assert log.end(DEADLETTERS.name, 0)


def test_floods_are_told_with_who_sends_them(caplog: pytest.LogCaptureFixture) -> None:
    """The worst are named, and how many there are, since their names may be made up."""
    made = Inputs()
    for nth in range(MOST_SENDERS + 3):
        made.flood(f"web{nth}", FLOOD + nth, signed=False)
    notices = Notices()
    for _ in range(2):
        notices.tell(made.partition.fold.witness)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == MOST_SENDERS
    assert told[0].endswith(f"sender=web{MOST_SENDERS + 2} (unsigned) messages=8 senders={MOST_SENDERS + 3}")


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([WEB1, WEB2, Author("web1", signed=False), Author("", signed=False)]),
        st.sampled_from([0, 1, QUIET_MS // 2, QUIET_MS, -QUIET_MS]),
        st.sampled_from([1, 100, 16_384]),
        st.floats(0, 1) | st.just(1.0),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(MESSAGES, st.integers(0, 60))
def test_save_and_load_in_the_middle_changes_nothing(
    messages: list[tuple[Author, int, int, float]], place: int
) -> None:
    """Nor does what others send."""

    def through(
        floods: Floods, some: Iterable[tuple[Author, int, int, float]], at_ms: int = T0
    ) -> list[bool]:
        answers = []
        for author, later_ms, lines, share in some:
            at_ms += later_ms
            answers.append(floods.put_aside(author, at_ms, lines, int(lines * share)))
        return answers

    whole = Floods()
    expected = through(whole, messages)
    first = Floods()
    got = through(first, messages[:place])
    second = Floods(orjson.loads(orjson.dumps(first.dump())))
    got += through(second, messages[place:], T0 + sum(each[1] for each in messages[:place]))
    assert got == expected
    assert second.dump() == whole.dump()
    for author in (WEB1, WEB2):
        floods, at_ms, alone = Floods(), T0, []
        for who, later_ms, lines, share in messages:
            at_ms += later_ms
            if who == author:
                alone.append(floods.put_aside(who, at_ms, lines, int(lines * share)))
        assert alone == [answer for answer, each in zip(expected, messages, strict=True) if each[0] == author]
