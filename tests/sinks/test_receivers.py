"""SIEMs' receivers: what each says of an item, by a real server that answers as theirs do."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from kafka.structs import TopicPartition

from eventlog.kafka import clients
from eventlog.kafka.options import parse_url
from schemas.errors import Transient
from schemas.topics import DECISIONS
from sinks.contract import TAKEN, Reception, Sending, SinkAnswer
from tests.banstream.service import eventually
from tests.broker import Cluster
from tests.sinks.certificates import Certificates
from tests.sinks.following import Following, ban, failed, put
from tests.sinks.sending import doubt, sending, transport
from tests.sinks.servers import HttpReceiver, Request, Told, http_server

THREE = [sending(ban(number)) for number in range(3)]
SAME = [TAKEN] * 3


@pytest.fixture
def server() -> Iterator[HttpReceiver]:
    """An HTTP server."""
    with http_server() as made:
        yield made


def told(value: object, status: int = 200) -> Told:
    """An answer in JSON."""
    return Told(status, json.dumps(value).encode())


def test_elastic_creates_each_document_once(server: HttpReceiver) -> None:
    """409 means that it is there; what the mapping refuses is hopeless; 429 is sent again."""
    statuses = [201, 409, 400, 429, 503]

    def answer(_: Request) -> Told:
        items: list[Any] = [{"create": {"status": status}} for status in statuses]
        items[2]["create"]["error"] = {
            "type": "mapper_parsing_exception",
            "reason": "failed to parse [source.ip]",
        }
        return told({"errors": True, "items": items})

    server.usual = answer
    made = transport(f"elastic+{server.url}/logs-banstream.events-default")
    answers = made.send([sending(ban(number), "ecs") for number in range(5)])
    kinds = [each.reception for each in answers]
    assert kinds == [Reception.TAKEN] * 2 + [Reception.HOPELESS] + [Reception.AGAIN] * 2
    assert answers[2].said == "400 mapper_parsing_exception: failed to parse [source.ip]"
    (request,) = server.requests
    assert request.path.startswith("/logs-banstream.events-default/_bulk?filter_path=errors,")
    lines = request.body.split(b"\n")
    assert json.loads(lines[0]) == {"create": {"_id": "q7x2kd3m-0-0-0-0"}}
    assert json.loads(lines[1])["ecs"]["version"] == "9.4.0"
    assert request.body.endswith(b"\n")
    server.usual = lambda request: told({"errors": False}, 413 if request.body.count(b"create") > 1 else 200)
    assert made.send(THREE) == [TAKEN]
    made.close()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>", b"{}", b'{"errors":true,"items":[]}', b"[]", b'{"errors":true}',
        b'{"errors":true,"items":[{"create":{"status":"none"}},{"create":{"status":1}},{"create":{"status":1}}]}',
    ],
)  # fmt: skip
def test_what_is_no_answer_of_elastics_is_no_success(server: HttpReceiver, body: bytes) -> None:
    """A proxy's page with 200 loses nothing."""
    server.usual = lambda _: Told(200, body)
    made = transport(f"elastic+{server.url}/i")
    with pytest.raises(Transient):
        made.send(THREE)
    made.close()


def test_splunk_takes_with_code_0_and_what_is_wrong_is_found_one_by_one(
    server: HttpReceiver, tmp_path: Path
) -> None:
    """A wrong token, or a busy indexer, is no item's fault."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("11111111-2222", encoding="utf-8")

    def answer(request: Request) -> Told:
        if b"0-1-0-0" in request.body:
            return told({"text": "Invalid data format", "code": 6}, 400)
        return told({"text": "Success", "code": 0})

    server.usual = answer
    made = transport(f"splunk+{server.url}", token_file=str(token), index="security")
    answers = made.send(THREE)
    assert [each.reception for each in answers] == [Reception.TAKEN, Reception.HOPELESS, Reception.TAKEN]
    first = server.requests[0]
    assert first.path == "/services/collector/event"
    assert first.headers["authorization"] == "Splunk 11111111-2222"
    event = json.loads(first.body.split(b"\n")[0])
    assert (event["index"], event["event"]["prefix"], event["time"]) == (
        "security",
        "203.0.113.7",
        1795338000.123,
    )
    for status, code in ((503, 9), (403, 4), (400, 10), (200, 9)):
        server.usual = lambda _, status=status, code=code: told({"text": "no", "code": code}, status)  # type: ignore[misc]
        with pytest.raises(Transient):
            made.send(THREE)
    made.close()


def test_splunk_has_it_once_an_indexer_has(server: HttpReceiver) -> None:
    """With `ack`: asked for until it says so; what it forgot, or a token without, is no success."""
    numbers = iter(range(9))
    indexed = [False, False, True]

    def answer(request: Request) -> Told:
        assert request.headers["x-splunk-request-channel"]
        if request.path == "/services/collector/ack":
            (number,) = json.loads(request.body)["acks"]
            return told({"acks": {str(number): indexed.pop(0) if indexed else False}})
        return told({"text": "Success", "code": 0, "ackId": next(numbers)})

    server.usual = answer
    made = transport(f"splunk+{server.url}", ack=True, timeout=1_000)
    assert made.send(THREE) == SAME
    paths = [request.path.rpartition("/")[2] for request in server.requests]
    assert paths == ["event", "ack", "ack", "ack"]
    assert len({request.headers["x-splunk-request-channel"] for request in server.requests}) == 1
    with pytest.raises(Transient, match="no indexer has acknowledged it within 1 s"):
        made.send(THREE)
    server.answers.append(told({"text": "Success", "code": 0}))
    with pytest.raises(Transient, match="no ackId"):
        made.send(THREE)
    server.answers.extend([told({"code": 0, "ackId": 3}), told({"text": "ACK is disabled", "code": 14}, 400)])
    with pytest.raises(Transient, match="ACK is disabled"):
        made.send(THREE)
    made.close()


def test_loki_has_few_labels_and_its_400_is_taken_apart(server: HttpReceiver) -> None:
    """The address and the user stand beside the line."""
    made = transport(f"loki+{server.url}")
    wrong = Told(400, b"entry too far behind")
    server.usual = lambda request: wrong if b"0-1-0-0" in request.body else Told(204, b"")
    answers = made.send(THREE)
    assert [each.reception for each in answers] == [Reception.TAKEN, Reception.HOPELESS, Reception.TAKEN]
    assert answers[1].said == "400 entry too far behind"
    first = server.requests[0]
    assert first.path == "/loki/api/v1/push"
    (stream,) = json.loads(first.body)["streams"]
    labels = {
        "service_name": "banstream",
        "what": "decisions",
        "record": "ban",
        "jail": "sshd",
        "kind": "ban",
    }
    assert stream["stream"] == labels
    at_ns, line, details = stream["values"][0]
    assert (at_ns, details["ip"]) == ("1795338000123000000", "203.0.113.7")
    assert json.loads(line)["id"] == "0-0-0-0"
    made.close()


def test_otlp_with_an_empty_partial_success_is_success(server: HttpReceiver) -> None:
    """What a partial one refuses is never sent again."""
    made = transport(f"otlp+{server.url}")
    batch = [sending(failed(number), "otlp") for number in range(3)]
    server.answers.extend([told({"partialSuccess": {}}), told({}), Told(200, b"")])
    assert [made.send(batch) for _ in range(3)] == [SAME] * 3
    server.usual = lambda _: told({"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too old"}})
    assert {each.said for each in made.send(batch)} == {"1 of 3 refused: too old"}
    body = json.loads(server.requests[0].body)
    (logs,) = body["resourceLogs"][0]["scopeLogs"]
    assert [each["eventName"] for each in logs["logRecords"]] == ["banstream.auth.failed"] * 3
    made.close()


@contextmanager
def rsyslog(folder: Path) -> Iterator[tuple[dict[str, int], Path]]:
    """A real rsyslog: ports of udp, tcp and tls, and the file with what it has understood, in JSON."""
    certificates = Certificates(folder)
    out = folder / "out"
    ports = {"udp": 15514, "tcp": 15515, "tls": 16514, "relp": 12514}
    key = certificates.server.with_suffix(".key")
    (folder / "rs.conf").write_text(
        f"""
global(workDirectory="{folder}" defaultNetstreamDriverCAFile="{certificates.ca}"
 defaultNetstreamDriverCertFile="{certificates.server}" defaultNetstreamDriverKeyFile="{key}")
module(load="imudp") module(load="imptcp") module(load="mmpstrucdata")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="dump" type="list"){{property(name="jsonmesg") constant(value="\\n")}}
ruleset(name="r"){{ action(type="mmpstrucdata") action(type="omfile" file="{out}" template="dump") }}
module(load="imrelp" ruleset="r")
input(type="imrelp" address="127.0.0.1" port="{ports["relp"]}")
input(type="imudp" address="127.0.0.1" port="{ports["udp"]}" ruleset="r")
input(type="imptcp" address="127.0.0.1" port="{ports["tcp"]}" ruleset="r")
input(type="imtcp" address="127.0.0.1" port="{ports["tls"]}" ruleset="r")
""",
        encoding="utf-8",
    )
    out.touch()
    command = ["rsyslogd", "-n", "-i", str(folder / "pid"), "-f", str(folder / "rs.conf")]
    with (
        (folder / "err").open("wb") as errors,
        subprocess.Popen(command, stdout=errors, stderr=errors) as process,
    ):
        try:
            eventually(
                lambda: all(map(_listens, (ports["tcp"], ports["tls"], ports["relp"]))), "rsyslog listens"
            )
            assert process.poll() is None, (folder / "err").read_text()
            yield ports, out
        finally:
            process.terminate()
            process.wait(20)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("localhost", port), 1):
        return True
    return False


def received(out: Path) -> list[dict[str, Any]]:
    """What rsyslog has understood."""
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


@pytest.mark.real("rsyslog")
@pytest.mark.parametrize("way", ["udp", "tcp", "tls", "relp"])
def test_a_real_rsyslog_understands_every_message(tmp_path: Path, way: str) -> None:
    """By each way: hosts, times, severities, and each value of the structured data."""
    text = 'a"b]c\\d \u202e \x1b[31m\nnext [x@1 y="z"] é'
    with rsyslog(tmp_path) as (ports, out):
        options = {"ca_file": str(tmp_path / "ca.pem")} if way == "tls" else {}
        to = f"{'relp' if way == 'relp' else f'syslog+{way}'}://localhost:{ports[way]}"
        made = transport(to, **options)
        batch = [sending(failed(1, user=text, line=text), "syslog"), sending(ban(), "syslog")]
        assert made.send(batch) == [TAKEN] * 2
        made.close()
        cef = transport(to, "cef", **options)
        assert cef.send([sending(ban(), "cef")]) == [TAKEN]
        cef.close()
        eventually(lambda: len(received(out)) == 3, "rsyslog has all")
        event, decision, wrapped = received(out)
    assert (event["hostname"], event["programname"]) == ("web1", "banstream")
    values = event["$!"]["rfc5424-sd"]["banstream@32473"]
    assert values["ip"] == "203.0.113.7"
    shown = 'a"b]c\\d \\u202e \\x1b[31m\\nnext [x@1 y="z"] é'
    assert values["user"] in {shown, shown.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")}
    assert event["msg"].strip() == shown
    assert decision["$!"]["rfc5424-sd"]["banstream@32473"]["jail"] == "sshd"
    assert "CEF:0|banstream|banstream|" in wrapped["msg"]


@pytest.mark.real("rsyslog")
def test_a_syslog_receiver_that_restarts_gets_what_comes_after(tmp_path: Path) -> None:
    """A connection that has ended is seen before a batch, not by losing it."""
    with rsyslog(tmp_path) as (ports, out):
        made = transport(f"syslog+tcp://localhost:{ports['tcp']}")
        made.send([sending(ban(0), "syslog")])
        eventually(lambda: len(received(out)) == 1, "rsyslog has it")
    with pytest.raises(Transient, match="refused"):
        made.send([sending(ban(1), "syslog")])
    with rsyslog(tmp_path) as (_, out):
        assert made.send([sending(ban(1), "syslog")]) == [TAKEN]
        eventually(lambda: len(received(out)) == 2, "rsyslog has the second")
        made.close()


@pytest.mark.real("rsyslog")
def test_by_relp_nothing_is_lost_where_the_receiver_goes(tmp_path: Path) -> None:
    """Whatever was on its way is sent again until it is answered; more than a window goes in parts."""
    batch = [sending(ban(number, f"203.0.{number // 250}.{number % 250}"), "syslog") for number in range(300)]
    with rsyslog(tmp_path) as (ports, out):
        made = transport(f"relp://localhost:{ports['relp']}", timeout=5_000)
        rest = batch
        while len(rest) > 100:
            answers = made.send(rest)
            assert set(answers) == {TAKEN}
            rest = rest[len(answers) :]
    with pytest.raises(Transient):
        made.send(rest)
    with rsyslog(tmp_path) as (_, again):
        while rest:
            rest = rest[len(made.send(rest)) :]
        made.close()
        eventually(lambda: len(received(out)) == 300, "rsyslog has all of them")
        prefixes = [each["$!"]["rfc5424-sd"]["banstream@32473"]["ip"] for each in received(again)]
    assert prefixes == [each.item.key for each in batch]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"1 rsp 6 200 OK\n2 rsp 9 500 no \x1b[\n", ""),
        (b"1 rsp 6 200 OK\n0 serverclose 0\n", "it says serverclose to message 0"),
        (b"1 rsp 6 500 no\n", "it does not open: 500 no"),
        (b"HTTP/1.1 400 Bad Request\r\n" * 9, "no RELP"),
        (b"1 rsp 6 200 OK\n2 rsp 999999 ", "it has hung up"),
    ],
)
def test_what_a_relp_receiver_says_is_looked_at(said: bytes, why: str) -> None:
    """A refusal is a dead letter with its words; what is no answer to this message is none."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                with suppress(OSError):
                    while connection.recv(65_536):
                        pass

        receiver = Thread(target=answer)
        receiver.start()
        made = transport(f"relp://127.0.0.1:{server.getsockname()[1]}", timeout=3_000)
        if why:
            with pytest.raises(Transient, match=why):
                made.send([sending(ban(), "syslog")])
        else:
            (told_of,) = made.send([sending(ban(), "syslog")])
            assert told_of == SinkAnswer(Reception.HOPELESS, "500 no \\x1b[")
        made.close()
        receiver.join()


@pytest.mark.real("kafka")
def test_a_topic_has_each_item_under_its_subject(broker: Cluster) -> None:
    """With its id in a header; what is too large is hopeless, and nobody else's fault."""
    topic = f"out-{time.time_ns()}"
    with closing(broker.admin()) as admin:
        made_topic = {topic: {"num_partitions": 1, "replication_factor": 1}}
        admin.create_topics(made_topic, timeout_ms=20_000, wait_for_metadata=True)
    made = transport(f"kafka://{broker.address}/{topic}")
    items = [sending(ban(number, f"192.0.2.{number}")) for number in range(3)]
    large = Sending(items[1].item, b"x" * (2 << 20))
    eventually(lambda: _taken(made, [items[0]]), "the topic is there")
    answers = made.send([items[1], large, items[2]])
    assert answers[1].reception is Reception.HOPELESS or answers == [TAKEN] * 3
    made.close()
    options = parse_url(f"kafka://{broker.address}")
    with closing(clients.consumer(options, 0, 20_000)) as consumer:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        found = [each for _ in range(20) for some in consumer.poll(200).values() for each in some]
    keys = [each.key for each in found]
    assert keys[0] == b"192.0.2.0"
    assert {b"192.0.2.1", b"192.0.2.2"} <= set(keys)
    assert dict(found[0].headers)["id"] == items[0].item.id.encode()
    assert json.loads(found[0].value)["prefix"] == "192.0.2.0"


def _taken(made: Any, batch: list[Sending]) -> bool:
    try:
        return list(made.send(batch)) == [TAKEN]
    except Transient:
        return False


def test_a_receiver_in_trouble_gets_everything_once(server: HttpReceiver) -> None:
    """Through outages, 429, 500, half of a batch refused, connections cut in the middle."""
    seen: list[str] = []

    def answer(request: Request) -> Told:
        ids = [json.loads(line)["create"]["_id"] for line in request.body.split(b"\n")[::2] if line]
        items = []
        for number, each in enumerate(ids):
            status = 429 if len(server.requests) % 4 == 0 and number % 2 else 409 if each in seen else 201
            if status == 201:
                seen.append(each)
            items.append({"create": {"status": status}})
        if len(server.requests) % 5 == 0:
            return Told(cut=True)  # it has taken them, and nobody hears of it
        return told({"errors": True, "items": items})

    server.usual = answer
    server.answers.extend([Told(500), Told(429, b"", {"Retry-After": "3"}), Told(cut=True), Told(503)])
    made = Following(most=10)
    made.receiver = transport(f"elastic+{server.url}/i")  # type: ignore[assignment]
    for message in range(20):
        put(made.log, DECISIONS, *(ban(message * 10 + each) for each in range(10)))
    runner = made.made()
    made.turn(runner, for_ms=3_600_000, step_ms=10_000)
    assert runner.status.sent == 200
    assert len(seen) == len(set(seen)) == 200
    assert runner.status.refused == 0
    runner.stop()


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("syslog+tcp://", "syslog+tcp://host:port"),
        ("syslog+tls://host:99999", "syslog+tcp://host:port"),
        ("elastic+https://host:9200", "elastic+https://host:9200/INDEX"),
        ("kafka://host:9092", "kafka://host:port/TOPIC"),
        ("kafka://host:9092/banstream.events", "none of the log's"),
        ("kafka://host:9092/x?nonsense=1", "one of"),
    ],
)
def test_what_is_no_receiver_is_said(to: str, said: str) -> None:
    """With what it should look like."""
    assert said in (doubt(to) or "")


@pytest.mark.parametrize("count", [None, [], {}, "many"])
def test_a_partial_success_that_is_no_number_ends_no_sink(server: HttpReceiver, count: object) -> None:
    """OTLP: 200 is success, and what else a receiver says may be anything."""
    server.usual = lambda _: told({"partialSuccess": {"rejectedLogRecords": count}})
    made = transport(f"otlp+{server.url}")
    assert made.send([sending(ban(), "otlp")]) == [TAKEN]
    made.close()
