"""`banstream up` as a test runs it: a real process in a folder of its own, in a namespace if asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from banstream.reading import records
from eventlog.urls import open_log
from schemas.records import AuthEvent, Ban, Record
from schemas.topics import DECISIONS, EVENTS, Topic
from tests.namespaces import Host

BANSTREAM = [sys.executable, "-P", "-m", "banstream"]
PATIENCE_S = 90.0


def eventually(condition: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """Wait until a condition holds and return its value; fail, saying what did not come to pass."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)
    return value


@dataclass
class Service:
    """A configured banstream in a folder.

    Attributes:
        host: the namespace whose firewall and network it has.
        prefix: the program that starts it, with less than all privileges.
    """

    folder: Path
    host: Host | None = None
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None
    env: dict[str, str] = field(default_factory=lambda: {**os.environ, "NO_COLOR": "1", "TZ": "UTC"})

    @property
    def config(self) -> Path:
        """Its configuration file."""
        return self.folder / "banstream.toml"

    @property
    def log(self) -> Path:
        """The log file it watches."""
        return self.folder / "auth.log"

    @property
    def errors(self) -> str:
        """What `up` has said on stderr so far, over all its runs."""
        file = self.folder / "up.err"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def configure(
        self, jail: str = "maxretry = 3", *, source: str = "", enforcer: str = "", more: str = ""
    ) -> None:
        """Write the configuration; the sshd jail watches a source, usually `log`, from its beginning."""
        source = source or f"file:{self.log}"
        self.config.write_text(
            f'[log]\nurl = "sqlite://{self.folder}/state/log.db"\n'
            f'[jail.sshd]\nsource = "{source}"\nstart = "beginning"\n{jail}\n'
            f"[enforcer]\n{enforcer}\n{more}\n",
            encoding="utf-8",
        )

    def run(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command of banstream to its end; `code`: the exit code expected, None for any."""
        process = self.popen(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with process:
            try:
                said, errors = process.communicate(timeout=2 * PATIENCE_S)
            finally:
                process.kill()
        done = subprocess.CompletedProcess(arguments, process.returncode, said, errors)
        if code is not None:
            assert done.returncode == code, (done.returncode, done.stdout[-2_000:], done.stderr[-2_000:])
        return done

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command of banstream. Options are those of subprocess.Popen."""
        options = {"text": True, "env": self.env, "cwd": self.folder, **options}
        with self.host.inside() if self.host else nullcontext():
            return subprocess.Popen([*self.prefix, *BANSTREAM, *arguments], **options)

    def json(self, *arguments: str, code: int | None = 0) -> list[dict[str, Any]]:
        """Run a command with --json; the objects it prints."""
        done = self.run(*arguments, "--json", "--config", str(self.config), code=code)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *, ready: bool = True) -> None:
        """Start `up`; wait until it enforces or observes."""
        said = len(self.errors)
        with (self.folder / "up.err").open("a", encoding="utf-8") as errors:
            arguments = ("up", "--config", str(self.config))
            self.process = self.popen(*arguments, stderr=errors, stdout=subprocess.DEVNULL)
        if ready:
            eventually(lambda: self._is_ready(said), "up is ready")

    def _is_ready(self, said: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.errors[said:]
        return any(word in self.errors[said:] for word in ("Enforcing", "OBSERVING ONLY"))

    def send(self, number: signal.Signals) -> None:
        """Send `up` a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End `up` and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def write(self, *messages: str) -> None:
        """Append lines of sshd to the log, stamped now."""
        with self.log.open("a", encoding="utf-8") as log:
            log.writelines(f"{stamp()} server {message}\n" for message in messages)

    def fail(self, ip: str, times: int = 1, user: str = "root") -> None:
        """Append failed logins, each in a connection of its own."""
        first = time.time_ns() // 1_000 % 100_000_000
        self.write(
            *(
                f"sshd[{first + nth}]: Failed password for {user} from {ip} port {40_000 + nth} ssh2"
                for nth in range(times)
            )
        )

    def kept(self, topic: Topic) -> list[Record]:
        """The records of a topic, as they stand in the log; none while there is no log."""
        if not (self.folder / "state/log.db").exists():
            return []
        log = open_log(f"sqlite://{self.folder}/state/log.db", read_only=True)
        try:
            return [each.record for each in records(log, topic.name)]
        finally:
            log.close()

    def events(self) -> list[AuthEvent]:
        """Every event in the log."""
        return [each for each in self.kept(EVENTS) if isinstance(each, AuthEvent)]

    def bans(self) -> list[Ban]:
        """Every ban ever decided."""
        return [each for each in self.kept(DECISIONS) if isinstance(each, Ban)]

    def elements(self) -> set[str]:
        """The prefixes that the namespace's nftables holds in the table of banstream."""
        assert self.host is not None
        listed = json.loads(self.host.run(["nft", "-j", "list", "table", "inet", "banstream"]).stdout)
        return {
            _prefix(element, entry["set"]["name"])
            for entry in listed["nftables"]
            if "set" in entry
            for element in entry["set"].get("elem", [])
        }


AnyService = TypeVar("AnyService", bound=Service)


def _prefix(element: Any, set_name: str) -> str:
    value = element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
    length = int(set_name.split("_")[1])
    full = 32 if set_name.startswith("v4") else 128
    return str(value) if length == full else f"{value}/{length}"


def say(made: Service, *arguments: str, code: int = 0) -> str:
    """What a command prints on stdout."""
    return made.run(*arguments, "--config", str(made.config), code=code).stdout


def stamp() -> str:
    """The present instant as rsyslog writes it, to the microsecond."""
    now = time.time_ns() // 1_000
    seconds, micros = divmod(now, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros:06d}+00:00"


@contextmanager
def service(folder: Path, host: Host | None = None) -> Iterator[Service]:
    """A configured service that is not running yet; killed at the end if it still is."""
    made = Service(folder, host)
    made.configure()
    made.log.touch()
    with ended(made):
        yield made


@contextmanager
def ended(made: AnyService) -> Iterator[AnyService]:
    """A service whose process is killed at the end if it still runs."""
    try:
        yield made
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()
