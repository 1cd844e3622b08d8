"""Kafka with SASL, TLS and permissions: who gets in, and how far each role gets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import pytest
from kafka.errors import TopicAuthorizationFailedError, TransactionalIdAuthorizationFailedError

from banstream.config import load_settings
from banstream.partitions import owners
from eventlog.contract import Append
from eventlog.kafka import clients
from eventlog.kafka.admin import create
from eventlog.kafka.log import KafkaLog
from eventlog.kafka.options import parse_url
from eventlog.kafka.transactions import Transactions
from eventlog.urls import check_reach
from schemas.codec import decode_frame, encode, encode_frame
from schemas.errors import InvalidMessage, LogError, Transient
from schemas.lists import parts_of
from schemas.records import (
    LINE_CHARACTERS,
    AuthEvent,
    Ban,
    Command,
    DeadLetter,
    Prolong,
    Record,
    RulesChanged,
    Unban,
    Verb,
)
from schemas.rules import SELF, Jail, Rules
from schemas.topics import (
    ALL,
    BANS,
    COMMANDS,
    DEADLETTERS,
    DECISIONS,
    ENFORCEMENTS,
    EVENTS,
    RULES,
    STATE,
    SUBJECTS,
    VERDICTS,
    Topic,
    partition_of,
)
from streams.worker.connection import Cluster
from streams.worker.governing import push
from streams.worker.membership import MembershipName
from streams.worker.status import WorkerStatus
from streams.worker.worker import Worker, WorkerPlan
from tests.banstream.service import eventually
from tests.broker import JARS, Broker
from tests.eventlog.secured import PASSWORD, ROLES, SCRAM, admit, secured
from tests.schemas.examples import EXAMPLES
from tests.streams.folding import failure

pytestmark = pytest.mark.real("kafka")

PREFIX = "fleet."
RULES_IN_FORCE = Rules(jails=(Jail(name="sshd", filters=("sshd",)),))
WRITES = {
    "shipper": {EVENTS},
    "enforcer": {ENFORCEMENTS, DEADLETTERS},
    "decider": {SUBJECTS, VERDICTS, DECISIONS, BANS, STATE, DEADLETTERS},
    "operator": {COMMANDS, RULES},
}
READS = {
    "shipper": set(),
    "enforcer": {BANS, COMMANDS},
    "decider": {EVENTS, COMMANDS, SUBJECTS, VERDICTS, DECISIONS, BANS, STATE, RULES},
    "operator": set(ALL),
}


@dataclass(frozen=True, slots=True)
class Fortress:
    """A secured broker, its certificates, and one log on it under PREFIX."""

    broker: Broker
    directory: Path

    def url(self, listener: str, **options: str) -> str:
        """The url of the log at a listener; file names are those of the certificates."""
        options.setdefault("timeout", "20s")
        for name in options.keys() & {"ca", "cert", "key"}:
            options[name] = str(self.directory / options[name])
        (self.directory / "password").write_text(f"{PASSWORD}\nnothing more\n")
        (self.directory / "password").chmod(0o600)
        if listener == "SASL":
            options.setdefault("tls", "off")
        if "user" in options:
            options.setdefault("password_file", str(self.directory / "password"))
        query = "".join(f"&{name}={quote(value)}" for name, value in options.items())
        return f"kafka://{self.broker.at(listener)}?prefix={PREFIX}{query}"

    def role(self, role: str) -> str:
        """The url with which a role connects."""
        return self.url("SASL", user=role)


@pytest.fixture(scope="module")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    """The secured broker, with the permissions of docs/kafka.md, and a message in every topic."""
    directory = tmp_path_factory.mktemp("fortress")
    broker = secured(directory)
    try:
        broker.start()
        url = broker.url(partitions=2, prefix=PREFIX)
        admit(broker, PREFIX)
        with closing(KafkaLog.open(url)) as log:
            log.append([Append(topic.name, b"first", key="k") for topic in ALL])
        yield Fortress(broker, directory)
    finally:
        broker.kill()


@pytest.fixture
def opened() -> Iterator[Callable[[str], KafkaLog]]:
    """Opens logs by url, and closes them."""
    logs: list[KafkaLog] = []

    def open_log(url: str) -> KafkaLog:
        logs.append(KafkaLog.open(url))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


Opened = Callable[[str], KafkaLog]


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
def test_a_password_lets_in(fortress: Fortress, opened: Opened, mechanism: str) -> None:
    """With each mechanism the right password gets in."""
    log = opened(fortress.url("SASL", user="shipper", mechanism=mechanism))
    assert log.append([Append(EVENTS.name, b"x")])[0] > 0


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused(fortress: Fortress, opened: Opened, mechanism: str) -> None:
    """A wrong password is a LogError at once that speaks of credentials, and does not tell the password."""
    wrong = fortress.directory / "wrong"
    wrong.write_text("not the password")
    wrong.chmod(0o600)
    url = fortress.url("SASL", user="shipper", mechanism=mechanism, password_file=str(wrong))
    for _ in range(20):  # the refusal and the end of the connection come together, or do not
        with pytest.raises(LogError, match=r"refused the credentials.*user=") as refused:
            opened(url).append([Append(EVENTS.name, b"x")])
        assert "not the password" not in str(refused.value)


def test_a_password_over_tls(fortress: Fortress, opened: Opened) -> None:
    """SASL over TLS works where the broker's certificate is trusted."""
    log = opened(fortress.url("SASLTLS", user="operator", ca="ca.pem"))
    assert log.partitions == 2


def test_a_certificate_lets_in(fortress: Fortress, opened: Opened) -> None:
    """A client certificate alone gets in, as the user that it names."""
    log = opened(fortress.url("TLS", ca="ca.pem", cert="shipper.pem", key="shipper.key"))
    assert log.append([Append(EVENTS.name, b"x")])[0] > 0
    with pytest.raises(LogError, match=r"banstream\.decisions"):
        log.append([Append(DECISIONS.name, b"x")])


@pytest.mark.parametrize(
    "options",
    [
        {"ca": "other-ca.pem", "cert": "shipper.pem", "key": "shipper.key"},
        {"ca": "ca.pem", "cert": "stranger.pem", "key": "stranger.key"},
        {"ca": "ca.pem"},
        {"tls": "off"},
    ],
    ids=["unknown broker", "unknown client", "no certificate", "no TLS"],
)
def test_who_cannot_prove_himself_stays_out(
    fortress: Fortress, opened: Opened, options: dict[str, str]
) -> None:
    """Without certificates that both sides trust there is no connection, and the error says where."""
    with pytest.raises((LogError, Transient), match=fortress.broker.at("TLS")):
        opened(fortress.url("TLS", timeout="3s", **options)).append([Append(EVENTS.name, b"x")])


def test_a_broker_that_is_not_trusted_is_an_error(fortress: Fortress, opened: Opened) -> None:
    """Trying again cannot help where the broker's certificate is not trusted: a LogError says so."""
    with pytest.raises(LogError, match=r"certificate is not trusted.*check ca="):
        opened(fortress.url("SASLTLS", user="shipper", ca="other-ca.pem")).end(EVENTS.name)


def test_a_port_that_expects_something_else_is_named(fortress: Fortress, opened: Opened) -> None:
    """At once: a user where nobody signs in, and TLS where none is spoken."""
    began = time.monotonic()
    plain = fortress.broker.url().removeprefix("kafka://").partition("?")[0]
    password = fortress.directory / "password"
    fortress.url("SASL")
    with pytest.raises(LogError, match=r"signs nobody in at this port.*leave user= out"):
        opened(f"kafka://{plain}?user=shipper&tls=off&password_file={password}").end(EVENTS.name)
    with pytest.raises(Transient, match=r"speaks no TLS at this port.*tls=off"):
        check_reach(f"kafka://{plain}?tls=on")
    with pytest.raises(Transient, match=r"speaks TLS at this port; say tls=on"):
        check_reach(fortress.url("SASLTLS", user="shipper", tls="off"))
    for url in (fortress.url("SASLTLS", user="shipper", ca="ca.pem"), fortress.url("SASL", user="shipper")):
        check_reach(url)
    check_reach(fortress.url("TLS", ca="ca.pem", cert="shipper.pem", key="shipper.key"))
    assert time.monotonic() - began < 10


def test_an_operator_sees_who_decides(fortress: Fortress, tmp_path: Path) -> None:
    """By the permissions in the table; who has not got them is told nothing, and goes on."""
    file = tmp_path / "banstream.toml"

    def sees(role: str) -> bool:
        file.write_text(f'[log]\nurl = "{fortress.role(role)}"\n', encoding="utf-8")
        return owners(load_settings(str(file), check="log")) is not None

    eventually(lambda: sees("operator"), "the broker has made what it keeps groups in")
    assert not sees("shipper")


def test_where_no_broker_is_a_command_says_so_at_once(fortress: Fortress) -> None:
    """Each server's own words; one that takes connections is enough."""
    began = time.monotonic()
    with pytest.raises(Transient, match=r"localhost:1: Connection refused; nobody\.invalid:9092: .*known"):
        check_reach("kafka://localhost:1,nobody.invalid:9092")
    there = fortress.broker.url().removeprefix("kafka://").partition("?")[0]
    check_reach(f"kafka://localhost:1,{there}")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("role", ROLES)
def test_a_role_appends_what_it_may_and_no_more(fortress: Fortress, opened: Opened, role: str) -> None:
    """Appending to a topic of another role is a LogError with the topic's name, and leaves it as it was."""
    log, witness = opened(fortress.role(role)), opened(fortress.broker.url(prefix=PREFIX))
    for topic in ALL:
        before = witness.end(topic.name)
        append = [Append(topic.name, role.encode(), key="k")]
        if topic in WRITES[role]:
            assert log.append(append)[0] >= before
        else:
            with pytest.raises(LogError, match=rf"may.*{PREFIX}{topic.name}.*docs/kafka\.md"):
                log.append(append)
            assert witness.end(topic.name) == before


@pytest.mark.parametrize("role", ROLES)
def test_the_broker_itself_refuses(fortress: Fortress, role: str) -> None:
    """A client that asks nobody's advice but sends at once is refused as well."""
    options = parse_url(fortress.role(role))
    producer = clients.producer(options)
    try:
        for topic in (DECISIONS, ENFORCEMENTS, RULES, BANS):
            if topic not in WRITES[role]:
                with pytest.raises(TopicAuthorizationFailedError):
                    producer.send(PREFIX + topic.name, b"forged", key=b"k", partition=0).get(timeout=30)
    finally:
        producer.close(timeout=5)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_what_it_may_and_no_more(fortress: Fortress, opened: Opened, role: str) -> None:
    """Reading a topic that is not the role's is a LogError with the topic's name."""
    log = opened(fortress.role(role))
    for topic in ALL:
        if topic in READS[role]:
            assert log.read(topic.name, 0, 0)[0].value == b"first"
        else:
            with pytest.raises(LogError, match=rf"may.*{PREFIX}{topic.name}"):
                log.read(topic.name, 0, 0)


def test_the_enforcer_commits_enforcements(fortress: Fortress, opened: Opened) -> None:
    """An enforcer's commit of enforcements and dead letters goes through; one with a ban does not at all."""
    log, witness = opened(fortress.role("enforcer")), opened(fortress.broker.url(prefix=PREFIX))
    writer = log.writer("enforcer/web1")
    writer.commit([Append(ENFORCEMENTS.name, b"done"), Append(DEADLETTERS.name, b"letter")], {})
    with pytest.raises(LogError, match=r"banstream\.bans"):
        writer.commit([Append(ENFORCEMENTS.name, b"undone"), Append(BANS.name, b"", key="192.0.2.1")], {})
    writer.commit([Append(ENFORCEMENTS.name, b"done again")], {})
    values = [message.value for message in witness.read(ENFORCEMENTS.name, 0, 0)]
    assert values[-2:] == [b"done", b"done again"]
    writer.close()


@pytest.mark.parametrize("membership", get_args(MembershipName))
def test_a_worker_decides(fortress: Fortress, opened: Opened, membership: MembershipName) -> None:
    """With what the table gives it a decider joins, reads, commits decisions, and stops."""
    with closing(KafkaLog.open(fortress.broker.url(prefix=PREFIX))) as witness:
        witness.append([Append(STATE.name, b"", key="k")])
        push(opened(fortress.role("operator")), RULES_IN_FORCE, 0)
        before = witness.end(DECISIONS.name, 1)
        ip = next(ip for ip in map("10.0.{}.1".format, count(len(membership))) if partition_of(ip, 2) == 1)
        now_ms = time.time_ns() // 1_000_000
        frame = [failure(ip, now_ms, position, source=membership) for position in range(9)]
        opened(fortress.role("shipper")).append([Append(EVENTS.name, encode_frame(frame), partition=1)])
        status = asyncio.run(
            _work(fortress.role("decider"), membership, lambda: ip in banned(witness, before))
        )
    assert (status.membership, status.away) == (membership, False)
    assert [each.number for each in status.partitions] == [0, 1]
    assert {each.state for each in status.partitions} == {"closed"}
    one = status.partitions[1]
    assert (one.events, one.decisions) == (9, 1)
    assert one.commits > 1
    assert (one.committed_at_ms or 0) > time.time_ns() // 1_000_000 - 60_000


def records_from(log: KafkaLog, topic: Topic, number: int, begin: int) -> list[Record]:
    """The records of a partition from an offset on."""
    found = log.read(topic.name, number, begin)
    read = [each for message in found for each in decode_frame(message.value)]
    return [each for each in read if not isinstance(each, InvalidMessage)]


def banned(log: KafkaLog, begin: int) -> set[str]:
    """Whom partition 1 has banned from an offset on."""
    return {each.prefix for each in records_from(log, DECISIONS, 1, begin) if isinstance(each, Ban)}


async def _work(url: str, membership: MembershipName, until: Callable[[], bool]) -> WorkerStatus:
    """Be a worker until something holds; how it was."""
    plan = WorkerPlan(
        cluster=Cluster(parse_url(url), "decider"),
        partitions=2,
        now_ms=lambda: time.time_ns() // 1_000_000,
        rules=RULES_IN_FORCE.version,
        membership=membership,
    )
    stopped = asyncio.Event()

    async def watch() -> None:
        deadline = time.monotonic() + 60
        while not await asyncio.to_thread(until):
            assert time.monotonic() < deadline, "nothing is decided"
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    watching.add_done_callback(lambda _: stopped.set())
    worker = Worker(plan)
    await worker.run(stopped)
    await watching
    return worker.status()


def test_what_a_record_may_do_follows_from_its_topic(fortress: Fortress, opened: Opened) -> None:
    """Each record as each role, where that may write: a shipper who says an operator's words is not obeyed.

    Of his, events count; of an operator's, commands, rules and lists; all else is in the dead letters.
    """
    victim, rightful, attacker = (
        next(ip for ip in map(form.format, range(250)) if partition_of(ip, 2) == 1)
        for form in ("10.1.{}.1", "10.2.{}.1", "10.3.{}.1")
    )
    now_ms = time.time_ns() // 1_000_000

    def by(who: str, verb: Verb, prefix: str | None) -> Command:
        return Command(id=f"{who} {verb}", verb=verb, at_ms=now_ms, who=who, prefix=prefix)

    others = [plain for plain, _ in EXAMPLES if not isinstance(plain, AuthEvent | Command | RulesChanged)]
    stolen = [by("thief", "ban", victim), by("thief", "unban", None), by("thief", "allow", "0.0.0.0/0")]
    no_rules = RulesChanged(version="0", at_ms=now_ms, rules=Rules(jails=()).to_wire())
    (spared,) = parts_of(SELF, [attacker], now_ms)
    frame = [failure(attacker, now_ms, position, source="theft") for position in range(5)]
    with closing(KafkaLog.open(fortress.broker.url(prefix=PREFIX))) as witness:
        witness.append([Append(STATE.name, b"", key="k")])
        push(opened(fortress.role("operator")), RULES_IN_FORCE, 0)
        letters_from, decisions_from = witness.end(DEADLETTERS.name), witness.end(DECISIONS.name, 1)
        shipper, operator = (opened(fortress.role(role)) for role in ("shipper", "operator"))
        forged = [*stolen, no_rules, spared, *others]
        shipper.append([Append(EVENTS.name, encode(each), partition=1) for each in forged])
        shipper.append([Append(EVENTS.name, encode_frame(frame), partition=1)])
        strays = [frame[0], *others]
        operator.append([Append(COMMANDS.name, encode(each), partition=1) for each in strays])
        operator.append([Append(COMMANDS.name, encode(by("root", "ban", rightful)), partition=1)])

        asyncio.run(
            _work(fortress.role("decider"), "aiokafka", lambda: len(banned(witness, decisions_from)) > 1)
        )
        assert banned(witness, decisions_from) == {rightful, attacker}
        decided = records_from(witness, DECISIONS, 1, decisions_from)
        assert not [each for each in decided if isinstance(each, Unban | Prolong)]
        assert {each.rules for each in decided if isinstance(each, Ban)} == {RULES_IN_FORCE.version}
        letters = [
            each
            for each in records_from(witness, DEADLETTERS, 0, letters_from)
            if isinstance(each, DeadLetter)
        ]
        lines = Counter((each.topic, each.line.encode()) for each in letters)
        for topic, refused in ((EVENTS, forged), (COMMANDS, strays)):
            for record in refused:
                assert lines[topic.name, encode(record)[:LINE_CHARACTERS]] == 1, record


def test_a_quota_slows_a_shipper_and_loses_nothing(fortress: Fortress, opened: Opened) -> None:
    """As docs/kafka.md sets it: the broker answers later, the append waits, and every message is there."""
    settings = ("--entity-type", "users", "--entity-name", "shipper")
    kafka_configs(fortress.broker, *settings, "--add-config", "producer_byte_rate=100000")
    log, witness = opened(fortress.role("shipper")), opened(fortress.broker.url(prefix=PREFIX))
    before, started = witness.end(EVENTS.name, 1), time.monotonic()
    for _ in range(6):
        log.append([Append(EVENTS.name, os.urandom(300_000), partition=1)])
    assert time.monotonic() - started > 1
    assert len(witness.read(EVENTS.name, 1, before)) == 6
    kafka_configs(fortress.broker, *settings, "--delete-config", "producer_byte_rate")


def kafka_configs(broker: Broker, *options: str) -> None:
    """Kafka's own kafka-configs.sh --alter."""
    program = ["java", "-cp", f"{JARS}/*", "kafka.admin.ConfigCommand", "--alter"]
    subprocess.run(
        [*program, "--bootstrap-server", broker.at("INTERNAL"), *options], check=True, capture_output=True
    )


@pytest.mark.parametrize("role", ["shipper", "enforcer", "operator"])
def test_no_other_role_fences_the_decider(fortress: Fortress, role: str) -> None:
    """Taking the decider's name is refused to all others: fencing it would stop every ban."""
    name = f"{PREFIX}decider-0"
    decider = Transactions(parse_url(fortress.role("decider")), name)
    with pytest.raises(TransactionalIdAuthorizationFailedError):
        Transactions(parse_url(fortress.role(role)), name)
    decider.write([Append(DECISIONS.name, b"still here")])
    decider.commit()
    decider.close()


def test_only_the_operator_puts_rules_in_force(fortress: Fortress, opened: Opened) -> None:
    """The operator's `rules push` goes through; a decider or a shipper who is taken over changes no rule."""
    for role in ("operator", "decider", "shipper", "enforcer"):
        rules = Rules(jails=(Jail(name=f"other-{role}", filters=("sshd",)),))
        if role == "operator":
            assert push(opened(fortress.role(role)), rules, 0)
            continue
        with pytest.raises(LogError, match=r"docs/kafka\.md"):
            push(opened(fortress.role(role)), rules, 0)


def test_only_the_operator_makes_topics(fortress: Fortress) -> None:
    """The operator's `topics create` goes through; a shipper's is a LogError."""
    assert create(parse_url(fortress.role("operator")), None, None) == []
    with pytest.raises(LogError, match="may not"):
        create(parse_url(fortress.role("shipper")), None, None)
