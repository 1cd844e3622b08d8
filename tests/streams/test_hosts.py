"""Who may ship: a message counts when its host signed it, for where it stands, after all he sent before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.contract import Message
from schemas.errors import InvalidMessage
from schemas.records import Command
from schemas.shipments import Shipment, key_of
from schemas.signatures import digest_of, new_private, public_text, sign
from schemas.topics import DECISIONS, EVENTS
from streams.hosts import MOST_HOSTS, MOST_KEYS, REASONS, Admission, EnrolledHost, Hosts
from tests.schemas.strategies import PATIENT
from tests.streams.folding import MINUTE, T0

KEYS: Final = [new_private() for _ in range(3)]
TEXTS: Final = [public_text(key) for key in KEYS]
VALUE: Final = b'{"type":"auth"}'
WEB1: Final = Admission("web1")
NOBODYS: Final = Admission()


def enrolled(*names: str, require: bool = False) -> Hosts:
    """Hosts of these names, the first with the first key and so on, enrolled at T0."""
    hosts = Hosts(require=require)
    for name, text in zip(names, TEXTS, strict=False):
        hosts.enroll(enroll(name, text), T0)
    return hosts


def enroll(name: str | None, text: str | None) -> Command:
    """An operator enrolls a host."""
    return Command(id="1", verb="enroll", at_ms=0, who="ann", host=name, public_key=text)


def revoke(name: str | None, since_ms: int | None = None) -> Command:
    """An operator revokes a host."""
    return Command(id="2", verb="revoke", at_ms=0, who="ann", host=name, since_ms=since_ms)


def signed(key: int, sent_at_ms: int = T0, at_ms: int = T0, **other: Any) -> Message:
    """A message that the log took at an instant; `other`: host, ahead_ms, topic, partition, value."""
    host, ahead_ms = other.get("host", "web1"), other.get("ahead_ms", 0)
    partition, value = other.get("partition", 0), other.get("value", VALUE)
    shipment = Shipment(host, sent_at_ms, ahead_ms)
    digested = digest_of(other.get("topic", EVENTS.name), partition, shipment, value)
    return Message(partition, 0, key_of(shipment._replace(signature=sign(KEYS[key], digested))), value, at_ms)


def plain(key: str | None, at_ms: int = T0) -> Message:
    """A message that nobody signed."""
    return Message(0, 0, key, VALUE, at_ms)


def test_what_an_enrolled_host_has_signed_is_his() -> None:
    """Whatever he is called, and whether all must sign or not."""
    for require in (False, True):
        hosts = enrolled("web1", "a@5", require=require)
        assert hosts.admit(signed(0)) == WEB1
        assert hosts.admit(signed(1, host="a@5")) == Admission("a@5")


@pytest.mark.parametrize(
    "message",
    [
        signed(1),
        signed(0, topic=DECISIONS.name),
        replace(signed(0), partition=1),
        replace(signed(0), value=VALUE + b" "),
        replace(signed(0), key=(signed(0).key or "").replace(str(T0), str(T0 + 1))),
        replace(signed(0), key=(signed(0).key or "").replace(str(T0), f"{T0}+1")),
        replace(signed(0, host="web2"), key=(signed(0, host="web2").key or "").replace("web2", "web1")),
        replace(signed(0), key=f"web1@{T0}@{'A' * 86}"),
    ],
    ids=["key", "topic", "partition", "value", "instant", "ahead", "host", "text"],
)
@pytest.mark.parametrize("require", [False, True])
def test_what_he_has_not_signed_so_is_refused(message: Message, *, require: bool) -> None:
    """Another's key, or another topic, partition, value, instant, order or name; and it moves nothing."""
    hosts = enrolled("web1", "web2", require=require)
    assert hosts.admit(message).refusal == "wrong signature"
    assert hosts.admit(signed(0, 0)) == WEB1


def test_a_host_goes_forward_only() -> None:
    """What comes again, or is no later than what he sent last, is refused, whenever the log took it."""
    hosts = enrolled("web1")
    assert hosts.admit(signed(0, T0 + 5)) == WEB1
    for sent_at_ms, ahead_ms in ((T0 + 5, 0), (T0 + 4, 0), (T0 + 4, 1), (T0 - MINUTE, MINUTE)):
        message = signed(0, sent_at_ms, T0 + MINUTE, ahead_ms=ahead_ms)
        assert hosts.admit(message).refusal == "not newer"
    assert hosts.admit(signed(0, T0 + 6)) == WEB1


def test_a_clock_that_was_set_back_goes_on_by_what_it_is_ahead() -> None:
    """The instant is the clock's, and the order still grows."""
    hosts = enrolled("web1")
    assert hosts.admit(signed(0, T0 + 1_440 * MINUTE)) == WEB1
    assert hosts.admit(signed(0, T0, ahead_ms=1_440 * MINUTE)).refusal == "not newer"
    assert hosts.admit(signed(0, T0, ahead_ms=1_440 * MINUTE + 1)) == WEB1


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        (plain(None), "unsigned"),
        (plain("web1@5"), "unsigned"),
        (plain("web9@5"), "unsigned"),
        (plain("anything"), "unsigned"),
        (signed(0, host="web9"), "unknown host"),
    ],
)
def test_where_all_must_sign_nobody_else_ships(message: Message, refusal: str) -> None:
    """Unsigned or of nobody who is enrolled: refused, for a reason that a person understands."""
    admission = enrolled("web1", require=True).admit(message)
    assert (admission.host, admission.refusal) == (None, refusal)
    assert admission.refusal in REASONS


def test_where_not_all_must_sign_a_name_that_is_enrolled_is_taken() -> None:
    """Others ship as nobody; so did he before his enrollment, by the log's clock, and not after."""
    hosts = enrolled("web1")
    for message in (plain(None), plain("web9@5"), signed(0, host="web9"), plain("web1@5", T0 - 1)):
        assert hosts.admit(message) == NOBODYS
    assert hosts.admit(plain("web1@5")).refusal == "unsigned"
    assert Hosts().admit(plain(None)) == NOBODYS


def test_another_key_takes_the_place_of_the_first() -> None:
    """What the log took before counts by the old key, also where it is read later; nothing after does."""
    hosts = enrolled("web1")
    hosts.enroll(enroll("web1", TEXTS[1]), T0 + MINUTE)
    assert hosts.admit(signed(0, T0, T0 + MINUTE - 1)) == WEB1
    assert hosts.admit(signed(0, T0 + 1, T0 + MINUTE)).refusal == "wrong signature"
    assert hosts.admit(signed(1, T0, T0 + MINUTE)) == WEB1, "a new key begins its order anew"


def test_the_key_in_force_changes_nothing() -> None:
    """A command that is appended twice is one."""
    hosts = enrolled("web1")
    assert hosts.admit(signed(0)) == WEB1
    before = hosts.dump()
    hosts.enroll(enroll("web1", TEXTS[0]), T0 + MINUTE)
    assert hosts.dump() == before


def test_a_revoked_host_ships_no_more() -> None:
    """From the log's instant of the command, or one before that it names; what the log took before counts."""
    for since_ms, ends_ms in ((None, T0 + MINUTE), (T0 + 5, T0 + 5), (T0 + 2 * MINUTE, T0 + MINUTE)):
        for require in (False, True):
            hosts = enrolled("web1", require=require)
            hosts.revoke(revoke("web1", since_ms), T0 + MINUTE)
            assert hosts.admit(signed(0, T0, ends_ms - 1)) == WEB1
            assert hosts.admit(signed(0, T0 + 1, ends_ms)).refusal == "revoked"
            assert hosts.admit(plain("web1@5", ends_ms)).refusal == "unsigned"


def test_a_revocation_is_never_put_off() -> None:
    """A later one with a later instant leaves the first; one with an earlier goes back, for all keys."""
    hosts = enrolled("web1")
    hosts.enroll(enroll("web1", TEXTS[1]), T0 + MINUTE)
    hosts.revoke(revoke("web1", T0 + 5), T0 + 2 * MINUTE)
    hosts.revoke(revoke("web1"), T0 + 3 * MINUTE)
    for key in (0, 1):
        assert hosts.admit(signed(key, T0, T0 + 5)).refusal == "revoked"
    assert [key.until_ms for key in hosts.enrolled["web1"].keys] == [T0 + 5, T0 + 5]


def test_a_key_that_has_ended_is_not_enrolled_again() -> None:
    """What it has signed would be new once more; another key brings a revoked host back."""
    hosts = enrolled("web1")
    hosts.revoke(revoke("web1"), T0 + MINUTE)
    with pytest.raises(InvalidMessage, match="has ended; make a new one"):
        hosts.enroll(enroll("web1", TEXTS[0]), T0 + 2 * MINUTE)
    hosts.enroll(enroll("web1", TEXTS[1]), T0 + 2 * MINUTE)
    assert hosts.admit(signed(0, T0, T0 + 2 * MINUTE)).refusal == "wrong signature"
    assert hosts.admit(signed(1, T0, T0 + 2 * MINUTE)) == WEB1


def test_a_name_that_is_revoked_first_is_taken() -> None:
    """Nobody ships under it, signed or not, until it is enrolled."""
    hosts = Hosts()
    hosts.revoke(revoke("web1"), T0)
    assert hosts.admit(plain("web1@5")).refusal == "unsigned"
    assert hosts.admit(signed(0)).refusal == "revoked"
    hosts.enroll(enroll("web1", TEXTS[0]), T0 + MINUTE)
    assert hosts.admit(signed(0)) == WEB1


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [
        (None, TEXTS[0], "host"),
        ("", TEXTS[0], "host"),
        ("a" * 257, TEXTS[0], "host"),
        ("web1", None, "public_key"),
        ("web1", TEXTS[0] + "=", "public_key"),
    ],
    ids=["no-name", "empty-name", "long-name", "no-key", "padded-key"],
)
def test_a_command_without_a_name_or_key_is_an_invalid_message(
    name: str | None, text: str | None, field: str
) -> None:
    """It says which, and changes nothing."""
    hosts = Hosts()
    with pytest.raises(InvalidMessage) as refused:
        hosts.enroll(enroll(name, text), T0)
    assert (refused.value.field, hosts.dump()) == (field, {})
    if field == "host":
        with pytest.raises(InvalidMessage):
            hosts.revoke(revoke(name), T0)


def test_the_hosts_are_bounded() -> None:
    """One more than MOST_HOSTS is refused, a new key of one of them is not; of its keys the last are kept."""
    hosts = Hosts()
    hosts.enrolled = {str(number): EnrolledHost(T0, []) for number in range(MOST_HOSTS)}
    for word in (enroll("web1", TEXTS[0]), revoke("web1")):
        with pytest.raises(InvalidMessage, match=f"{MOST_HOSTS} hosts"):
            hosts.obey(word, T0)
    for _ in range(MOST_KEYS + 3):
        hosts.enroll(enroll("7", public_text(new_private())), T0)
    hosts.enroll(enroll("7", TEXTS[0]), T0)
    assert len(hosts.enrolled["7"].keys) == MOST_KEYS
    assert hosts.enrolled["7"].keys[-1].public_key == TEXTS[0]


@pytest.mark.parametrize("verb", ["ban", "unban", "forgive", "allow", "disallow"])
def test_other_commands_are_not_its_business(verb: Any) -> None:
    """Whatever fields they have."""
    hosts = enrolled("web1")
    before = hosts.dump()
    hosts.obey(replace(enroll("web1", TEXTS[1]), verb=verb), T0)
    assert hosts.dump() == before


INSTANTS = st.integers(T0, T0 + 20)
NAMES = st.sampled_from(["web1", "web2"])
MESSAGES = st.builds(
    lambda key, sent, at, host, ahead: signed(key, sent, at, host=host, ahead_ms=ahead),
    *(st.integers(0, 2), INSTANTS, INSTANTS, NAMES, st.integers(0, 3)),
) | st.builds(lambda host, at: plain(f"{host}@5", at), NAMES, INSTANTS)
STEPS = st.lists(
    st.tuples(
        st.builds(enroll, NAMES, st.sampled_from(TEXTS)) | st.builds(revoke, NAMES, st.none() | INSTANTS),
        INSTANTS,
    )
    | MESSAGES,
    max_size=30,
)


def fold(hosts: Hosts, steps: list[Any]) -> list[Admission]:
    """What comes of messages and commands, in this order."""
    admissions = []
    for step in steps:
        if isinstance(step, Message):
            admissions.append(hosts.admit(step))
            continue
        command, at_ms = step
        try:
            hosts.obey(command, at_ms)
        except InvalidMessage:
            assert command.verb == "enroll"
    return admissions


@PATIENT
@given(steps=STEPS, middle=st.integers(0, 30), require=st.booleans())
def test_saving_and_loading_in_the_middle_changes_nothing(
    steps: list[Any], middle: int, *, require: bool
) -> None:
    """Through JSON and back, between any two steps: the same admissions, and the same state at the end."""
    whole, first = Hosts(require=require), Hosts(require=require)
    expected = fold(whole, steps)
    admissions = fold(first, steps[:middle])
    second = Hosts.load(orjson.loads(orjson.dumps(first.dump())), require=require)
    assert second.dump() == first.dump()
    assert admissions + fold(second, steps[middle:]) == expected
    assert second.dump() == whole.dump()


@PATIENT
@given(STEPS)
def test_nothing_signed_is_admitted_twice(steps: list[Any]) -> None:
    """Whatever the interleaving, what a host sends grows; and what comes again is refused."""
    hosts = Hosts(require=True)
    admissions = fold(hosts, steps)
    messages = [step for step in steps if isinstance(step, Message)]
    taken = [each for each, said in zip(messages, admissions, strict=True) if said.refusal is None]
    assert len(taken) == len({message.key for message in taken})
    assert all(hosts.admit(message).refusal is not None for message in taken)


@PATIENT
@given(STEPS, STEPS)
def test_other_hosts_change_nothing(steps: list[Any], others: list[Any]) -> None:
    """What web2 does and what becomes of it moves nothing of web1."""

    def of(step: Any, name: str) -> bool:
        return (step.key or "").startswith(name) if isinstance(step, Message) else step[0].host == name

    mine = [step for step in steps if of(step, "web1")]
    theirs = [step for step in others if of(step, "web2")]
    mixed = [step for pair in zip(mine, theirs, strict=False) for step in pair]
    mixed += mine[len(theirs) :]
    one, both = Hosts(), Hosts()
    fold(one, mine)
    fold(both, mixed)
    assert both.dump().get("web1") == one.dump().get("web1")
