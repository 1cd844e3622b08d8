"""A reload is in two phases: whatever fails of what is new, the old goes on as if nobody had asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from banstream.config import Settings, load_settings
from banstream.instants import now_ms
from banstream.pipeline import Pipeline
from banstream.wiring import Stages
from enforcers.contract import Element
from enforcers.null import NullBackend
from eventlog.contract import Append, Message, Place, Writer
from eventlog.memory import MemoryLog
from schemas.errors import BanstreamError, ConfigError, EnforcementFailed, Transient
from tests.banstream.service import stamp

PIDS = count(1_000)
CONFIG = """
[log]
url = "sqlite://{folder}/log.db"
[enforcer]
backend = "null"
never_ban = [{never}]
[jail.sshd]
source = "file:{folder}/auth.log"
start = "beginning"
maxretry = {maxretry}
[sink.all]
to = "file:{folder}/{sink}.json"
"""


class Locked(NullBackend):
    """A firewall that cannot be read so many times."""

    unreadable = 0

    def list(self) -> Sequence[Element]:
        """What it holds, when it can be read."""
        if self.unreadable:
            self.unreadable -= 1
            raise EnforcementFailed("the firewall cannot be read")
        return super().list()


class Flaky(MemoryLog):
    """A log that fails at one of the calls to come.

    Attributes:
        fails_at: at how manyeth call from now on; 0 for never.
        calls: how many there were.
    """

    fails_at = 0
    calls = 0

    def count(self) -> None:
        """A call."""
        self.calls += 1
        self.fails_at -= 1
        if self.fails_at == 0:
            raise Transient("the log is away")

    def read(self, topic: str, partition: int, offset: int, *, limit: int = 1_000) -> list[Message]:
        """As the log does, if it is there."""
        self.count()
        return super().read(topic, partition, offset, limit=limit)

    def append(self, appends: Sequence[Append]) -> list[int]:
        """As the log does, if it is there."""
        self.count()
        return super().append(appends)

    def begin(self, topic: str, partition: int = 0) -> int:
        """As the log does, if it is there."""
        self.count()
        return super().begin(topic, partition)

    def position(self, reader: str) -> bytes | None:
        """As the log does, if it is there."""
        self.count()
        return super().position(reader)

    def writer(self, name: str) -> Writer:  # type: ignore[override]
        """As the log does, if it is there."""
        self.count()
        return FlakyWriter(self, super().writer(name))

    def wait(self, offsets: Mapping[Place, int], *, timeout_ms: int) -> bool:
        """Nothing: these tests turn the stages themselves."""
        del offsets, timeout_ms
        return False


class FlakyWriter:
    """A writer of a log that may be away."""

    def __init__(self, log: Flaky, writer: Writer) -> None:
        self._log = log
        self._writer = writer

    def commit(self, appends: Sequence[Append], positions: Mapping[str, bytes]) -> list[int]:
        """As the writer does, if the log is there."""
        self._log.count()
        return self._writer.commit(appends, positions)

    def close(self) -> None:
        """Let go."""
        self._writer.close()


class Machine:
    """`up` on a log in memory, with a firewall that may not be readable; nothing waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "auth.log").touch()
        self.log = Flaky()
        stages = Stages.connect(self.settings(maxretry=3), self.log, lambda: self.now_ms)
        self.backend = Locked()
        stages.backend = self.backend
        stages.enforcer._backend = stages.enforcer._register._backend = self.backend  # noqa: SLF001
        self.pipeline = Pipeline(
            self.log, stages, reload=lambda: self.settings(maxretry=3), now_ms=lambda: self.now_ms
        )

    @property
    def now_ms(self) -> int:
        """The clock."""
        return now_ms()

    def settings(self, *, maxretry: int, never: str = "", sink: str = "all", **changes: Any) -> Settings:
        """A configuration."""
        file = self.folder / "c.toml"
        never = f'"{never}"' if never else ""
        text = CONFIG.format(folder=self.folder, maxretry=maxretry, never=never, sink=sink)
        file.write_text(text, encoding="utf-8")
        return replace(load_settings(str(file)), **changes)

    def fails(self, ip: str, times: int) -> None:
        """An address fails so often, and the stages turn."""
        with (self.folder / "auth.log").open("a", encoding="utf-8") as log:
            for _ in range(times):
                log.write(f"{stamp()} server sshd[{next(PIDS)}]: Invalid user x from {ip} port 5\n")
        for _ in range(6):
            self.pipeline.turn()

    def sink(self) -> str:
        """The file that its sink is to write."""
        (sink,) = self.pipeline.stages.crew.wanted
        return sink.to.rpartition("/")[2]

    def held(self) -> set[str]:
        """What the firewall holds."""
        return {element.prefix for element in self.backend.list()}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine."""
    made = Machine(tmp_path)
    yield made
    made.log.fails_at = 0
    made.pipeline.close()


def goes_on_as_before(machine: Machine, ip: str) -> None:
    """Three failures ban, as under the old configuration, and no stage is fenced."""
    machine.fails(ip, 2)
    assert ip not in machine.held()
    machine.fails(ip, 1)
    assert ip in machine.held()


def test_while_the_firewall_cannot_be_read_the_old_goes_on(machine: Machine) -> None:
    """The reload is tried again later; `up` neither ends nor loses what it was."""
    machine.backend.unreadable = 1
    with pytest.raises(EnforcementFailed):
        machine.pipeline.renew(machine.settings(maxretry=1))
    goes_on_as_before(machine, "203.0.113.1")
    machine.pipeline.renew(machine.settings(maxretry=1))
    machine.fails("203.0.113.2", 1)
    assert machine.held() == {"203.0.113.1", "203.0.113.2"}


def test_a_source_that_cannot_be_opened_leaves_the_old_going(machine: Machine) -> None:
    """Neither the sources nor the rules are new then."""
    settings = machine.settings(maxretry=1)
    (jail,) = settings.jails
    with pytest.raises(ConfigError):
        machine.pipeline.renew(replace(settings, jails=(replace(jail, sources=("nonsense:x",)),)))
    goes_on_as_before(machine, "203.0.113.1")


def test_wherever_the_log_fails_the_old_goes_on_and_the_next_try_succeeds(tmp_path: Path) -> None:
    """At each call that a reload makes of the log in turn."""
    done = False
    number = 0
    while not done:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        machine = Machine(folder)
        machine.fails("203.0.113.1", 3)
        machine.log.fails_at = number
        try:
            machine.pipeline.renew(machine.settings(maxretry=1, never="203.0.113.0/28", sink="new"))
            done = True
        except Transient:
            machine.log.fails_at = 0
            assert machine.sink() == "all.json"
            goes_on_as_before(machine, "203.0.113.77")
            machine.pipeline.renew(machine.settings(maxretry=1, never="203.0.113.0/28", sink="new"))
        machine.log.fails_at = 0
        assert machine.sink() == "new.json"
        machine.fails("203.0.113.99", 1)
        assert "203.0.113.99" in machine.held()
        assert "203.0.113.1" not in machine.held()
        machine.pipeline.close()
    assert number > 4


def test_what_was_read_before_a_reload_is_not_read_again(machine: Machine) -> None:
    """Two failures before it and one after are three; what the old enforcer counted is still counted."""
    machine.fails("203.0.113.5", 3)
    machine.fails("203.0.113.1", 2)
    machine.pipeline.renew(machine.settings(maxretry=3))
    assert "203.0.113.1" not in machine.held()
    machine.fails("203.0.113.1", 1)
    assert "203.0.113.1" in machine.held()
    enforcer = machine.pipeline.account().enforcer
    assert enforcer is not None
    assert enforcer.skipped == 2
    producer = machine.pipeline.account().producer
    assert producer is not None
    assert producer.events == 6


def refused(call: Callable[[], object]) -> bool:
    """Whether a call was refused."""
    with suppress(BanstreamError):
        call()
        return False
    return True


def test_what_only_a_restart_changes_is_refused(machine: Machine) -> None:
    """The log, the backend and the metrics' address."""
    settings = machine.settings(maxretry=1)
    assert refused(lambda: machine.pipeline.renew(replace(settings, log_url="sqlite:///elsewhere.db")))
    other = replace(settings.enforcer, host="another")
    assert refused(lambda: machine.pipeline.renew(replace(settings, enforcer=other)))
    metrics = replace(settings.metrics, listen=("127.0.0.1", 9110))
    assert refused(lambda: machine.pipeline.renew(replace(settings, metrics=metrics)))
    goes_on_as_before(machine, "203.0.113.1")
