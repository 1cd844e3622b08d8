"""An intake over HTTP: each protocol's lines become events, answered when these are in the log."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3

from eventlog.contract import Append
from eventlog.memory import MemoryLog
from producers.intakes.http import MOST_BODY_BYTES, ROOM_BYTES
from producers.intakes.settings import AllowedSender, Intake
from producers.producer import Producer, WatchedSource
from schemas.codec import decode_frame
from schemas.errors import Transient
from schemas.records import AuthEvent
from schemas.topics import EVENTS
from tests.banstream.service import eventually, stamp
from tests.producers.intakes.listening import free_port, sender
from tests.sinks.certificates import Certificates
from tests.sinks.following import failed
from tests.sinks.sending import written

HTTP = urllib3.PoolManager(retries=False, timeout=10)


class Held(MemoryLog):
    """A log that takes nothing while it is held."""

    held = False

    def _write(self, appends: Sequence[Append]) -> list[int]:
        if self.held:
            raise Transient("held", retry_after_ms=1)
        return super()._write(appends)


class Intaking:
    """A producer that reads one intake, turned by a thread."""

    def __init__(self, intake: Intake, filters: tuple[str, ...]) -> None:
        self.log = Held()
        self.url = intake.listen
        self.watch = WatchedSource(source=intake.listen, filters=filters, intake=intake)
        self.producer = Producer(self.log, [self.watch])
        self._done = threading.Event()
        self._turning = threading.Lock()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()

    def _turn(self) -> None:
        while not self._done.is_set():
            try:
                with self._turning:
                    busy = self.producer.poll()
            except Transient:
                busy = False
            if not busy:
                time.sleep(0.005)

    def paused(self) -> threading.Lock:
        """Within it nothing is read."""
        return self._turning

    def close(self) -> None:
        """Stop."""
        self._done.set()
        self._thread.join()
        self.log.held = False
        self.producer.close()

    def events(self) -> list[AuthEvent]:
        """What is in the log."""
        messages = self.log.read(EVENTS.name, 0, 0, limit=10_000)
        records = [each for message in messages for each in decode_frame(message.value)]
        return [each for each in records if isinstance(each, AuthEvent)]

    def told(self, words: str) -> int:
        """How often a notice with these words was given."""
        return sum(count for text, count in self.producer.notices().items() if words in text)

    def post(self, path: str, body: object, **headers: str) -> urllib3.BaseHTTPResponse:
        """Send; what is no bytes as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return HTTP.request("POST", self.url + path, body=data, headers=named)


@contextmanager
def intaking(
    *senders: AllowedSender, scheme: str = "http", filters: tuple[str, ...] = ("sshd",), **options: Any
) -> Iterator[Intaking]:
    """One that listens."""
    listen = f"{scheme}://127.0.0.1:{free_port()}"
    intake = Intake(name="t", listen=listen, senders=senders or (sender(),), **options)
    with closing(Intaking(intake, filters)) as made:
        yield made


def line(number: int, host: str = "web1") -> str:
    """A failed login, as a syslog daemon writes it."""
    return f"{stamp()} {host} sshd[{number}]: Failed password for root from 203.0.113.{number} port 4000 ssh2"


def bare(number: int) -> str:
    """The message alone."""
    return line(number).partition("]: ")[2]


def bodies() -> dict[str, tuple[str, str, Any]]:
    """By sender: where to, as what, and two failed logins."""
    return {
        "lines": ("/", "text/plain", f"{line(1)}\r\n{line(2)}\n".encode()),
        "Vector": ("/", "application/json", [{"message": line(n), "host": "web1"} for n in (1, 2)]),
        "Fluent Bit": ("/", "application/x-ndjson", _ndjson({"log": line(1)}, {"log": line(2)})),
        "Fluent Bit, systemd": (
            "/",
            "application/json",
            [
                {
                    "date": time.time(),
                    "MESSAGE": bare(n),
                    "SYSLOG_IDENTIFIER": "sshd",
                    "_HOSTNAME": "web1",
                    "_PID": str(n),
                }
                for n in (1, 2)
            ],
        ),
        "rsyslog": (
            "/",
            "application/json",
            _ndjson(
                {"rawmsg": f"<38>{line(1)}", "msg": " x", "hostname": "web1"},
                {
                    "msg": f" {bare(2)}",
                    "hostname": "web1",
                    "timereported": stamp(),
                    "app-name": "sshd",
                    "procid": "2",
                },
            ),
        ),
        "Elastic": (
            "/logs/_bulk",
            "application/x-ndjson",
            _ndjson(
                {"create": {}},
                {"message": line(1), "host": {"name": "web1"}, "log": {"offset": 1}},
                {"delete": {"_id": "x"}},
                {"index": {"_index": "x"}},
                {"event.original": line(2), "host.name": "web1"},
            ),
        ),
        "Splunk": (
            "/services/collector/event",
            "application/json",
            (
                json.dumps({"event": line(1), "host": "web1"})
                + json.dumps({"event": {"message": line(2)}, "host": "web1"})
            ).encode(),
        ),
        "Splunk, raw": ("/services/collector/raw", "", f"{line(1)}\n{line(2)}".encode()),
        "Loki": (
            "/loki/api/v1/push",
            "application/json",
            {
                "streams": [
                    {"stream": {"host": "web1"}, "values": [["1796000000000000000", line(1)]]},
                    {"stream": {}, "values": [["1796000000000000000", line(2), {"trace": "x"}]]},
                ]
            },
        ),
        "GELF": ("/gelf", "", [{"host": "web1", "short_message": line(n)} for n in (1, 2)]),
        "OTLP": (
            "/v1/logs",
            "application/json",
            {
                "resourceLogs": [
                    {
                        "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "web1"}}]},
                        "scopeLogs": [
                            {
                                "logRecords": [
                                    {"body": {"stringValue": line(1)}},
                                    {
                                        "body": {
                                            "kvlistValue": {
                                                "values": [
                                                    {"key": "message", "value": {"stringValue": line(2)}}
                                                ]
                                            }
                                        }
                                    },
                                ]
                            }
                        ],
                    }
                ]
            },
        ),
    }


CONTENT = {"Elastic": b'"errors":false', "Splunk": b'{"text":"Success","code":0}', "OTLP": b"{}", "Loki": b""}


def _ndjson(*entries: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in entries)


def test_each_protocols_lines_are_read_as_a_files_are() -> None:
    """Packed or not, on one connection, answered as its agents want, and not before the log has it."""
    with intaking() as made:
        for name, (path, kind, body) in bodies().items():
            before = len(made.events())
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {"Content_Type": kind} if kind else {}
            plain = made.post(path, sent, **headers)
            assert plain.status in {200, 202, 204}, (name, plain.data)
            assert CONTENT.get(name, b"") in plain.data
            packed = made.post(path, gzip.compress(sent), Content_Encoding="gzip", **headers)
            assert packed.status == plain.status, (name, packed.data)
            ips = sorted(each.ip for each in made.events()[before:])
            assert ips == ["203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.2"], name
            assert {each.host for each in made.events()[before:]} == {"web1"}, name
        elastic = made.post("/_bulk", bodies()["Elastic"][2])
        assert [next(iter(each)) for each in elastic.json()["items"]] == ["create", "delete", "index"]
        assert made.told("") == 0


PARSED: dict[str, Any] = {
    "windows": {
        "@timestamp": "2026-11-22T09:00:00.123Z",
        "message": "An account failed to log on.",
        "host": {"name": "web1"},
        "winlog": {
            "event_id": "4625",
            "channel": "Security",
            "computer_name": "web1.example.org",
            "event_data": {"TargetUserName": "bob", "LogonType": "3", "IpAddress": "192.0.2.7"},
        },
    },
    "cloudtrail": {
        "Records": [
            {
                "eventTime": "2026-11-22T09:00:00Z",
                "eventSource": "signin.amazonaws.com",
                "eventName": "ConsoleLogin",
                "sourceIPAddress": "192.0.2.7",
                "userIdentity": {"userName": "bob"},
                "responseElements": {"ConsoleLogin": "Failure"},
            }
        ]
    },
    "kubernetes": {
        "kind": "EventList",
        "apiVersion": "audit.k8s.io/v1",
        "items": [
            {
                "kind": "Event",
                "auditID": "0a1b",
                "stage": "ResponseComplete",
                "user": {"username": "bob"},
                "sourceIPs": ["198.51.100.9", "192.0.2.7"],
                "responseStatus": {"code": 401},
                "requestReceivedTimestamp": "2026-11-22T09:00:00.123456Z",
            }
        ],
    },
}


def test_parsed_events_are_facts_for_the_filters_that_read_them() -> None:
    """Winlogbeat's, CloudTrail's, Kubernetes' audit; ECS and OCSF as our own sinks write them."""
    told = failed(1, ip="192.0.2.7", user="bob", host="web1")
    own = {name: json.loads(written(told, name)) for name in ("ecs", "ocsf")}
    filters = (*PARSED, *own)
    with intaking(filters=filters) as made:
        for entry in (*PARSED.values(), *own.values()):
            assert made.post("/", entry).status == 200
        found = [(each.filter, each.kind, each.ip, each.user) for each in made.events()]
    assert found == [(name, "failed", "192.0.2.7", "bob") for name in filters]


def test_an_answer_waits_for_the_log() -> None:
    """While it takes nothing nobody is told that it has; what came meanwhile is read then."""
    with (
        intaking() as made,
        socket.create_connection(("127.0.0.1", int(made.url.rpartition(":")[2])), 10) as raw,
    ):
        made.log.held = True
        body = line(1).encode()
        request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        raw.sendall((request % len(body) + body) * 2)
        raw.settimeout(0.3)
        with pytest.raises(TimeoutError):
            raw.recv(1)
        made.log.held = False
        raw.settimeout(10)
        said = b""
        while said.count(b"HTTP/1.1 200") < 2:
            said += raw.recv(1_000)
        assert len(made.events()) == 2


def test_a_sender_is_known_by_its_token_and_speaks_for_its_hosts(tmp_path: Path) -> None:
    """As Bearer's, Splunk's, Basic's and ApiKey's; others are told no; of other hosts it says nothing."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("s3cret\n")
    allowed = sender("edge", networks=(), token_file=str(token))
    key = base64.b64encode(b"id:s3cret").decode()
    with intaking(allowed) as made:
        for given in ("Bearer s3cret", "Splunk s3cret", f"Basic {key}", f"ApiKey {key}"):
            assert made.post("/", [{"message": line(1), "host": "web1"}], Authorization=given).status == 200
        assert made.post("/", [{"message": line(1)}]).status == 401
        wrong = made.post("/services/collector", {"event": line(1)}, Authorization="Splunk other")
        assert (wrong.status, wrong.json()["code"]) == (403, 4)
        others = [{"message": line(2), "host": "db1"}, {"message": line(2, "db1")}]
        assert made.post("/", others, Authorization="Bearer s3cret").status == 200
        assert {each.ip for each in made.events()} == {"203.0.113.1"}
        assert (made.told("lines of a host"), made.told("events of a host")) == (1, 1)
        assert made.told("without the token") == 2


def test_a_reload_changes_who_may_speak_on_a_connection_that_is_open() -> None:
    """From its next request on."""
    first = sender("one", networks=("127.0.0.1/32",))
    with intaking(first, sender("two", hosts=("db*",))) as made:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", int(made.url.rpartition(":")[2]), maxsize=1)
        body = json.dumps([{"message": line(1), "host": "web1"}])
        assert pool.request("POST", "/", body=body).status == 200
        intake = Intake(name="t", listen=made.url, senders=(sender("one", hosts=("db*",)),))
        with made.paused():
            watch = WatchedSource(source=made.url, filters=("sshd",), intake=intake)
            new = made.producer.prepared([watch])
            made.producer.release()
            made.producer = new
        assert pool.request("POST", "/", body=body).status == 200
        assert pool.num_connections == 1
        assert (len(made.events()), made.told("lines of a host")) == (1, 1)


def test_a_body_packed_in_parts_is_whole() -> None:
    """Parts one behind the other are one (RFC 1952), however they come; each chunk costs what it holds."""
    packed = b"".join(gzip.compress(line(nth).encode() + b"\n") for nth in range(3))
    with intaking() as made:
        for size in (1, 7, len(packed)):
            pieces = (packed[at : at + size] for at in range(0, len(packed), size))
            headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
            assert HTTP.request("POST", made.url + "/", body=pieces, headers=headers).status == 200
        assert len(made.events()) == 9


def _sent_until_blocked(raw: socket.socket, request: bytes) -> int:
    """How many bytes of the same request, forty times at most, go before nobody reads on."""
    sent = 0
    with suppress(TimeoutError):
        while sent < len(request) * 40:
            sent += raw.send(request[sent % len(request) :])
    return sent


def test_who_asks_and_hears_no_answer_is_not_read_on() -> None:
    """What is to be said to him is bounded; once he hears, he gets all of it."""
    body = b'{"delete":{}}\n' * 60_000
    request = b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with intaking() as made, socket.socket() as raw:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            raw.setsockopt(socket.SOL_SOCKET, option, 64 << 10)
        raw.connect(("127.0.0.1", int(made.url.rpartition(":")[2])))
        raw.settimeout(1)
        sent = _sent_until_blocked(raw, request)
        assert sent < len(request) * 40
        raw.settimeout(10)
        with raw.makefile("rb") as answers:
            for _ in range(sent // len(request)):
                head = iter(answers.readline, b"\r\n")
                length = next(each for each in list(head) if each.startswith(b"Content-Length"))
                assert answers.read(int(length.split()[1])).count(b"delete") == 60_000


def test_a_reload_reads_tokens_again(tmp_path: Path) -> None:
    """Though the configuration is the same: the old one opens nothing any more, nor on an open connection."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("old")
    with intaking(sender(networks=(), token_file=str(token))) as made:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", int(made.url.rpartition(":")[2]), maxsize=1)
        ask = {given: {"Authorization": f"Bearer {given}"} for given in ("old", "new")}
        assert pool.request("POST", "/", body="{}", headers=ask["old"]).status == 200
        token.write_text("new")
        with made.paused():
            new = made.producer.prepared([made.watch])
            made.producer.release()
            made.producer = new
        assert pool.request("POST", "/", body="{}", headers=ask["old"]).status == 403
        assert pool.request("POST", "/", body="{}", headers=ask["new"]).status == 200


def test_what_agents_ask_before_they_send() -> None:
    """A Beat's and Logstash's questions to Elasticsearch, Splunk's health."""
    with intaking(elastic_version="8.1.2") as made:
        hello = HTTP.request("GET", made.url + "/")
        assert hello.json()["version"]["number"] == "8.1.2"
        assert hello.headers["X-Elastic-Product"] == "Elasticsearch"
        assert HTTP.request("GET", made.url + "/_license?human=false").json()["license"]["status"] == "active"
        head = HTTP.request("HEAD", made.url + "/_template/x")
        assert (head.status, head.data) == (200, b"")
        assert HTTP.request("GET", made.url + "/_nodes/http").json() == {}
        assert HTTP.request("GET", made.url + "/services/collector/health").status == 200


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/", b"{", {}, 400),
        ("/", b"[1]", {}, 400),
        ("/", b"[" * 100_000, {}, 400),
        ("/_bulk", b'{"create":{}}\n', {}, 400),
        ("/_bulk", b'{"x":{}}\n{}\n', {}, 400),
        ("/services/collector", b'{"host":"x"}', {}, 400),
        ("/loki/api/v1/push", b'{"streams":[{"values":[["1"]]}]}', {"Content-Type": "application/json"}, 400),
        ("/loki/api/v1/push", b"\x00", {"Content-Type": "application/x-protobuf"}, 415),
        ("/v1/logs", b'{"resourceLogs":5}', {"Content-Type": "application/json"}, 400),
        ("/v1/logs", b'{"resourceLogs":[[]]}', {"Content-Type": "application/json"}, 400),
        ("/nowhere", b"{}", {}, 404),
        ("/", b"no gzip", {"Content-Encoding": "gzip"}, 400),
        ("/", gzip.compress(b"[]", mtime=0)[:-1], {"Content-Encoding": "gzip"}, 400),
        ("/", gzip.compress(b"[]", mtime=0) + b"x", {"Content-Encoding": "gzip"}, 400),
        ("/", gzip.compress(b"", mtime=0) * 2_000, {"Content-Encoding": "gzip"}, 413),
        ("/", b"{}", {"Content-Encoding": "br"}, 415),
        ("/", zlib.compress(b" " * (MOST_BODY_BYTES + 1)), {"Content-Encoding": "deflate"}, 413),
    ],
)
def test_what_is_no_request_is_refused(path: str, body: bytes, headers: dict[str, str], status: int) -> None:
    """In words, whatever it is; and the next one is taken."""
    with intaking() as made:
        assert HTTP.request("POST", made.url + path, body=body, headers=headers).status == status
        assert made.post("/", [{"message": line(1)}]).status == 200


def test_what_no_client_would_say_ends_nobody_elses_protection() -> None:
    """A request to be passed on, and a time past all times: both are answered, and so is the next."""
    with (
        intaking() as made,
        socket.create_connection(("127.0.0.1", int(made.url.rpartition(":")[2])), 10) as raw,
    ):
        raw.sendall(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 405")
        assert made.post("/", {"MESSAGE": line(1), "date": 1e308}).status == 200
        assert [each.ip for each in made.events()] == ["203.0.113.1"]


def test_garbage_slow_and_large_requests_hold_nobody_up() -> None:
    """Each ends or waits by itself, within the room that all bodies have."""
    with intaking(sender(connections=16)) as made:
        place = ("127.0.0.1", int(made.url.rpartition(":")[2]))
        garbage = socket.create_connection(place, 10)
        garbage.sendall(b"\x16\x03\x01 no http\r\n\r\n")
        assert garbage.recv(100).startswith(b"HTTP/1.1 400")
        huge = socket.create_connection(place, 10)
        huge.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert huge.recv(100).startswith(b"HTTP/1.1 413")
        headers = socket.create_connection(place, 10)
        headers.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000)
        assert headers.recv(100).startswith(b"HTTP/1.1 431")
        half = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % MOST_BODY_BYTES
        slow = [socket.create_connection(place, 10) for _ in range(1 + ROOM_BYTES // MOST_BODY_BYTES)]
        for each in slow:
            each.sendall(half + b" " * (MOST_BODY_BYTES - 1))
        eventually(lambda: made.told("other bodies"), "one is told to come again")
        for each in (garbage, huge, headers, *slow):
            each.close()
        eventually(lambda: made.post("/", [{"message": line(1)}]).status == 200, "there is room again")


def test_a_client_certificate_is_enough_over_tls(tmp_path: Path) -> None:
    """And without one nobody is heard."""
    files = Certificates(tmp_path)
    allowed = sender(networks=(), certificates=("localhost",))
    options: dict[str, Any] = {
        "certificate": str(files.server),
        "key": str(files.server.with_suffix(".key")),
    }
    with intaking(allowed, scheme="https", client_ca=str(files.ca), **options) as made:
        pool = urllib3.PoolManager(
            ca_certs=str(files.ca),
            cert_file=str(files.client),
            key_file=str(files.client.with_suffix(".key")),
            retries=False,
            timeout=10,
        )
        body = json.dumps([{"message": line(1), "padding": "x" * 200_000}] * 20).encode()
        assert pool.request("POST", made.url + "/", body=body).status == 200
        assert len(made.events()) == 20
        with pytest.raises((urllib3.exceptions.HTTPError, ssl.SSLError, OSError)):
            urllib3.PoolManager(ca_certs=str(files.ca), retries=False).request("GET", made.url + "/")
        pool.clear()
