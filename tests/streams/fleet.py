"""`banstream decide` as a test runs it: real processes on a real broker, and what they have to come to."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eventlog.contract import Append, EventLog, Message
from eventlog.urls import open_log
from schemas.codec import decode, encode, encode_frame
from schemas.deciding import Obeyed, OrderStep
from schemas.records import (
    AuthEvent,
    Ban,
    Decision,
    Prolong,
    Record,
    Unban,
)
from schemas.topics import BANS, COMMANDS, DECISIONS, EVENTS, SUBJECTS, VERDICTS, partition_of
from schemas.topics import RULES as RULES_TOPIC
from streams.order import TOLD
from streams.partition import Partition, position_of
from tests.banstream.service import BANSTREAM, eventually
from tests.streams.folding import failure, folded_in_order

PATIENCE_S = 60.0
OF_OTHERS = (SUBJECTS.name, VERDICTS.name)
RULES = """
[jail.sshd]
filter = "sshd"
maxretry = 3
findtime = "10m"
bantime = "20m"
ignoreip = []
"""


@dataclass
class Fleet:
    """A log on the broker, and the workers that decide it.

    Attributes:
        url: the log; `log`: the same, open.
        folder: the configuration, and what workers say.
        membership: the workers' host.
        signed: all have to sign, as by default; else what a test sends counts, which nobody signs.
    """

    url: str
    folder: Path
    log: EventLog
    membership: str = "faust"
    signed: bool = False
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def configure(self, more: str = RULES) -> Path:
        """Write the configuration."""
        config = self.folder / "banstream.toml"
        free = "" if self.signed else "require_enrolled = false\n"
        config.write_text(
            f'[log]\nurl = "{self.url}"\n[decider]\nmembership = "{self.membership}"\n{free}{more}\n',
            encoding="utf-8",
        )
        return config

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a `banstream decide`."""
        command = [*BANSTREAM, "decide", "--config", str(self.folder / "banstream.toml"), *options]
        with (self.folder / "decide.err").open("a", encoding="utf-8") as errors:
            worker = subprocess.Popen(command, stderr=errors, stdout=subprocess.DEVNULL, text=True)
        self.workers.append(worker)
        return worker

    def governed(self) -> None:
        """Wait until rules are in force."""
        try:
            eventually(lambda: list(self.log.latest(RULES_TOPIC.name)), "rules are in force", 90)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.said}") from error

    @property
    def said(self) -> str:
        """What the workers have said so far."""
        return (self.folder / "decide.err").read_text(encoding="utf-8")

    def send(self, frames: list[list[AuthEvent]]) -> None:
        """Append frames, each to the partition of its first address."""
        self.log.append(
            [
                Append(
                    EVENTS.name, encode_frame(frame), partition=partition_of(frame[0].ip, self.log.partitions)
                )
                for frame in frames
            ]
        )

    def inputs(self, number: int) -> list[Message]:
        """Every message of a partition of the events."""
        return list(everything(self.log, EVENTS.name, number))

    def commands(self, number: int) -> list[Message]:
        """Every message of a partition of the commands."""
        return list(everything(self.log, COMMANDS.name, number))

    def decisions(self) -> list[Decision]:
        """Every decision in the log."""
        return [
            record
            for number in range(self.log.partitions)
            for record in records(self.log, DECISIONS.name, number)
            if isinstance(record, (Ban, Unban, Prolong))
        ]

    def settled(self, within_s: float = PATIENCE_S) -> dict[str, bytes]:
        """Wait until everything is decided, and compare it with what an oracle decides; the decisions."""
        eventually(self.all_folded, f"all is decided; {self.said[-2000:]}", within_s)
        made: dict[str, bytes] = {}
        expected: dict[str, bytes] = {}
        for number in range(self.log.partitions):
            found = records(self.log, DECISIONS.name, number)
            decisions = [each for each in found if isinstance(each, (Ban, Unban, Prolong))]
            made |= {each.id: encode(each) for each in decisions}
            twice = len(decisions) - len({each.id for each in decisions})
            assert twice == 0, f"{twice} decisions twice"
            told = [step for each in found if isinstance(each, Obeyed) for step in each.steps]
            expected |= {each.id: encode(each) for each in self.expected(number, told)}
        assert made.keys() == expected.keys(), "decisions missing, or of another making"
        assert made == expected, "decisions that say something else"
        return made

    def all_folded(self) -> bool:
        """Whether every message of the inputs is behind what is committed."""
        for number in range(self.log.partitions):
            position = position_of(self.log, number)
            for topic, name in {EVENTS.name: "offset", **TOLD}.items():
                messages = list(everything(self.log, topic, number))
                if messages and position.get(name, -1) < messages[-1].offset:
                    return False
        return True

    def expected(self, number: int, told: list[OrderStep]) -> list[Decision]:
        """What folding a partition's inputs in the order told decides."""
        fold = Partition(number, partitions=self.log.partitions).fold
        others = {topic: list(everything(self.log, topic, number)) for topic in OF_OTHERS}
        return folded_in_order(fold, told, self.inputs(number), self.commands(number), others)

    def in_force(self) -> set[str]:
        """The prefixes in the bans topic."""
        return {str(message.key) for message in self.log.latest(BANS.name)}


def everything(log: EventLog, topic: str, number: int) -> Iterator[Message]:
    """Every message of a partition."""
    offset = 0
    while messages := log.read(topic, number, offset):
        yield from messages
        offset = messages[-1].offset + 1


def records(log: EventLog, topic: str, number: int = 0) -> list[Record]:
    """Every record of a partition."""
    return [decode(line) for message in everything(log, topic, number) for line in message.value.split(b"\n")]


@contextmanager
def fleet(url: str, folder: Path, membership: str = "faust", *, signed: bool = False) -> Iterator[Fleet]:
    """A configured log without workers; those that are started are killed at the end."""
    log = open_log(url)
    made = Fleet(url, folder, log, membership, signed)
    made.configure()
    try:
        yield made
    finally:
        for worker in made.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        made.log.close()


USERS = """
[jail.users]
filter = "sshd"
count = "user"
distinct = "address"
maxretry = 5
findtime = "10m"
bantime = "20m"
"""
"""A jail that counts who is tried from several addresses; they are in any partition."""
POLICIES = """
[jail.leaky]
filter = "sshd"
window = "leaky"
maxretry = 4
[jail.known]
filter = "sshd"
maxretry = 5
known_good = "1h"
[jail.watched]
filter = "sshd"
maxretry = 6
[jail.watched.behaviour]
tighten = true
[jail.pairs]
filter = "sshd"
count = "address and user"
maxretry = 2
"""
"""Jails that keep of their subjects something else than failures."""


def attack(seed: int, frames: int, events: int = 100) -> list[list[AuthEvent]]:
    """Frames of failures of a few thousand addresses in a hundred networks, a frame of one network each.

    One in ten names one of forty users.
    """
    chance = random.Random(seed)
    at_ms = now_ms()
    made = []
    for number in range(frames):
        network = chance.randrange(100)
        made.append(
            [
                failure(
                    f"10.0.{network}.{chance.randrange(1, 30)}",
                    at_ms,
                    number * events + index,
                    source=f"s{seed}",
                    user=f"user{chance.randrange(40)}" if index % 10 == 0 else None,
                )
                for index in range(events)
            ]
        )
    return made


def now_ms() -> int:
    """The instant now."""
    return time.time_ns() // 1_000_000
