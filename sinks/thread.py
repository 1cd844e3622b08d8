"""A sink in a thread of its own: whatever its receiver does, nobody else waits for it.

It has its own connection to the log, so that not even a lock is shared with who decides and enforces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from logging import getLogger
from random import random
from threading import Event, Thread
from typing import Final

from eventlog.contract import EventLog
from eventlog.identity import log_id
from schemas.errors import BanstreamError, Fenced, Transient
from sinks.background import Evidence
from sinks.items import Items
from sinks.pacing import Backoff
from sinks.runner import Runner, SinkPlan, Timing
from sinks.status import SinkStatus

WAIT_MS: Final = 500
OPEN_MS: Final = 2_000
STOP_S: Final = 15.0
"""So long somebody waits for a sink that has been told to end."""

log = getLogger("banstream")


class SinkThread:
    """One sink that runs until it is closed."""

    def __init__(
        self,
        plan: SinkPlan,
        open_log: Callable[[], EventLog],
        now_ms: Callable[[], int],
        before: Sequence[SinkThread] = (),
    ) -> None:
        """`open_log`: a connection of its own; may raise Transient, and is asked again then.

        `before`: those that have been told to end, and are to have ended first.
        """
        self._plan = plan
        self._before = before
        self._backoff = Backoff(random)
        self._open_log = open_log
        self._times = Timing(now_ms, lambda: int(time.monotonic() * 1_000), random)
        self._stopping = Event()
        self._standing = Event()
        self._status = SinkStatus(name=plan.name, to=plan.to, format=plan.format)
        self._runner: Runner | None = None
        self._thread = Thread(target=self._run, name=f"sink-{plan.name}", daemon=True)

    @property
    def name(self) -> str:
        """As in `[sink.NAME]`."""
        return self._plan.name

    @property
    def to(self) -> str:
        """Its receiver, as it may be shown."""
        return self._plan.to

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    @property
    def status(self) -> SinkStatus:
        """How it is now."""
        if self._runner is None or self._status.ended:
            return self._status
        return self._runner.status

    @property
    def sent(self) -> int:
        """How many items its receiver has taken, to this moment."""
        return 0 if self._runner is None else self._runner.sent

    def start(self, within_s: float = 0) -> None:
        """Begin; wait so long at most until it has its place in the log."""
        self._thread.start()
        self._standing.wait(within_s)

    def begin_end(self) -> None:
        """Tell it to end; it does when it has finished what it is about."""
        self._stopping.set()

    def close(self, within_s: float = STOP_S) -> None:
        """End: it keeps what it has sent. Waits for a receiver that is being talked to, but not for ever."""
        self._stopping.set()
        self._thread.join(within_s)
        if self._thread.is_alive():
            log.warning(
                "A sink did not end in time: what it is sending may come again name=%s", self._plan.name
            )

    def _run(self) -> None:
        try:
            self._wait_for_others()
            while not self._stopping.is_set() and not self._tried():
                pass
        except Fenced:
            self._end("another sink of this name was started, and goes on")
        except BanstreamError as error:
            self._end(str(error))
        finally:
            self._standing.set()

    def _wait_for_others(self) -> None:
        """Those before it are what they were told to be, over; one that hangs is not waited for for ever."""
        until_s = time.monotonic() + STOP_S
        if self._before:
            self._status = replace(self._status, waiting="the one before it has not ended yet")
        for each in self._before:
            each.close(max(0, until_s - time.monotonic()))
        self._before = ()
        self._status = replace(self._status, waiting=None)

    def _tried(self) -> bool:
        """Live; whether that is over. What nobody has foreseen is said, and tried again later."""
        try:
            if self._life():
                return True
            wait_ms = OPEN_MS
        except BanstreamError:
            raise
        except (
            Exception
        ) as error:  # a defect of one sink must not be silent, nor end it, nor be anybody else's
            log.exception("A sink has failed, and is tried again name=%s", self._plan.name)
            self._status = replace(self.status, waiting=f"a defect: {type(error).__name__}: {error}")
            self._runner = None
            wait_ms = self._backoff.failed()
        self._stopping.wait(wait_ms / 1_000)
        return False

    def _life(self) -> bool:
        """Open the log and turn until told to stop; whether it is over: not where the log is away."""
        try:
            event_log = self._open_log()
        except Transient as error:
            self._status = replace(self._status, waiting=str(error))
            return False
        try:
            plan = self._plan
            known = Evidence(event_log, plan.technique_of)
            log_name = log_id(event_log)
            items = Items(log_name, plan.selection, known.of, plan.technique_of)
            runner = self._runner = Runner(event_log, plan, items, times=self._times, log=log_name)
            self._standing.set()
            self._turn(runner)
            runner.stop()
        except Transient as error:
            self._status = replace(self.status, waiting=str(error))
            self._runner = None
            return self._stopping.is_set()
        finally:
            self._plan.transport.close()
            event_log.close()
        return True

    def _turn(self, runner: Runner) -> None:
        while not self._stopping.is_set():
            wait_ms = runner.turn()
            if wait_ms and runner.is_busy:
                self._stopping.wait(min(wait_ms, WAIT_MS) / 1_000)
            elif wait_ms:
                runner.follower.wait(min(wait_ms, WAIT_MS))

    def _end(self, why: str) -> None:
        self._status = replace(self.status, ended=why)
        log.error("A sink has ended name=%s reason=%s", self._plan.name, why)
