"""`banstream parse` on a real broker: what hosts send is read once, whatever is killed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from eventlog.kafka import clients
from eventlog.kafka.options import KafkaOptions
from eventlog.urls import open_log
from schemas.records import AuthEvent
from tests.banstream.fleet import Role, role, shipped
from tests.banstream.service import eventually, stamp
from tests.banstream.test_ship import distinct
from tests.broker import Cluster

pytestmark = pytest.mark.real("kafka")


def line(ip: str, pid: int, host: str = "web1") -> str:
    """A failed login as a host's syslog daemon writes it."""
    return f"{stamp()} {host} sshd[{pid}]: Failed password for root from {ip} port {1024 + pid % 60000} ssh2"


def settle(made: Role, url: str, topic: str, more: str = "") -> None:
    """Configure a role that reads a topic; the topic is where the log is."""
    made.settle(url)
    text = made.config.read_text().replace(f"file:{made.log}", f"kafka://{topic}")
    made.config.write_text(
        f'{text}[intake.raw]\nlisten = "kafka://{topic}"\n[intake.raw.sender.hosts]\nhosts = ["web*"]\n{more}'
    )


@contextmanager
def topic_of(broker: Cluster, partitions: int = 2) -> Iterator[str]:
    """A topic of one's own."""
    name = f"raw-{time.monotonic_ns()}"
    with closing(broker.admin()) as admin:
        admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1}})
        yield name
        admin.delete_topics([name])


def put(broker: Cluster, topic: str, *values: Any) -> None:
    """Send; what is no text as JSON."""
    with closing(clients.producer(KafkaOptions(servers=(broker.address,)))) as producer:
        for number, value in enumerate(values):
            data = value if isinstance(value, str) else json.dumps(value)
            producer.send(topic, value=data.encode(), partition=number % 2)
        producer.flush()


def read(url: str) -> list[AuthEvent]:
    """What a decider counts."""
    with closing(open_log(url)) as log:
        return distinct(shipped(log))  # type: ignore[arg-type]


def test_what_hosts_send_is_read_once_whatever_is_killed(broker: Cluster, tmp_path: Path) -> None:
    """Raw lines, agents' JSON, many in one message; of another's host nothing; kills lose and repeat none."""
    url = broker.url(2)
    with topic_of(broker) as topic, role("parse", tmp_path / "bans1") as made:
        settle(made, url, topic)
        put(
            broker,
            topic,
            line("192.0.2.1", 1),
            {"message": line("192.0.2.2", 2), "host": {"name": "web1"}, "@timestamp": stamp()},
            {"rawmsg": f"<38>{line('192.0.2.3', 3)}", "hostname": "web1"},
            [{"message": line("192.0.2.4", 4)}, {"log": line("192.0.2.5", 5)}],
            f"{line('192.0.2.6', 6)}\n{line('192.0.2.7', 7)}\n",
            {"message": line("192.0.2.8", 8), "host": {"name": "db1"}},
            line("192.0.2.9", 9, "db1"),
            "\0\xff{[",
        )
        made.begin("Shipping source")
        first = {f"192.0.2.{number}" for number in range(1, 8)}
        eventually(lambda: {each.ip for each in read(url)} == first, "all forms are read")
        eventually(lambda: made.errors.count("may not speak for") == 2, "a line and an event were refused")
        for turn in range(3):
            put(broker, topic, *(line(f"198.51.{turn}.{nth}", nth) for nth in range(200)))
            if turn == 1:
                eventually(lambda: len(read(url)) > len(first) + 200, "it is in the midst")
            made.kill()
            made.begin("Shipping source")
        eventually(lambda: len({each.ip for each in read(url)}) == len(first) + 600, "all were read")
        assert len(read(url)) == len(first) + 600
        assert {each.source for each in read(url)} == {f"kafka://{topic}#hosts"}
        assert made.stop() == 0
    broker.drop(url)


@pytest.mark.real("rsyslog")
def test_a_real_rsyslog_sends_to_the_topic(broker: Cluster, tmp_path: Path) -> None:
    """By omkafka, as JSON with what it took apart."""
    url, lines = broker.url(2), tmp_path / "lines"
    lines.write_text("")
    with topic_of(broker) as topic, role("parse", tmp_path / "bans1") as made:
        settle(made, url, topic)
        made.begin("Shipping source")
        (tmp_path / "rs.conf").write_text(
            f"""
global(workDirectory="{tmp_path}")
module(load="imfile") module(load="omkafka")
template(name="json" type="list" option.jsonf="on") {{
 property(outname="rawmsg" name="msg" format="jsonf")
 property(outname="hostname" name="msg" format="jsonf" field.number="2" field.delimiter="32")
}}
input(type="imfile" file="{lines}" tag="t")
action(type="omkafka" broker="{broker.address}" topic="{topic}" template="json")
"""
        )
        command = ["rsyslogd", "-n", "-i", str(tmp_path / "pid"), "-f", str(tmp_path / "rs.conf")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            lines.write_text("".join(f"{line(f'192.0.2.{nth}', nth)}\n" for nth in range(1, 101)))
            eventually(lambda: len(read(url)) == 100, "all came")
            process.terminate()
            process.wait(20)
    broker.drop(url)
