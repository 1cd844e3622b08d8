"""A whole fleet on a broker of its own, under load, in which anything may be killed at any moment.

Hosts have a shipper and an enforcer each, in a namespace with nftables of its own; workers decide. The load
is an attack with a known outcome: which address fails how often, over all hosts, is drawn beforehand, so
that who has to be banned is known without any part of banstream.
"""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Final

from banstream.ordering import submit
from eventlog.urls import open_log
from schemas.errors import Transient
from schemas.records import Command, Verb
from tests.banstream.fleet import Role, failure, relay, role
from tests.broker import Broker
from tests.namespaces import fleet as namespaces
from tests.streams import fleet as workers

PARTITIONS: Final = 8
WORKERS: Final = 2
MOST_RETRIES: Final = 3
RULES: Final = f"""
[jail.sshd]
filter = "sshd"
maxretry = {MOST_RETRIES}
findtime = "1h"
bantime = "6h"
[jail.brief]
filter = "sshd"
findtime = "1h"
prolong = true
step = [{{ maxretry = 2, bantime = "5s" }}, {{ maxretry = 4, bantime = "6s" }}]
increment = {{ maxtime = "8s" }}
escalate = {{ addresses = 2, findtime = "1h", bantime = "5s" }}
[jail.rate]
filter = "sshd"
window = "fail2ban"
maxretry = 2
findtime = "5s"
bantime = "5s"
[jail.again]
on = "bans"
maxretry = 2
findtime = "1h"
bantime = "5s"
"""
"""One jail whose outcome is known, and others that do nearly all that a jail can, briefly."""
FAILURES: Final = (1, 1, 1, 1, 2, 2, 3, 3, 4, 6)
"""How often an address fails, drawn from these."""
SPREAD_S: Final = 8.0
"""An address's failures are spread over so long, and over all hosts."""
TURN_S: Final = 0.02
Again = Callable[[], None]


class Attack(threading.Thread):
    """Writes what failing logins make sshd write on several hosts, until it is told to stop.

    Attributes:
        failures: by address, how often it has failed so far over all hosts.
    """

    def __init__(self, logs: list[Path], seed: int, addresses_a_turn: int) -> None:
        super().__init__(daemon=True)
        self.failures: Counter[str] = Counter()
        self._logs = logs
        self._chance = random.Random(seed)
        self._many = addresses_a_turn
        self._due: list[tuple[float, str]] = []
        self._addresses = self._lines = 0
        self._done = threading.Event()

    def run(self) -> None:
        """Write until told to stop; then what is still due, at once."""
        while not self._done.wait(TURN_S):
            for _ in range(self._many):
                self._draw()
            self._write(time.monotonic())
        self._write(time.monotonic() + SPREAD_S)

    def stop(self) -> None:
        """Write what is still due, and end."""
        self._done.set()
        self.join()

    def banned(self) -> set[str]:
        """Whom the jail with the long ban has to hold at the end."""
        return {ip for ip, times in self.failures.items() if times >= MOST_RETRIES}

    def _draw(self) -> None:
        number, self._addresses = self._addresses, self._addresses + 1
        ip = f"10.{128 + number % 97}.{number // 97 % 250}.{1 + number // 24_250}"  # none is a host's own
        for _ in range(self._chance.choice(FAILURES)):
            heappush(self._due, (time.monotonic() + self._chance.uniform(0, SPREAD_S), ip))

    def _write(self, until: float) -> None:
        lines: list[list[str]] = [[] for _ in self._logs]
        while self._due and self._due[0][0] <= until:
            ip = heappop(self._due)[1]
            self._lines += 1
            self._chance.choice(lines).append(failure(ip, self._lines))
            self.failures[ip] += 1
        for log, part in zip(self._logs, lines, strict=True):
            with log.open("a", encoding="utf-8") as file:
                file.write("".join(part))


class Operator(threading.Thread):
    """Bans by hand in the midst of it, forgives nobody who failed, and puts other rules in force.

    Attributes:
        banned: whom it has banned, and not freed again.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.banned: set[str] = set()
        self._url = url
        self._done = threading.Event()
        self._failed: Exception | None = None

    def run(self) -> None:
        """Until told to stop: of every three it bans it frees one."""
        number = 0
        try:
            while not self._done.wait(0.7):
                ip = f"10.250.{number // 200}.{1 + number % 200}"
                self._say("ban", ip)
                self.banned.add(ip)
                if number % 3 == 2:
                    self._say("unban", ip)
                    self.banned.discard(ip)
                if number % 10 == 5:
                    self._say("allow", "192.0.2.0/24")
                number += 1
        except Exception as error:  # noqa: BLE001 - the test raises it
            self._failed = error

    def stop(self) -> None:
        """End, once what is being said is in the log."""
        self._done.set()
        self.join()
        if self._failed is not None:
            raise self._failed

    def _say(self, verb: Verb, prefix: str) -> None:
        said = Command(
            id=f"{verb} {prefix}", verb=verb, at_ms=time.time_ns() // 1_000_000, who="root", prefix=prefix
        )
        while True:
            log = open_log(self._url)
            try:
                submit(log, said)
            except Transient:
                time.sleep(0.5)
            else:
                return
            finally:
                log.close()


@dataclass
class Fleet:
    """Everything there is, running.

    Attributes:
        peak_kb: the most memory a process of each role had resident.
        kills: what was killed, in order.
    """

    broker: Broker
    decide: workers.Fleet
    ships: list[Role]
    enforcers: list[Role]
    peak_kb: dict[str, int] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)

    def kill(self, kind: str, which: int) -> Again:
        """`kill -9` one process; returns what starts it again."""
        self.kills.append(kind)
        if kind == "broker":
            self.broker.kill()
            return self.broker.start
        if kind == "worker":
            self.worker(which).kill()
            self.worker(which).wait()
            return lambda: self._replace(which)
        one = (self.ships if kind == "shipper" else self.enforcers)[which % len(self.ships)]
        one.kill()
        return one.begin

    def worker(self, which: int) -> subprocess.Popen[str]:
        """One of the workers."""
        return self.decide.workers[which % WORKERS]

    def halt(self, which: int, for_s: float) -> None:
        """Halt a worker, and let it go on."""
        self.worker(which).send_signal(signal.SIGSTOP)
        time.sleep(for_s)
        self.worker(which).send_signal(signal.SIGCONT)

    def alive(self) -> None:
        """Fail when something has ended by itself."""
        for one in (*self.ships, *self.enforcers):
            assert one.process is not None
            assert one.process.poll() is None, f"{one.name} ended: {one.errors[-3000:]}"
        for each in self.decide.workers[:WORKERS]:
            assert each.poll() is None, f"a worker ended: {self.decide.said[-3000:]}"

    def measure(self) -> None:
        """Take down how much memory each has."""
        found = [("ship", each.process) for each in self.ships]
        found += [("enforce", each.process) for each in self.enforcers]
        found += [("decide", each) for each in self.decide.workers[:WORKERS]]
        for name, process in found:
            if process is not None and process.poll() is None:
                self.peak_kb[name] = max(self.peak_kb.get(name, 0), resident_kb(process.pid))

    def _replace(self, which: int) -> None:
        worker = self.decide.start()
        self.decide.workers.remove(worker)
        self.decide.workers[which % WORKERS] = worker


def resident_kb(pid: int) -> int:
    """Resident memory, in KiB (proc_pid_status(5)); 0 when it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(status.partition("VmRSS:")[2].split()[0]) if "VmRSS:" in status else 0


@contextmanager
def running(folder: Path, hosts: int, membership: str = "faust", timeout: str = "3s") -> Iterator[Fleet]:
    """A fleet of so many hosts, with rules in force; everything is gone afterwards."""
    broker = Broker(folder / "kafka")
    names = [f"web{number}" for number in range(hosts)]
    with ExitStack() as stack:
        stack.callback(broker.kill)
        broker.start()
        url = broker.url(PARTITIONS, timeout=timeout)
        net = stack.enter_context(namespaces(*names))
        stack.enter_context(relay(broker.ports["INTERNAL"], *(net[name] for name in names)))
        decide = stack.enter_context(workers.fleet(url, folder, membership, signed=True))
        decide.configure(RULES)
        made = Fleet(broker, decide, [], [])
        for name in names:
            ship = stack.enter_context(role("ship", folder / name))
            enforcer = stack.enter_context(role("enforce", folder / f"{name}-enforce", net[name]))
            ship.enroll(decide.log)
            ship.settle(url)
            enforcer.settle(url, f'[enforcer]\nhost = "{name}"\nmost_per_minute = 1000000')
            made.ships.append(ship)
            made.enforcers.append(enforcer)
        for _ in range(WORKERS):
            decide.start()
        decide.governed()
        for one in (*made.ships, *made.enforcers):
            one.begin("Shipping" if one.name == "ship" else "Enforcing")
        yield made


@contextmanager
def operated(fleet: Fleet) -> Iterator[Operator]:
    """With an operator at work within it."""
    operator = Operator(fleet.decide.url)
    operator.start()
    try:
        yield operator
    finally:
        operator.stop()


@contextmanager
def attacked(fleet: Fleet, seed: int, addresses_a_turn: int = 2) -> Iterator[Attack]:
    """Under attack within it."""
    attack = Attack([ship.log for ship in fleet.ships], seed, addresses_a_turn)
    attack.start()
    try:
        yield attack
    finally:
        attack.stop()


def reopen(fleet: Fleet) -> None:
    """Forget what connections of the test itself went through."""
    fleet.decide.log.close()
    fleet.decide.log = open_log(fleet.decide.url)
