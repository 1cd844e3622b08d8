"""What a signature costs a shipper and a decider: processor time, for 200 events and for a lone one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import say
from eventlog.contract import Append, Message
from producers.seals import Signing
from producers.spool import Spool
from schemas.codec import encode_frame
from schemas.records import AuthEvent, Command
from schemas.signatures import new_private, public_text
from schemas.topics import EVENTS
from streams.hosts import Hosts

ROUNDS: Final = 7
AT_MS: Final = 1_700_000_000_000


def frame(events: int) -> bytes:
    """Failures of sshd, 400 bytes each."""
    return encode_frame(
        AuthEvent(
            kind="failed",
            at_ms=AT_MS + nth,
            seen_at_ms=AT_MS + nth,
            filter="sshd",
            filter_version="9f86d081884c7d65",
            ip=f"192.0.2.{nth}",
            source="file:/var/log/auth.log",
            incarnation="web1/2049-1311768-5feceb66ffc86f38",
            position=nth * 100,
            line=f"Jan  1 00:00:00 web1 sshd[8]: Failed password for root from 192.0.2.{nth} port 4711 ssh2",
            user="root",
            port=4_711,
            host="web1",
        )
        for nth in range(events)
    )


def best_us(work: Callable[[], object], times: int) -> float:
    """Microseconds of processor time a call, in the best of ROUNDS."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(times):
            work()
        spent.append((time.process_time() - begun) / times)
    return min(spent) * 1e6


def measure(name: str, value: bytes, seal: Signing, hosts: Hosts, times: int) -> None:
    """Sign one value alone and in a batch of a hundred, then admit what was signed."""
    alone = [Append(EVENTS.name, value)]
    say(f"sign {name} and keep the order", best_us(lambda: seal(alone), times), "us")
    say(f"sign {name} in a batch of 100", best_us(lambda: seal(alone * 100), times // 100) / 100, "us")
    signed = seal(alone * times * ROUNDS)
    messages = iter([Message(0, 0, each.key, each.value, AT_MS) for each in signed])
    say(f"admit {name}", best_us(lambda: hosts.admit(next(messages)), times), "us")


def main() -> None:
    """Print all figures."""
    private, clock = new_private(), itertools.count(AT_MS)
    hosts = Hosts(require=True)
    public = public_text(private)
    hosts.obey(Command(id="1", verb="enroll", at_ms=0, who="", host="web1", public_key=public), 0)
    with TemporaryDirectory() as folder:
        spool = Spool.open(Path(folder) / "ship.db", 1 << 28)
        seal = Signing("web1", lambda: next(clock), spool, private)
        measure("a frame of 200 events", frame(200), seal, hosts, 300)
        measure("a lone event", frame(1), seal, hosts, 1_000)
        spool.close()


if __name__ == "__main__":
    main()
