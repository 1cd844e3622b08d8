"""The decider's workers on this host: one in this process, or several in processes of their own."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from logging import getLogger
from typing import TYPE_CHECKING, Final, NoReturn

from banstream.account import Account, Life, RoleStatus
from banstream.health import BEAT_S, SOCKET, Pulse, health
from banstream.instants import now_ms
from banstream.serving import listener
from banstream.show import printable
from banstream.telling import Telling
from schemas.errors import BanstreamError, Transient

if TYPE_CHECKING:
    from banstream.config import Settings
    from banstream.loop import Listener
    from streams.worker.worker import Worker

LOOK_S: Final = 0.1
AGAIN_S: Final = 1.0
STOP_S: Final = 30.0
AGAIN_SAID_S: Final = 60.0
"""What a worker waits for is said as often."""
PATIENCE_MS: Final = 3_000
"""How long a call waits for the brokers at most before the worker begins: a signal waits as long."""
FINAL: Final = frozenset({0, 2})
"""Exit codes of a worker that has said what it had to say; with any other it is started again."""

NO_RELOAD: Final = (
    "Not reloaded: a worker follows the rules in force (`banstream rules push`); its own keys want a restart"
)

UNRULED: Final = (
    "no rules are in force yet, and those of this configuration would lack jails that are wrong in it; put "
    "them right and start again, or `banstream rules push` where they are right"
)

log = getLogger("banstream")


def work(settings: Settings, *, leash: int | None, nth: int = 0) -> NoReturn:
    """Be a worker until told to stop, then end the process.

    By then all is committed that is worth keeping. It ends without waiting for threads: Faust's consumer has
    one of its own, which does not end while the broker is away (measured: 100 s and more).

    Args:
        settings: the configuration.
        leash: stop also when the other end of this descriptor is closed.
        nth: of several workers of one command, which one, from 0.
    """
    from banstream.cli import complain

    code = 1
    loop = asyncio.new_event_loop()
    try:
        code = loop.run_until_complete(_work(Here(settings, listener(settings, nth)), leash=leash))
        loop.run_until_complete(asyncio.sleep(0))  # what was cancelled last may tidy up
    except BanstreamError as error:
        code = complain(error)
    except Exception:
        log.exception("Ended by a fault of its own")
    logging.shutdown()
    os._exit(code)


async def _work(here: Here, *, leash: int | None) -> int:
    from eventlog.kafka.options import parse_url
    from streams.worker.connection import Cluster
    from streams.worker.worker import Worker, WorkerPlan

    settings, stopped = here.settings, _stopped(leash)
    beating = asyncio.create_task(_beat("decide" if leash is None else f"decide-{os.getpid()}", here))
    cluster = Cluster(parse_url(settings.log_url), settings.decider.application)
    version, said, said_at = settings.rules().version, "", 0.0
    while not stopped.is_set():
        try:
            partitions = await asyncio.to_thread(_prepare, settings)
            here.waiting = {}
            plan = WorkerPlan(
                cluster=cluster,
                partitions=partitions,
                now_ms=now_ms,
                rules=version,
                membership=settings.decider.membership,
                told=here.telling.committed,
            )
            here.worker = Worker(plan)
            await here.worker.run(stopped)
        except Transient as error:
            if str(error) != said or time.monotonic() >= said_at + AGAIN_SAID_S:
                log.warning("Waiting for the broker; deciding goes on by itself reason=%s", error)
                said, said_at = str(error), time.monotonic()
            here.waiting = {"worker": str(error)}
            # Workers that came at once, and were in each other's way, shall not come at once again.
            later = random.uniform(0.5, 2.5)  # noqa: S311 - no secret
            await _pause(stopped, error.retry_after_ms / 1_000 * later)
    beating.cancel()
    log.info("Stopped")
    return 0


@dataclass(slots=True)
class Here:
    """What this process has to say of itself: its present worker, and what it waits for."""

    settings: Settings
    endpoint: Listener | None = None
    worker: Worker | None = None
    waiting: dict[str, str] = field(default_factory=dict)
    telling: Telling = field(default_factory=lambda: Telling(now_ms))

    def account(self) -> Account:
        """How its worker is."""
        status = None if self.worker is None else self.worker.status()
        return Account(files=self.settings.files, rules=self.settings.rules().version, worker=status)


async def _beat(name: str, here: Here) -> None:
    pulse, life = Pulse(name), Life("decide", now_ms)
    try:
        while True:
            status = RoleStatus.now(life, here.account(), here.waiting)
            pulse.beat(status)
            here.telling.turn()
            if here.endpoint is not None:
                here.endpoint.status = status
            await asyncio.sleep(BEAT_S)
    finally:
        pulse.end()


def _prepare(settings: Settings) -> int:
    """See that rules are in force; how many partitions the log has."""
    from eventlog.urls import open_log
    from streams.order import INPUTS
    from streams.worker.governing import in_force, put_in_force

    event_log = open_log(settings.log_url, patience_ms=PATIENCE_MS)
    try:
        for topic in INPUTS:
            event_log.end(topic)  # said here, where one is missing
        if settings.waiting and in_force(event_log) is None:
            names = ", ".join(printable(each.name) for each in settings.waiting)
            raise Transient(f"{UNRULED}: {names}")
        put_in_force(event_log, settings.rules(), now_ms())
        return event_log.partitions
    finally:
        event_log.close()


def _stopped(leash: int | None) -> asyncio.Event:
    """Set by SIGTERM, SIGINT, or the end of the leash."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, log.warning, NO_RELOAD)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    if leash is not None:

        def let_loose() -> None:
            loop.remove_reader(leash)
            stopped.set()

        loop.add_reader(leash, let_loose)
    return stopped


async def _pause(stopped: asyncio.Event, seconds: float) -> None:
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({waiting}, timeout=seconds)
    waiting.cancel()


def supervise(options: list[str], count: int) -> int:
    """Keep `count` workers in processes of their own until told to stop; the first final exit code but 0.

    They are on a leash: they stop when this process is gone, however it went.
    """
    leash, held = os.pipe()
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, lambda *_: log.warning(NO_RELOAD))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    command = [
        sys.executable,
        "-P",
        "-m",
        "banstream",
        "decide",
        *options,
        "--workers",
        "1",
        "--leash",
        str(leash),
    ]
    workers = [_start([*command, "--nth", str(nth)], leash) for nth in range(count)]
    code = 0
    pulse, life = Pulse("decide"), Life("decide", now_ms)
    while not stopping and not code:
        time.sleep(LOOK_S)
        _beat_with(pulse, life, workers)
        for place, worker in enumerate(workers):
            ended = worker.poll()
            if ended in FINAL:
                code = ended or 1
            elif ended is not None:
                log.error("A worker ended by itself, another is started pid=%d code=%d", worker.pid, ended)
                time.sleep(AGAIN_S)
                workers[place] = _start([*command, "--nth", str(place)], leash)
    os.close(held)
    for worker in workers:
        _end(worker)
    os.close(leash)
    pulse.end()
    return code


def _beat_with(pulse: Pulse, life: Life, workers: list[subprocess.Popen[bytes]]) -> None:
    """They are alive together, or not at all."""
    if pulse.due() and all(health(f"decide-{worker.pid}").alive for worker in workers):
        pulse.beat(RoleStatus.now(life, Account()))


def _start(command: list[str], leash: int) -> subprocess.Popen[bytes]:
    env = {name: value for name, value in os.environ.items() if name != SOCKET}  # the manager hears of all
    return subprocess.Popen(command, pass_fds=[leash], start_new_session=True, env=env)  # noqa: S603 - this very program


def _end(worker: subprocess.Popen[bytes]) -> None:
    try:
        worker.wait(STOP_S)
    except subprocess.TimeoutExpired:
        log.error("A worker did not stop in time and is killed pid=%d", worker.pid)  # noqa: TRY400 - a fact, not a traceback
        worker.kill()
        worker.wait()
