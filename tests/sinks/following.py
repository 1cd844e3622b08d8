"""A sink on a log in memory, with clocks that tests turn."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventlog.contract import Append, EventLog
from eventlog.memory import MemoryLog
from schemas.codec import encode_frame
from schemas.records import AuthEvent, Ban, Record
from schemas.topics import Topic
from sinks.background import Evidence
from sinks.contract import SentBy
from sinks.formats.json_lines import writer
from sinks.items import Items
from sinks.runner import Runner, SinkPlan, Timing
from sinks.selection import Selection
from tests.sinks.receivers import Keeping

AT_MS = 1_795_338_000_123
LOG = "q7x2kd3m"
ORIGIN = SentBy("0.1.0", "bans1", "test")


def failed(position: int = 0, ip: str = "203.0.113.7", **fields: object) -> AuthEvent:
    """A failed login."""
    given = {
        "kind": "failed",
        "at_ms": AT_MS,
        "seen_at_ms": AT_MS + 41,
        "filter": "sshd",
        "filter_version": "9f2c41ab",
        "ip": ip,
        "source": "file:/var/log/auth.log",
        "incarnation": "1",
        "position": position,
        "line": f"Failed password for invalid user admin from {ip} port 50022 ssh2",
        "user": "admin",
        "port": 50022,
        "service": "sshd",
        "host": "web1",
    }
    return AuthEvent(**{**given, **fields})  # type: ignore[arg-type]


def ban(number: int = 0, prefix: str = "203.0.113.7", **fields: object) -> Ban:
    """A ban."""
    given = {
        "id": f"0-{number}-0-0",
        "prefix": prefix,
        "jail": "sshd",
        "at_ms": AT_MS,
        "until_ms": AT_MS + 3_600_000,
        "count": 5,
        "ban_count": 2,
        "rules": "c0ffee12",
        "findtime_ms": 600_000,
    }
    return Ban(**{**given, **fields})  # type: ignore[arg-type]


def put(log: EventLog, topic: Topic, *records: Record, partition: int = 0) -> None:
    """Append records as one message."""
    log.append([Append(topic.name, encode_frame(records), partition=partition)])


@dataclass
class Following:
    """A sink that tests turn by hand."""

    log: EventLog = field(default_factory=lambda: MemoryLog(now_ms=lambda: AT_MS))
    receiver: Keeping = field(default_factory=Keeping)
    steady_ms: int = 0
    selection: Selection = field(default_factory=Selection)
    most: int = 1_000
    every_ms: int = 0
    limit: int | None = None
    start: str = "begin"

    def made(self) -> Runner:
        """A runner, which takes over from the one before."""
        plan = SinkPlan(
            name="test",
            to="memory",
            format="json",
            selection=self.selection,
            write=writer(ORIGIN, {}),
            transport=self.receiver,
            most=self.most,
            every_ms=self.every_ms,
            limit_per_minute=self.limit,
            start="begin" if self.start == "begin" else "end",
        )
        items = Items(LOG, self.selection, Evidence(self.log).of)
        times = Timing(lambda: AT_MS + self.steady_ms, lambda: self.steady_ms, lambda: 1.0)
        return Runner(self.log, plan, items, times=times, log=LOG)

    def turn(self, runner: Runner, for_ms: int = 0, step_ms: int = 1_000) -> None:
        """Turn it until there is nothing to do at once, and again while so much time passes."""
        until_ms = self.steady_ms + for_ms
        while True:
            while runner.turn() == 0:
                pass
            if self.steady_ms >= until_ms:
                return
            self.steady_ms += step_ms


EVENTS_ONLY = Selection(what=("events",))
