"""Kafka with SASL, TLS and permissions: who gets in, and how far each role gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from kafka.errors import TopicAuthorizationFailedError

from eventlog.contract import Append
from eventlog.kafka import clients
from eventlog.kafka.admin import create
from eventlog.kafka.log import KafkaLog
from eventlog.kafka.options import parse_url
from schemas.errors import LogError, Transient
from schemas.rules import Jail, Rules
from schemas.topics import ALL, BANS, DEADLETTERS, DECISIONS, ENFORCEMENTS, EVENTS, RULES, STATE
from streams.worker.governing import push
from tests.broker import Broker
from tests.eventlog.secured import PASSWORD, ROLES, SCRAM, admit, secured

pytestmark = pytest.mark.real("kafka")

PREFIX = "fleet."
WRITES = {
    "shipper": {EVENTS},
    "enforcer": {ENFORCEMENTS, DEADLETTERS},
    "decider": {EVENTS, DECISIONS, BANS, STATE, DEADLETTERS},
    "operator": {EVENTS, RULES},
}
READS = {
    "shipper": set(),
    "enforcer": {BANS},
    "decider": {EVENTS, DECISIONS, BANS, STATE, RULES},
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
    tls = {"tls": "off"} if mechanism == "PLAIN" else {}
    log = opened(fortress.url("SASL", user="shipper", mechanism=mechanism, **tls))
    assert log.append([Append(EVENTS.name, b"x")])[0] > 0


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused(fortress: Fortress, opened: Opened, mechanism: str) -> None:
    """A wrong password is a LogError that speaks of credentials, and does not tell the password.

    The client often misses the refusal, because the broker hangs up at once; it asks again.
    """
    wrong = fortress.directory / "wrong"
    wrong.write_text("not the password")
    tls = {"tls": "off"} if mechanism == "PLAIN" else {}
    url = fortress.url("SASL", user="shipper", mechanism=mechanism, password_file=str(wrong), **tls)
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


def test_the_decider_commits_what_it_decides(fortress: Fortress, opened: Opened) -> None:
    """A decider's commit of decision, ban, state, dead letter and position goes through."""
    log = opened(fortress.role("decider"))
    writer = log.writer("decider")
    decided = [Append(topic.name, b"d", key="k") for topic in (DECISIONS, BANS, STATE, DEADLETTERS)]
    writer.commit(decided, {"decider/0": b"7"})
    assert log.position("decider/0") == b"7"
    writer.close()


@pytest.mark.parametrize("role", ["shipper", "enforcer", "operator"])
def test_no_other_role_fences_the_decider(fortress: Fortress, opened: Opened, role: str) -> None:
    """Taking the decider's name is refused to all others: fencing it would stop every ban."""
    decider = opened(fortress.role("decider")).writer("decider")
    with pytest.raises(LogError, match="transaction"):
        opened(fortress.role(role)).writer("decider")
    decider.commit([Append(DECISIONS.name, b"still here")], {})
    decider.close()


def test_only_the_operator_puts_rules_in_force(fortress: Fortress, opened: Opened) -> None:
    """The operator's `rules push` goes through; a decider or a shipper who is taken over changes no rule."""
    rules = Rules(jails=(Jail(name="sshd", filters=("sshd",)),))
    assert push(opened(fortress.role("operator")), rules, 0)
    for role in ("decider", "shipper", "enforcer"):
        with pytest.raises(LogError, match="transaction"):
            push(opened(fortress.role(role)), rules, 0)


def test_only_the_operator_makes_topics(fortress: Fortress) -> None:
    """The operator's `topics create` goes through; a shipper's is a LogError."""
    assert create(parse_url(fortress.role("operator")), None, None) == []
    with pytest.raises(LogError, match="may not"):
        create(parse_url(fortress.role("shipper")), None, None)
