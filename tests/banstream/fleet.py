"""`banstream ship` and `banstream enforce` as tests run them: real processes on a real broker."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from banstream.key_files import make_key
from banstream.ordering import command, submit
from banstream.reading import records
from eventlog.contract import Append, EventLog
from eventlog.kafka.log import KafkaLog
from schemas.codec import encode
from schemas.records import AuthEvent, Enforcement, Heartbeat, Hold, Standing
from schemas.signatures import public_text
from schemas.topics import BANS, ENFORCEMENTS, EVENTS
from tests.banstream.service import Service, ended, eventually, stamp
from tests.namespaces import Host


@dataclass
class Role(Service):
    """One role on one host, in a folder of its own."""

    name: str = "ship"

    @property
    def errors(self) -> str:
        """What it has said on stderr so far, over all its runs."""
        file = self.folder / "role.err"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def enroll(self, log: EventLog) -> None:
        """Make this host's key, and enroll it: what it ships from then on is signed."""
        self.folder.mkdir(exist_ok=True)
        public = public_text(make_key(self.key))
        submit(log, command("enroll", host=self.folder.name, public_key=public))

    @property
    def key(self) -> Path:
        """Its private key, where it has one."""
        return self.folder / "host.key"

    def settle(self, url: str, more: str = "", *, spool: str = "256 MB") -> None:
        """Write the configuration."""
        self.folder.mkdir(exist_ok=True)
        self.log.touch()
        key = f'key_file = "{self.key}"\n' if self.key.exists() else ""
        self.config.write_text(
            f'[log]\nurl = "{url}"\n[ship]\ndirectory = "{self.folder}/state"\nhost = "{self.folder.name}"\n'
            f'spool = "{spool}"\n{key}'
            f'[jail.sshd]\nsource = "file:{self.log}"\nstart = "beginning"\n{more}\n',
            encoding="utf-8",
        )

    def begin(self, said: str = "") -> None:
        """Start the role; wait until it says something."""
        before = len(self.errors)
        with (self.folder / "role.err").open("a", encoding="utf-8") as errors:
            arguments = (self.name, "--config", str(self.config))
            self.process = self.popen(*arguments, stderr=errors, stdout=subprocess.DEVNULL)
        eventually(lambda: said in self.errors[before:] or self._ended(), f"{self.name} says {said}")
        assert not self._ended(), self.errors[before:]

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def rss_kb(self) -> int:
        """Resident memory, in KiB (proc_pid_status(5))."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0])

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


def role(name: str, folder: Path, host: Host | None = None) -> AbstractContextManager[Role]:
    """A role that is not running yet; killed at the end if it still is."""
    return ended(Role(folder, host, name=name))


@contextmanager
def relay(port: int, *hosts: Host, at: int | None = None) -> Iterator[None]:
    """Within it each namespace reaches the broker, which is outside, at `localhost:port` (or `at`)."""
    listeners = [host.listen(at or port) for host in hosts]
    for listener in listeners:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
    try:
        yield
    finally:
        for listener in listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def _accept(listener: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            inner = listener.accept()[0]
            try:
                outer = socket.create_connection(("localhost", port))
            except OSError:
                inner.close()
                continue
            for pair in ((inner, outer), (outer, inner)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    source.close()


def ban(log: KafkaLog, prefix: str, until_ms: int | None, at_ms: int, *, jail: str = "sshd") -> None:
    """Write a ban into the bans topic, as a decider does."""
    decision = f"0-{at_ms}-0-0"
    hold = Hold(jail=jail, ban=decision, until_ms=until_ms)
    record = Standing(prefix=prefix, decision=decision, decided_at_ms=at_ms, holds=(hold,))
    log.append([Append(BANS.name, encode(record), key=prefix)])


def free(log: KafkaLog, prefix: str) -> None:
    """End a ban, as a decider does."""
    log.append([Append(BANS.name, b"", key=prefix)])


def enforced(log: KafkaLog, host: str) -> list[Enforcement]:
    """What a host's enforcer acknowledged."""
    found = [each.record for each in records(log, ENFORCEMENTS.name)]
    return [each for each in found if isinstance(each, Enforcement) and each.host == host]


def heartbeats(log: KafkaLog, host: str) -> list[Heartbeat]:
    """What a host's enforcer said of itself."""
    found = [each.record for each in records(log, ENFORCEMENTS.name)]
    return [each for each in found if isinstance(each, Heartbeat) and each.host == host]


def shipped(log: KafkaLog) -> list[AuthEvent]:
    """Every event in the log, partition by partition, repeats included."""
    return [each.record for each in records(log, EVENTS.name) if isinstance(each.record, AuthEvent)]


def failure(ip: str, pid: int) -> str:
    """A line of sshd about a failed login, stamped now."""
    return (
        f"{stamp()} server sshd[{pid}]: Failed password for root from {ip} port {1024 + pid % 60000} ssh2\n"
    )
