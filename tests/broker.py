"""The real Kafka broker, for tests: one KRaft node with a directory and ports of its own.

Its jars are in .cache/kafka, where deploy/machine.sh puts them. It can be killed, halted and started again
on the same data and ports. With $BANSTREAM_KAFKA=host:port the tests that need no more than a broker use
that one; those that kill it or need its listeners start their own.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Self

from kafka.errors import KafkaError

from eventlog.kafka import clients
from eventlog.kafka.admin import create
from eventlog.kafka.options import KafkaOptions, parse_url

ROOT: Final = Path(__file__).parents[1]
JARS: Final = ROOT / ".cache" / "kafka"
PROPERTIES: Final = ROOT / "deploy" / "kafka" / "broker.properties"
START_S: Final = 90
CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qk"
JVM: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
TEST_JVM: Final = ("-XX:TieredStopAtLevel=1",)
"""Starts in half the time, and is as fast as a test needs."""

_prefixes = itertools.count()


def missing() -> str | None:
    """Why there can be no broker; None when there can."""
    if os.environ.get("BANSTREAM_KAFKA"):
        return None
    if not list(JARS.glob("kafka_2.13-*.jar")):
        return f"needs the broker's jars in {JARS.relative_to(ROOT)}, or $BANSTREAM_KAFKA"
    absent = [program for program in ("java", "setpriv") if shutil.which(program) is None]
    return f"needs {', '.join(absent)}" if absent else None


class Cluster:
    """A cluster that tests may use, each under a prefix of its own.

    Attributes:
        address: `host:port`, where anybody may do anything.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def url(self, partitions: int | None = None, *, address: str | None = None, **options: str) -> str:
        """The url of a new log under a prefix of its own; with `partitions` its topics are there."""
        options.setdefault("prefix", f"t{os.getpid()}-{next(_prefixes)}.")
        if partitions is not None:
            create(parse_url(f"kafka://{self.address}?prefix={options['prefix']}"), partitions, 1)
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"kafka://{address or self.address}?{query}"

    def drop(self, url: str) -> None:
        """Delete the topics of a log."""
        prefix = parse_url(url).prefix
        with closing(self.admin()) as admin:
            mine = [name for name in admin.list_topics() if name.startswith(prefix)]
            if mine:
                admin.delete_topics(mine)

    def admin(self, timeout_s: float = START_S) -> Any:
        """A client that may do anything."""
        return clients.admin(KafkaOptions(servers=(self.address,), timeout_ms=int(timeout_s * 1_000)))


class Broker(Cluster):
    """A broker of one's own.

    Attributes:
        ports: by listener's name; INTERNAL is the one where anybody may do anything.
    """

    def __init__(
        self,
        directory: Path,
        *,
        listeners: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        jvm: tuple[str, ...] = TEST_JVM,
    ) -> None:
        """Lay out a broker; `listeners` are further ones, their security protocols by name."""
        self.directory = directory
        self._jvm = jvm
        self._process: subprocess.Popen[bytes] | None = None
        protocols = {"INTERNAL": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **(listeners or {})}
        self.ports = dict(zip(protocols, _free_ports(len(protocols)), strict=True))
        super().__init__(f"localhost:{self.ports['INTERNAL']}")
        directory.mkdir(parents=True, exist_ok=True)
        self._properties = directory / "broker.properties"
        self._properties.write_text(self._configured(protocols, settings or {}))
        self._run("kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c")

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it, whatever was done to it."""
        self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("the broker does not run")
        return self._process

    def at(self, listener: str) -> str:
        """`host:port` of a listener."""
        return f"localhost:{self.ports[listener]}"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        with (self.directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(self._command("kafka.Kafka"), stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(KafkaError, OSError):
                socket.create_connection(("localhost", self.ports["INTERNAL"]), timeout=1).close()
                self.admin(timeout_s=5).close()
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(
            "the broker did not start:\n" + (self.directory / "broker.log").read_text()[-4_000:]
        )

    def kill(self) -> None:
        """End it as a power cut would, as far as it knows."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(60)
        self._process = None

    def halt(self) -> None:
        """It answers nobody any more, and its connections stay open."""
        self._signal(signal.SIGSTOP)
        while (
            self._process is not None and b") T" not in Path(f"/proc/{self._process.pid}/stat").read_bytes()
        ):
            time.sleep(0.001)

    def go_on(self) -> None:
        """It goes on where it was halted."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again, on the same data and ports."""
        self.kill()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _configured(self, protocols: Mapping[str, str], settings: Mapping[str, str]) -> str:
        addresses = [f"{name}://localhost:{port}" for name, port in self.ports.items()]
        served = [address for address in addresses if not address.startswith("CONTROLLER")]
        lines = {
            "listeners": ",".join(addresses),
            "advertised.listeners": ",".join(served),
            "listener.security.protocol.map": ",".join(f"{name}:{each}" for name, each in protocols.items()),
            "inter.broker.listener.name": "INTERNAL",
            "controller.quorum.bootstrap.servers": f"localhost:{self.ports['CONTROLLER']}",
            "log.dirs": str(self.directory / "data"),
            **settings,
        }
        return PROPERTIES.read_text() + "".join(f"{name}={value}\n" for name, value in lines.items())

    def _command(self, *arguments: str) -> list[str]:
        # A broker whose test run was killed would stay for ever: it dies with its parent.
        java = ("setpriv", "--pdeathsig", "KILL", "java", *JVM, *self._jvm, "-cp", f"{JARS}/*")
        return [*java, *arguments, str(self._properties)]

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(self._command(*arguments), check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{arguments[0]}: {done.stdout}{done.stderr}")


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
