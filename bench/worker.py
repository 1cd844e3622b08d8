"""Workers on a real broker, on each host: events a second, a restart, who waits for whom, and being idle.

Needs the broker's jars (deploy/machine.sh test), or $BANSTREAM_KAFKA. Broker and worker share the machine.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from banstream.ordering import command
from bench.figures import say
from eventlog.contract import Append, EventLog
from eventlog.kafka.options import parse_url
from eventlog.kafka.quiet import quiet_libraries
from eventlog.kafka.transactions import Transactions
from eventlog.urls import open_log
from schemas.codec import encode
from schemas.shipments import Shipment
from schemas.signatures import new_private, public_text, signed_key
from schemas.topics import COMMANDS, DECISIONS, EVENTS, RULES, partition_of
from streams.order import OBEYED
from streams.partition import position_of
from tests.broker import Broker, Cluster

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HOSTS: Final = ("faust", "aiokafka")
EVENTS_SENT: Final = 1_000_000
HELD_S: Final = 10
"""Less than a fenced owner waits."""
FRAME: Final = 300
DECIDING: Final = 100
"""One event of so many decides a ban."""
AT_ONCE: Final = 200
"""As many frames as a producer has in its hands."""
INCARNATION: Final = "fe00:123456:0011"
RULES_TEXT: Final = '[jail.sshd]\nfilter = "sshd"\nfindtime = "1d"\nbantime = "7d"\n'


def main() -> None:
    """Measure all, or only what is named."""
    parts = {
        "burst": burst,
        "signed": signed,
        "commanded": commanded,
        "restart": restart,
        "shared": shared,
        "held": held,
        "idle": idle,
    }
    wanted = [part for part in parts if part in sys.argv] or list(parts)
    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as broker:
        for part in wanted:
            for host in HOSTS:
                parts[part](Path(folder) / "banstream.toml", broker, host)


def burst(config: Path, broker: Cluster, host: str) -> None:
    """A million events in frames, which wait for a worker of one partition."""
    log = configured(config, broker.url(1), host)
    bans = fill(log)
    worker = start(config, log)
    say(f"{host}_worker", EVENTS_SENT / wait_s(log, bans), "events/s")
    say(f"{host}_worker_decisions", bans, "decisions")
    say(f"{host}_worker_per_core", EVENTS_SENT / cpu_s(worker), "events/s of its processor time")
    say(f"{host}_worker_memory", resident_mb(worker), "MB")
    worker.kill()
    worker.wait()
    log.close()


def signed(config: Path, broker: Cluster, host: str) -> None:
    """The same burst, once as it is and once signed, in turn: what verifying costs."""
    for seal in (None, new_private()):
        log = configured(config, broker.url(1), host)
        appends, bans = frames(1)
        if seal is not None:
            word = command("enroll", host="web1", public_key=public_text(seal))
            log.append([Append(COMMANDS.name, encode(word))])
            appends = [sealed(seal, append, nth) for nth, append in enumerate(appends)]
        for first in range(0, len(appends), AT_ONCE):
            log.append(appends[first : first + AT_ONCE])
        worker = start(config, log)
        name = "unsigned" if seal is None else "signed"
        say(f"{host}_worker_{name}", EVENTS_SENT / wait_s(log, bans), "events/s")
        stop(worker)
        log.close()


def sealed(seal: Ed25519PrivateKey, append: Append, nth: int) -> Append:
    """A message as its host signs it."""
    shipment = Shipment("web1", time.time_ns() // 1_000_000 + nth)
    key = signed_key(seal, append.topic, append.partition, shipment, append.value)
    return replace(append, key=key)


def commanded(config: Path, broker: Cluster, host: str) -> None:
    """From a command to its decision, while two million events of four partitions are behind."""
    url = broker.url(4)
    log = configured(config, url, host)
    fill(log)
    fill(log, "second")
    worker = start(config, log)
    ends = [log.end(EVENTS.name, number) for number in range(4)]
    took_ms: list[float] = []
    nth = 0
    while any(position_of(log, number).get("offset", -1) + 20 < ends[number] for number in range(4)):
        nth += 1
        prefix = f"203.0.{nth >> 8}.{nth & 255}"
        number = partition_of(prefix, 4)
        begin = log.end(DECISIONS.name, number)
        sent = time.monotonic()
        log.append([Append(COMMANDS.name, encode(command("ban", prefix=prefix)), partition=number)])
        wanted = f'"prefix":"{prefix}"'.encode()
        while not any(wanted in message.value for message in log.read(DECISIONS.name, number, begin)):
            time.sleep(0.002)
        took_ms.append((time.monotonic() - sent) * 1_000)
    say(f"{host}_command_behind_2m_events_p50", statistics.median(took_ms), "ms")
    say(f"{host}_command_behind_2m_events_p99", sorted(took_ms)[int(len(took_ms) * 0.99)], "ms")
    say(f"{host}_commands_meanwhile", len(took_ms), "commands")
    stop(worker)
    log.close()


def restart(config: Path, broker: Cluster, host: str) -> None:
    """Seconds to a decision with a million addresses in the state."""
    log = configured(config, broker.url(1), host)
    bans = fill(log)
    worker = start(config, log)
    wait_s(log, bans)
    worker.kill()
    worker.wait()
    say(f"{host}_worker_restart_1m_addresses_after_kill_9", restarted(config, log, 0), "s")
    say(f"{host}_worker_restart_1m_addresses", restarted(config, log, 1), "s")
    log.close()


def shared(config: Path, broker: Cluster, host: str) -> None:
    """One worker and two, of four partitions."""
    for count in (1, 2):
        log = configured(config, broker.url(4), host)
        bans = fill(log)
        workers = start(config, log, "--workers", str(count))
        say(f"{host}_workers_{count}_of_4_partitions", EVENTS_SENT / wait_s(log, bans), "events/s")
        stop(workers)
        log.close()


def held(config: Path, broker: Cluster, host: str) -> None:
    """From an event to its ban in three partitions, before a busy fourth is fenced, and while it is."""
    url = broker.url(4)
    log = configured(config, url, host, maxretry=1)
    worker = start(config, log)
    stopped = threading.Event()
    busy = threading.Thread(target=keep_busy, args=(url, stopped))
    busy.start()
    time.sleep(3)
    before = latencies_ms(url, 1)
    options = parse_url(url)
    Transactions(options, f"{options.prefix}decider-0").close()
    during = latencies_ms(url, 2)
    for name, found in (("before", before), ("fenced", during)):
        say(f"{host}_others_{name}_p50", statistics.median(found), "ms")
        say(f"{host}_others_{name}_p99", sorted(found)[len(found) * 99 // 100], "ms")
        say(f"{host}_others_{name}_most", max(found), "ms")
    stopped.set()
    busy.join()
    worker.kill()
    worker.wait()
    log.close()


def keep_busy(url: str, stopped: threading.Event) -> None:
    """Two hundred lone events a second for partition 0."""
    own = open_log(url)
    position = 0
    while not stopped.wait(0.05):
        position += 10
        at_ms = time.time_ns() // 1_000_000
        own.append(
            [Append(EVENTS.name, line(position + each, position + each, at_ms, "busy")) for each in range(10)]
        )
    own.close()


def latencies_ms(url: str, run: int) -> list[float]:
    """For HELD_S an event in each of three partitions every 100 ms: how long until its ban is to be read."""
    log = open_log(url)
    sent: dict[str, float] = {}
    found: list[float] = []
    until = time.monotonic() + HELD_S
    numbers = (1, 2, 3)
    begins = [log.end(DECISIONS.name, number) for number in numbers]

    def watch() -> None:
        own, offsets = open_log(url), list(begins)
        while len(found) < len(sent) or time.monotonic() < until:
            for place, number in enumerate(numbers):
                for message in own.read(DECISIONS.name, number, offsets[place]):
                    offsets[place] = message.offset + 1
                    seen = time.monotonic()
                    if message.value.startswith(OBEYED):
                        continue
                    bans = [orjson.loads(each)["prefix"] for each in message.value.split(b"\n")]
                    found.extend((seen - sent[prefix]) * 1_000 for prefix in bans)
            time.sleep(0.002)
        own.close()

    watching = threading.Thread(target=watch)
    watching.start()
    number = 0
    while time.monotonic() < until:
        at_ms = time.time_ns() // 1_000_000
        for partition in numbers:
            number += 1
            ip = f"{200 + run}.{number >> 8 & 255}.{number & 255}.7"
            sent[ip] = time.monotonic()
            value = line(number, number, at_ms, f"run{run}").replace(ip_of(number).encode(), ip.encode())
            log.append([Append(EVENTS.name, value, partition=partition)])
        time.sleep(0.1)
    watching.join()
    log.close()
    return found


def idle(config: Path, broker: Cluster, host: str) -> None:
    """A worker of four partitions that has decided 600 events and has nothing to do."""
    log = configured(config, broker.url(4), host)
    worker = start(config, log)
    appends, _ = frames(4)
    log.append([Append(EVENTS.name, appends[each].value, partition=each % 4) for each in range(2)])
    time.sleep(15)
    say(f"{host}_worker_idle_memory", resident_mb(worker), "MB")
    before = cpu_s(worker)
    time.sleep(10)
    say(f"{host}_worker_idle", (cpu_s(worker) - before) * 10, "% of a core")
    stop(worker)
    log.close()


def configured(config: Path, url: str, host: str = "faust", maxretry: int = 3, more: str = "") -> EventLog:
    """A new log with rules in force. `more`: other jails."""
    config.write_text(
        f'[log]\nurl = "{url}"\n[decider]\nmax_subjects = 2_000_000\nmembership = "{host}"\n'
        "require_enrolled = false\n"
        f"{RULES_TEXT}maxretry = {maxretry}\n{more}",
        encoding="utf-8",
    )
    log = open_log(url)
    stop(start(config, log))
    return log


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """$BANSTREAM_KAFKA, or a broker of our own as an operator would run it."""
    if address := os.environ.get("BANSTREAM_KAFKA"):
        yield Cluster(address)
        return
    with Broker(folder / "kafka", jvm=()) as broker:
        yield broker


def start(config: Path, log: EventLog, *options: str) -> subprocess.Popen[bytes]:
    """A worker, with rules in force."""
    command = [sys.executable, "-P", "-m", "banstream", "decide", "--config", str(config), *options]
    worker = subprocess.Popen(command, stderr=None if "-v" in sys.argv else subprocess.DEVNULL)
    while not list(log.latest(RULES.name)):
        time.sleep(0.05)
    return worker


def stop(worker: subprocess.Popen[bytes]) -> None:
    """Stop it cleanly: it writes its state."""
    worker.send_signal(signal.SIGTERM)
    worker.wait(120)


def fill(log: EventLog, incarnation: str = INCARNATION) -> int:
    """Append the events; returns how many bans they decide."""
    appends, bans = frames(log.partitions, incarnation)
    for first in range(0, len(appends), AT_ONCE):
        log.append(appends[first : first + AT_ONCE])
    return bans


def frames(partitions: int, incarnation: str = INCARNATION) -> tuple[list[Append], int]:
    """The events, a frame to each partition in turn, and how many bans they decide.

    Of each DECIDING three are one address's. Partitions are not those of the addresses: a decider does not
    ask.
    """
    now_ms = time.time_ns() // 1_000_000
    bans = 0
    appends: list[Append] = []
    for first in range(0, EVENTS_SENT, FRAME):
        lines = []
        for number in range(first, min(first + FRAME, EVENTS_SENT)):
            nth = number % DECIDING
            bans += nth == DECIDING - 1
            address = number - nth if nth >= DECIDING - 3 else number
            lines.append(line(address, number, now_ms, incarnation))
        appends.append(Append(EVENTS.name, b"\n".join(lines), partition=first // FRAME % partitions))
    return appends, bans


def ip_of(address: int) -> str:
    """The address of a number."""
    return f"{1 + (address >> 16)}.{address >> 8 & 255}.{address & 255}.7"


def line(
    address: int, position: int, at_ms: int, incarnation: str = INCARNATION, user: str | None = "root"
) -> bytes:
    """A failed login, as sshd's filter gives it."""
    ip = ip_of(address)
    return orjson.dumps(
        {
            "type": "auth",
            "v": 1,
            "kind": "failed",
            "at_ms": at_ms,
            "seen_at_ms": at_ms,
            "filter": "sshd",
            "filter_version": "0123456789ab",
            "ip": ip,
            "source": "file:/var/log/auth.log",
            "incarnation": incarnation,
            "position": position,
            "line": f"Nov 22 09:00:00 host sshd[4711]: Failed password for root from {ip} port 50122 ssh2",
            "user": user,
            "port": 50122,
        }
    )


def wait_s(log: EventLog, count: int) -> float:
    """Wait for so many decisions; seconds from the first to the last, by the log's clock."""
    times = decided(log, count)
    return (max(times) - min(times)) / 1_000


def decided(log: EventLog, count: int) -> list[int]:
    """Wait for so many decisions; when they were made, in Unix milliseconds by the log's clock."""
    held, offsets = 0, dict.fromkeys(range(log.partitions), 0)
    times: list[int] = []
    while held < count:
        found = [
            message for number in offsets for message in log.read(DECISIONS.name, number, offsets[number])
        ]
        for message in found:
            held += 0 if message.value.startswith(OBEYED) else message.value.count(b"\n") + 1
            offsets[message.partition] = message.offset + 1
            times.append(message.at_ms)
        if not found:
            time.sleep(0.1)
    return times


def restarted(config: Path, log: EventLog, nth: int) -> float:
    """Seconds from the `nth` start of a worker to a decision about what came while it was away."""
    now_ms = time.time_ns() // 1_000_000
    end = log.end(DECISIONS.name)
    position = EVENTS_SENT + 3 * nth
    log.append([Append(EVENTS.name, line(0xABCDEF + nth, position + each, now_ms)) for each in range(3)])
    started = time.perf_counter()
    worker = start(config, log)
    while not any(not each.value.startswith(OBEYED) for each in log.read(DECISIONS.name, 0, end)):
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    stop(worker)
    return seconds


def cpu_s(worker: subprocess.Popen[Any]) -> float:
    """Processor seconds that a worker has used, its start included."""
    user, system = Path(f"/proc/{worker.pid}/stat").read_text(encoding="ascii").split()[13:15]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_mb(worker: subprocess.Popen[Any]) -> float:
    """A worker's resident memory, in MB of 2**20 bytes."""
    pages = Path(f"/proc/{worker.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4_096 / (1 << 20)


if __name__ == "__main__":
    main()
