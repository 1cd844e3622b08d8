"""How much a sink sends, how soon a ban is at a webhook, and what a sink weighs; as JSON lines.

`python -m bench.sinks [EVENTS]`, from the root of the repository. The receiver of the first is a file in
memory (/dev/shm); the webhook is an HTTP server in this process, beside a real `banstream up`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.figures import say
from eventlog.contract import Append
from eventlog.sqlite import SqliteLog
from schemas.codec import encode_frame
from schemas.topics import EVENTS
from sinks.registry import format_kind
from sinks.selection import Selection
from sinks.settings import SinkSettings, plan_of
from sinks.thread import SinkThread
from tests.banstream.service import Service, eventually, service
from tests.sinks.following import failed
from tests.sinks.servers import HttpReceiver, Request, Told, http_server

FORMATS: Final = ("json", "ecs", "ocsf", "cef", "leef", "gelf", "syslog", "otlp", "csv")
IN_FRAME: Final = 512
BANS: Final = 200
PAUSE_S: Final = 0.1
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a file system in memory


def main() -> None:
    """All of it."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        throughput(Path(folder), events)
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as folder,
        http_server() as server,
        service(Path(folder)) as made,
    ):
        latency(made, server)


def throughput(folder: Path, events: int) -> None:
    """Events from a log in a file to a file, by format."""
    file = folder / "log.db"
    log = SqliteLog.open(file)
    frames = events // IN_FRAME
    for frame in range(frames):
        numbers = range(frame * IN_FRAME, (frame + 1) * IN_FRAME)
        records = [failed(number, ip=f"203.0.{number >> 8 & 255}.{number & 255}") for number in numbers]
        log.append([Append(EVENTS.name, encode_frame(records))])
    log.close()
    for name in FORMATS:
        kind = format_kind(name)
        given = {} if kind is None else {key: option.default for key, option in kind.options.items()}
        settings = SinkSettings(
            name=name,
            to=f"file:{folder / name}",
            format=name,
            selection=Selection(what=("events",)),
            most=1_000,
            start="begin",
            options={"fsync": False, "rotate": None, "keep": 5},
            format_options=given,
        )
        plan = plan_of(settings, "bench", "bench")
        sink = SinkThread(plan, lambda: SqliteLog.open(file), lambda: time.time_ns() // 1_000_000)
        began_s, busy_s = time.perf_counter(), time.process_time()
        sink.start()
        while not _has_sent(sink, frames * IN_FRAME):
            time.sleep(0.005)
        took_s, busy_s = time.perf_counter() - began_s, time.process_time() - busy_s
        sink.close()
        (folder / name).unlink()
        say(f"sink to a file, {name}", frames * IN_FRAME / took_s, "events/s")
        say(f"sink to a file, {name}, of one core", frames * IN_FRAME / busy_s, "events/s")


def latency(made: Service, server: HttpReceiver) -> None:
    """From a line in a log to the webhook, one at a time; and what a sink of its own weighs."""
    came_s: dict[str, float] = {}

    def answer(request: Request) -> Told:
        came_s[json.loads(request.body)["prefix"]] = time.perf_counter()
        return Told()

    server.usual = answer
    more = f'[sink.hook]\nto = "webhook+{server.url}/"\non = "ban"\n'
    made.configure("maxretry = 1", enforcer='backend = "null"', more=more)
    made.start()
    taken_ms = []
    for number in range(BANS):
        ip = f"198.51.{100 + number // 250}.{number % 250 + 1}"
        began_s = time.perf_counter()
        made.fail(ip)
        eventually(lambda ip=ip: ip in came_s, "the ban is at the webhook")  # type: ignore[misc]
        taken_ms.append((came_s[ip] - began_s) * 1_000)
        time.sleep(PAUSE_S)
    made.stop()
    taken_ms.sort()
    say("line to webhook, p50", taken_ms[BANS // 2], "ms")
    say("line to webhook, p99", taken_ms[BANS * 99 // 100], "ms")
    role = made.popen("sink", "--quiet", "--config", str(made.config), stderr=subprocess.DEVNULL)
    time.sleep(4)
    status = Path(f"/proc/{role.pid}/status").read_text(encoding="ascii").splitlines()
    (resident,) = (line.split()[1] for line in status if line.startswith("VmRSS"))
    role.terminate()
    role.wait()
    say("idle role, resident", int(resident) / 1_024, "MB")


def _has_sent(sink: SinkThread, count: int) -> bool:
    return sink.sent >= count or sink.status.ended is not None


if __name__ == "__main__":
    main()
