"""`banstream hosts`: keys made, hosts enrolled, revoked and listed; and a shipper that signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from banstream.commands.hosts import give_all
from banstream.key_files import make_key, read_key
from banstream.reading import messages, records
from eventlog.clock import wall_clock_ms
from eventlog.contract import Append, EventLog
from eventlog.kafka.log import KafkaLog
from eventlog.memory import MemoryLog
from eventlog.urls import open_log
from schemas.codec import encode, encode_frame
from schemas.errors import Transient
from schemas.records import Command, DeadLetter
from schemas.rules import Jail, Rules
from schemas.shipments import Shipment, key_of
from schemas.signatures import digest_of, fingerprint, new_private, public_text, sign
from schemas.topics import BANS, COMMANDS, DEADLETTERS, EVENTS
from streams.embedded import EmbeddedDecider
from streams.hosts import REASONS, Admission, Hosts
from tests.banstream.fleet import failure, role
from tests.banstream.service import Service, eventually, say, service
from tests.broker import Broker, Cluster
from tests.streams import fleet as workers
from tests.streams.folding import failure as fold_failure


def shipped_by(host: str, key: Ed25519PrivateKey, ip: str, times: int, *, ahead_ms: int = 0) -> Append:
    """So many failures of an address, in one message of the only partition that a host signs now."""
    now_ms = wall_clock_ms()
    value = encode_frame(
        [fold_failure(ip, now_ms, 1_000 * ahead_ms + nth, source=host) for nth in range(times)]
    )
    shipment = Shipment(host, now_ms, ahead_ms)
    signature = sign(key, digest_of(EVENTS.name, 0, shipment, value))
    return Append(EVENTS.name, value, key_of(shipment._replace(signature=signature)), partition=0)


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Service]:
    """A configured service, asked for by ann; not running."""
    with service(tmp_path) as made:
        made.env["SUDO_USER"] = "ann"
        yield made


def words(made: Service) -> list[Command]:
    """The commands in its log."""
    return [each for each in made.kept(COMMANDS) if isinstance(each, Command)]


def test_a_key_is_made_once_and_shown_again(quiet: Service) -> None:
    """Its public half is what `enroll` takes; a file that is no key stays as it is."""
    file = quiet.folder / "host.key"
    made = quiet.run("hosts", "key", "--key-file", str(file)).stdout
    text = public_text(read_key(file, ""))
    assert f"Public key: {text}\n" in made
    assert f"enroll NAME --public-key {text}" in made
    content = file.read_bytes()
    again = quiet.run("hosts", "key", "--key-file", str(file)).stdout
    assert again == made.replace("Made", "Found")
    assert file.read_bytes() == content
    said = quiet.run("hosts", "key", "--key-file", str(quiet.log), code=2).stderr
    assert f"--key-file = {quiet.log}: others may read" in said


def test_enrolling_makes_the_key_and_says_what_to_do(quiet: Service) -> None:
    """The private half is in the new file alone; the command names who, whom, and the public half."""
    said = say(quiet, "hosts", "enroll", "web1@fra", "--key-file", "web1.key", "--why", "new in rack 4")
    text = public_text(read_key(quiet.folder / "web1.key", ""))
    (word,) = words(quiet)
    assert (word.verb, word.host, word.public_key, word.who, word.why) == (
        *("enroll", "web1@fra", text, "ann"),
        "new in rack 4",
    )
    for part in (
        fingerprint(text),
        "web1.key",
        '  host = "web1@fra"',
        '  key_file = "/etc/banstream/host.key"',
    ):
        assert part in said
    done = quiet.run(
        "hosts", "enroll", "web2", "--key-file", "web1.key", "--config", str(quiet.config), code=2
    )
    assert "web2: this key is web1@fra's; make each host a key of its own" in done.stderr
    assert len(words(quiet)) == 1


def test_hosts_are_listed_as_they_stand(quiet: Service) -> None:
    """Enrolled, with another key, revoked since an instant; nobody is exit code 1."""
    open_log(f"sqlite://{quiet.folder}/state/log.db").close()
    assert "No host is enrolled" in say(quiet, "hosts", "list", code=1)
    one, two, three = (public_text(new_private()) for _ in range(3))
    assert quiet.json("hosts", "enroll", "web1", "--public-key", one)[0]["replaced"] is None
    quiet.json("hosts", "enroll", "web2", "--public-key", two)
    (answer,) = quiet.json("hosts", "enroll", "web1", "--public-key", three)
    assert (answer["host"], answer["replaced"], answer["fingerprint"]) == ("web1", one, fingerprint(three))
    (revoked,) = quiet.json("hosts", "revoke", "web2", "--since", "@1700000000", "--why", "stolen")
    assert (revoked["outcome"], revoked["command"]["since_ms"]) == ("revoked", 1_700_000_000_000)
    listed = quiet.json("hosts", "list")
    assert {each["who"] for each in listed} == {words(quiet)[0].who}
    assert [(each["host"], each["public_key"], each["revoked_since_ms"]) for each in listed] == [
        ("web1", three, None),
        ("web2", two, 1_700_000_000_000),
    ]
    said = say(quiet, "hosts", "list")
    assert fingerprint(three) in said
    assert "from 2023-11-14 22:13:20 on" in said


def test_what_deciders_would_refuse_is_not_appended(quiet: Service) -> None:
    """No key, one that was replaced, a host that nobody knows, both options or none: told, not written."""
    one, two = (public_text(new_private()) for _ in range(2))
    for text in (one, two):
        quiet.json("hosts", "enroll", "web1", "--public-key", text)
    for arguments, said in (
        (("web1", "--public-key", one), "web1: public_key: this key of the host has ended"),
        (("web2", "--public-key", "abc"), "web2: public_key: expected 43 characters"),
        (("web2",), "one of --key-file FILE, which makes a key, and --public-key TEXT"),
        (("web2", "--public-key", one, "--key-file", "x"), "one of --key-file FILE"),
        (("é" * 129, "--public-key", one), "of 256 bytes"),
    ):
        done = quiet.run("hosts", "enroll", *arguments, "--config", str(quiet.config), code=2)
        assert said in done.stderr
    assert "web9 is not enrolled" in say(quiet, "hosts", "revoke", "web9", code=1)
    late = quiet.run(
        "hosts", "revoke", "web9", "--since", "@4102444800", "--config", str(quiet.config), code=2
    )
    assert "yet to come" in late.stderr
    assert not (quiet.folder / "x").exists()
    assert len(words(quiet)) == 2


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_revoked_host_caused_is_shown_and_lifted(quiet: Service, *, keep: bool) -> None:
    """Bans on its events alone end; one that others' events hold as well, or an operator, stays."""
    keys = {name: new_private() for name in ("web1", "web2")}
    for name, key in keys.items():
        quiet.json("hosts", "enroll", name, "--public-key", public_text(key))
    own, shared, others, by_hand = "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"
    with closing(open_log(f"sqlite://{quiet.folder}/state/log.db")) as log:
        decider = EmbeddedDecider(log, now_ms=wall_clock_ms)
        decider.govern(Rules(jails=(Jail(name="sshd", filters=("sshd",), maxretry=2, bantime_ms=None),)))
        for nth, (host, ip) in enumerate(
            [
                ("web2", own),
                ("web2", own),
                ("web2", shared),
                ("web1", shared),
                ("web1", others),
                ("web1", others),
            ]
        ):
            now_ms = wall_clock_ms() + nth
            value = encode_frame([fold_failure(ip, now_ms, nth)])
            shipment = Shipment(host, now_ms)
            signature = sign(keys[host], digest_of(EVENTS.name, 0, shipment, value))
            log.append([Append(EVENTS.name, value, key_of(shipment._replace(signature=signature)))])
        decider.catch_up()
        quiet.run("ban", by_hand, "--config", str(quiet.config))
        decider.catch_up()
        assert in_force(log) == {own, shared, others, by_hand}
        option = ["--keep-bans"] if keep else []
        *caused, revoked = quiet.json("hosts", "revoke", "web2", "--why", "stolen", *option)
        assert [(each["prefix"], each["alone"], each["outcome"]) for each in caused] == [
            (own, True, "kept" if keep else "lifted"),
            (shared, False, "kept"),
        ]
        assert revoked["outcome"] == "revoked"
        decider.catch_up()
        assert in_force(log) == {shared, others, by_hand} | ({own} if keep else set())
        decider.close()


def in_force(log: EventLog) -> set[str]:
    """Who is banned."""
    return {str(message.key) for message in log.latest(BANS.name)}


class Away(MemoryLog):
    """A log that takes nothing any more."""

    def append(self, appends: Sequence[Append]) -> list[int]:
        """Raise Transient."""
        raise Transient(f"{len(appends)} messages: no broker")


def test_where_the_log_goes_away_it_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The same key again, since some partitions may have it, and its private half is in its file."""
    text = public_text(new_private())
    for verb, again in (("enroll", f"enroll web1 --public-key {text}\n"), ("revoke", "revoke web1\n")):
        key = text if verb == "enroll" else None
        word = Command(id="1", verb=verb, at_ms=1, who="ann", host="web1", public_key=key)  # type: ignore[arg-type]
        with pytest.raises(Transient, match="2 messages: no broker"):
            give_all(Away(partitions=2), [Hosts(), Hosts()], word)
        assert capsys.readouterr().err.endswith(f"As soon as the log takes it: banstream hosts {again}")


def test_no_key_is_made_where_the_log_cannot_be_reached(quiet: Service) -> None:
    """Exit code 3, and no file is left behind."""
    quiet.config.write_text('[log]\nurl = "kafka://localhost:1?timeout=1s"\n')
    quiet.run("hosts", "enroll", "web1", "--key-file", "web1.key", "--config", str(quiet.config), code=3)
    assert not (quiet.folder / "web1.key").exists()


def test_a_shipper_does_not_start_with_a_key_that_others_may_read(quiet: Service) -> None:
    """Exit code 2 and what to do, before anything is made."""
    file = quiet.folder / "host.key"
    make_key(file)
    file.chmod(0o644)
    quiet.configure(more=f'[ship]\nkey_file = "{file}"\ndirectory = "{quiet.folder}/spool"')
    said = quiet.run("ship", "--config", str(quiet.config), code=2).stderr
    assert f"ship.key_file = {file}: others may read or write it (mode 0644)" in said
    assert not (quiet.folder / "spool").exists()


@pytest.mark.real("kafka")
def test_a_command_is_in_every_partition_and_one_that_is_not_is_told(broker: Cluster, quiet: Service) -> None:
    """Where an append was cut off, `list` says of whom; enrolling again puts it right, or revoking."""
    url = broker.url(3)
    quiet.config.write_text(f'[log]\nurl = "{url}"\n')
    text = public_text(new_private())
    log = open_log(url)
    try:
        word = Command(id="1", verb="enroll", at_ms=1, who="ann", host="web1", public_key=text)
        log.append([Append(COMMANDS.name, encode(word), partition=1)])
        assert (
            "not all partitions know the same of web1"
            in quiet.run("hosts", "list", "--config", str(quiet.config), code=1).stderr
        )
        quiet.json("hosts", "enroll", "web1", "--public-key", text)
        assert [each["host"] for each in quiet.json("hosts", "list")] == ["web1"]
        found = [each for each in records(log, COMMANDS.name) if isinstance(each.record, Command)]
        assert [each.partition for each in found] == [0, 1, 1, 2]
        log.append([Append(COMMANDS.name, encode(replace(word, host="web2")), partition=2)])
        assert [each["host"] for each in quiet.json("hosts", "list", code=1)] == ["web1", "web2"]
        assert quiet.json("hosts", "revoke", "web2")[0]["outcome"] == "revoked"
        assert [each["host"] for each in quiet.json("hosts", "list")] == ["web1", "web2"]
    finally:
        log.close()


def test_this_host_is_enrolled_as_its_configuration_has_it(quiet: Service) -> None:
    """Without a name: its key is made where there is none, and what is so already is not said again."""
    quiet.configure(more=f'[ship]\nhost = "web1"\ndirectory = "{quiet.folder}"\n')
    assert (
        "ship.key_file: missing" in quiet.run("hosts", "enroll", "--config", str(quiet.config), code=2).stderr
    )
    file = quiet.folder / "host.key"
    quiet.configure(more=f'[ship]\nhost = "web1"\ndirectory = "{quiet.folder}"\nkey_file = "{file}"\n')
    first, again = quiet.json("hosts", "enroll")[0], quiet.json("hosts", "enroll")[0]
    text = public_text(read_key(file, ""))
    assert [(each["outcome"], each["host"], each["public_key"]) for each in (first, again)] == [
        ("enrolled", "web1", text),
        ("unchanged", "web1", text),
    ]
    assert len(words(quiet)) == 1
    assert "web1 is enrolled already" in say(quiet, "hosts", "enroll")
    file.chmod(0o640)
    refused = quiet.run("hosts", "enroll", "--config", str(quiet.config), code=2).stderr
    assert f"ship.key_file = {file}: others may read" in refused
    file.chmod(0o600)
    for option in (("--key-file", "x"), ("--public-key", text)):
        quiet.run("hosts", "enroll", *option, "--config", str(quiet.config), code=2)
    quiet.json("hosts", "revoke", "web1")
    assert (
        "this key of the host has ended"
        in quiet.run("hosts", "enroll", "--config", str(quiet.config), code=2).stderr
    )
    assert len(words(quiet)) == 2


@pytest.mark.real("kafka")
def test_by_default_a_fleet_believes_enrolled_hosts_alone(broker: Cluster, quiet: Service) -> None:
    """Unsigned, of a stranger, by a key that was replaced or revoked: no ban, whichever worker goes on."""
    name, old, new = 'web 1@fra"é', new_private(), new_private()
    with workers.fleet(broker.url(1), quiet.folder, signed=True) as made:
        for _ in range(2):
            made.start()
        made.governed()

        def ships(key: Ed25519PrivateKey, ip: str, ahead_ms: int) -> None:
            """A worker is killed meanwhile, and another started."""
            made.log.append([shipped_by(name, key, ip, 3, ahead_ms=ahead_ms)])
            killed = made.workers.pop(0)
            killed.kill()
            killed.wait()
            made.start()

        def says(verb: str, *arguments: str) -> None:
            """It is obeyed when this returns."""
            quiet.json("hosts", verb, name, *arguments)
            eventually(made.all_folded, "the command is obeyed", 60)

        ships(old, "192.0.2.1", 0)
        made.send([[fold_failure("192.0.2.2", wall_clock_ms(), nth) for nth in range(3)]])
        eventually(made.all_folded, "both are refused", 60)
        says("enroll", "--public-key", public_text(old))
        says("enroll", "--public-key", public_text(old))
        ships(old, "192.0.2.3", 1)
        says("enroll", "--public-key", public_text(new))
        ships(old, "192.0.2.4", 2)
        ships(new, "192.0.2.5", 3)
        eventually(lambda: made.in_force() == {"192.0.2.3", "192.0.2.5"}, "what its keys have signed", 60)
        says("revoke", "--keep-bans")
        ships(new, "192.0.2.6", 4)
        again = ("hosts", "enroll", name, "--public-key", public_text(new), "--config", str(quiet.config))
        assert "this key of the host has ended" in quiet.run(*again, code=2).stderr
        made.settled()
        assert made.in_force() == {"192.0.2.3", "192.0.2.5"}
        letters = [each.record for each in records(made.log, DEADLETTERS.name)]
        reasons = [each.reason for each in letters if isinstance(each, DeadLetter)]
        assert [reason.rpartition("None: ")[2] for reason in reasons] == [
            REASONS[each] for each in ("unknown host", "unsigned", "wrong signature", "revoked")
        ]


@pytest.mark.real("kafka")
def test_what_a_shipper_signs_is_admitted_in_order_whatever_is_killed(tmp_path: Path) -> None:
    """Every message in the log is its host's, once, through kills and a restart of the broker."""
    broker = Broker(tmp_path / "broker")
    with role("ship", tmp_path / "web1") as shipper:
        try:
            broker.start()
            url = broker.url(4, timeout="2s")
            shipper.settle(url)
            shipper.config.write_text(
                shipper.config.read_text().replace("[ship]\n", f'[ship]\nkey_file = "{tmp_path}/host.key"\n')
            )
            text = public_text(make_key(tmp_path / "host.key"))
            for turn in range(4):
                shipper.begin("Signing host=web1 key=" + fingerprint(text))
                with shipper.log.open("a", encoding="utf-8") as log:
                    log.writelines(failure(f"192.0.{n}.7", turn * 100 + n) for n in range(60))
                if turn == 1:
                    broker.kill()
                    eventually(lambda: "THE LOG IS AWAY" in shipper.errors, "the broker is away")
                    broker.start()
                most = 60 * (turn + 1)
                eventually(lambda most=most: shipped_lines(url) >= most, "the events")  # type: ignore[misc]
                shipper.kill()
            check_admissions(url, text)
        finally:
            broker.kill()


def shipped_lines(url: str) -> int:
    """How many events are in the log."""
    log = KafkaLog.open(url, read_only=True)
    try:
        return sum(1 for _ in records(log, EVENTS.name))
    finally:
        log.close()


def check_admissions(url: str, text: str) -> None:
    """All that is in the log is admitted once, partition by partition, as web1's alone."""
    log = KafkaLog.open(url, read_only=True)
    try:
        for number in range(4):
            hosts = Hosts(require=True)
            word = Command(id="1", verb="enroll", at_ms=1, who="ann", host="web1", public_key=text)
            hosts.obey(word, 1)
            found = list(messages(log, EVENTS.name, number, 0))
            assert len(found) >= 4
            assert {hosts.admit(message) for message in found} == {Admission("web1")}
            assert {hosts.admit(message).refusal for message in found} == {"not newer"}
    finally:
        log.close()
