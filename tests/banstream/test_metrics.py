"""`[metrics] listen`: what Prometheus reads is what the role says of itself."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from banstream.metrics import Metric, Metrics
from eventlog.urls import open_log
from schemas.errors import LogError
from tests.banstream.fleet import failure, role
from tests.banstream.service import Service, eventually, service
from tests.broker import Broker

ATTACKER = "203.0.113.7"


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[Service, int]]:
    """`banstream up`, observing, with metrics; and their port."""
    port = free_port()
    with service(tmp_path) as made:
        made.configure(enforcer='backend = "null"', more=f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
        made.start()
        yield made, port


def scraped(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The samples, by name and labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_are_those_of_the_status(up: tuple[Service, int]) -> None:
    """Events, bans by jail, outcomes: read by Prometheus' own parser."""
    made, port = up
    made.fail(ATTACKER, 3)
    jail = (("jail", "sshd"),)
    eventually(lambda: scraped(port).get((Metric.DECIDER_BANS, jail)) == 1, "the ban is counted")
    found = scraped(port)
    assert found[Metric.DECIDER_FAILURES, jail] == 3
    assert found[Metric.DECIDER_BANNED, jail] == 1
    assert found[Metric.PRODUCER_EVENTS, ()] == 3
    assert found[Metric.ENFORCER_OBSERVING, ()] == 1
    assert found[Metric.ENFORCER_OUTCOMES, (("outcome", "skipped"),)] == 1
    assert found[Metric.DECIDER_SENT_AGAIN, ()] == 0
    (status,) = made.json("status")
    assert found[Metric.ROLE_START, ()] == status["started_at_ms"] / 1_000
    names = {name for name, _ in found}
    assert names <= set(Metric)


def test_every_name_is_of_one_form_and_explained() -> None:
    """`banstream_<stage>_<noun>_<unit>`, counters with `_total`; a help text each."""
    for metric in Metric:
        stage = metric.split("_")[1]
        assert stage in {"role", "producer", "uplink", "decider", "enforcer", "worker", "sink"}
        assert metric.said.endswith(".")


def test_the_documentation_lists_every_metric() -> None:
    """With its help, and none that is not there."""
    text = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(banstream_\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert listed == {str(metric): metric.said for metric in Metric}


def test_an_address_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    """With the key, the address and what to do; nothing starts."""
    with socket.socket() as taken, service(tmp_path) as made:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made.configure(enforcer='backend = "null"', more=f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
        said = made.run("up", "--config", str(made.config), code=3).stderr
        assert f"metrics.listen = 127.0.0.1:{port}" in said
        assert "in use" in said


def test_a_worker_past_the_last_port_is_told_so() -> None:
    """The second worker of one whose port is the last there is."""
    with pytest.raises(LogError, match=r"metrics\.listen = 127\.0\.0\.1:65536"):
        Metrics("127.0.0.1", 65_536)


@pytest.mark.parametrize("value", ['"9110"', '"127.0.0.1"', '"127.0.0.1:0"', '"127.0.0.1:x"', "9110"])
def test_an_address_without_a_port_is_refused(tmp_path: Path, value: str) -> None:
    """With what was expected."""
    with service(tmp_path) as made:
        made.configure(more=f"[metrics]\nlisten = {value}\n")
        said = made.run("config", "check", "--config", str(made.config), code=2).stderr
        assert "metrics" in said
        assert "listen" in said


@pytest.mark.real("kafka")
def test_every_role_of_a_fleet_answers(broker: Broker, tmp_path: Path) -> None:
    """A worker with its partitions, an enforcer and a shipper with their own."""
    url = broker.url(partitions=2)
    with ExitStack() as running:
        ports = {}
        for name in ("decide", "ship", "enforce"):
            made = running.enter_context(role(name, tmp_path / name))
            ports[name] = free_port()
            if name == "ship":
                with closing(open_log(url)) as opened:
                    made.enroll(opened)
            made.settle(url, f'[enforcer]\nbackend = "null"\n[metrics]\nlisten = "127.0.0.1:{ports[name]}"\n')
            made.begin({"decide": "Deciding", "ship": "Shipping", "enforce": "OBSERVING"}[name])
            if name == "ship":
                with made.log.open("a", encoding="utf-8") as log:
                    log.writelines(failure(ATTACKER, pid) for pid in range(1_000, 1_005))
        worker = ports["decide"]

        def decided() -> bool:
            found = scraped(worker)
            return sum(value for (name, _), value in found.items() if name == Metric.WORKER_DECISIONS) == 1

        eventually(decided, "the worker has decided")
        eventually(
            lambda: scraped(ports["ship"]).get((Metric.PRODUCER_EVENTS, ())) == 5, "the shipper counts"
        )
        found = scraped(worker)
        states = [dict(labels)["state"] for name, labels in found if name == Metric.WORKER_PARTITIONS]
        assert states == ["open", "open"]
        assert found[Metric.WORKER_AWAY, ()] == 0
        eventually(lambda: scraped(ports["ship"]).get((Metric.UPLINK_SPOOLED_FRAMES, ())) == 0, "all is sent")
        eventually(
            lambda: scraped(ports["enforce"]).get((Metric.ENFORCER_IN_FORCE, ())) == 1, "it holds the ban"
        )
    broker.drop(url)
