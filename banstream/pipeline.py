"""The whole pipeline in one process, left to right: producer, decider, enforcer, with the log in between.

One loop turns the three stages. It sleeps until a source or the firewall has something, until the next ban
ends, or for COMMANDS_MS, after which it looks for commands that others have appended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from banstream.config import Settings
from banstream.loop import Loop, Works
from banstream.reading import HEARTBEAT, HEARTBEAT_MS
from banstream.wiring import Stages
from eventlog.contract import EventLog

COMMANDS_MS: Final = 200
RETAIN_MS: Final = 600_000


class Pipeline:
    """The stages on one log, turned until told to stop.

    Attributes:
        reload: called on SIGHUP; returns the new settings or raises ConfigError.
    """

    def __init__(
        self,
        event_log: EventLog,
        stages: Stages,
        *,
        reload: Callable[[], Settings],
        now_ms: Callable[[], int],
    ) -> None:
        self._log = event_log
        self.stages = stages
        self._now_ms = now_ms
        self._loop = Loop("up", self, reload=reload, now_ms=now_ms)
        self._writer = event_log.writer("up")
        self._heartbeat_at_ms = 0
        self._retain_at_ms = now_ms() + RETAIN_MS
        self._started_at_ms = now_ms()

    def run(self) -> None:
        """Turn the stages until SIGTERM or SIGINT. Raises LogError when the log is lost for good."""
        self._loop.run()

    def turn(self) -> bool:
        """Let each stage do what it can now; whether there is more to do at once."""
        return self._loop.turn()

    def close(self) -> None:
        """Stop cleanly: what has been read is decided and enforced, the state is written."""
        self._loop.close()
        self._writer.close()
        self._log.close()

    def works(self) -> Works:
        """The stages from left to right, then time and housekeeping."""
        stages = self.stages
        return {
            "producer": stages.producer.poll,
            "decider": stages.decider.poll,
            "enforcer": stages.enforcer.poll,
            "time": stages.decider.tick,
            "housekeeping": self._keep_house,
        }

    def endings(self) -> Works:
        """The stages from left to right, and a last word."""
        stages = self.stages
        return {
            "stopping the producer": stages.producer.close,
            "stopping the decider": stages.decider.close,
            "stopping the enforcer": stages.enforcer.close,
            "heartbeat": lambda: self._beat(stopped=True),
        }

    def filenos(self) -> Iterable[int]:
        """What the sources and the firewall wake it by."""
        return (*self.stages.producer.filenos(), *self.stages.enforcer.filenos())

    def idle_ms(self) -> int:
        """Until the next ban ends, or the next look for commands."""
        expiry_ms = self.stages.decider.next_expiry_ms()
        until_expiry_ms = COMMANDS_MS if expiry_ms is None else expiry_ms - self._now_ms()
        return min(COMMANDS_MS, max(until_expiry_ms, 1))

    def renew(self, settings: Settings) -> None:
        """Go on under new settings. Raises ConfigError and Transient."""
        self.stages = self.stages.renewed(settings)

    def _keep_house(self) -> None:
        now_ms = self._now_ms()
        if now_ms >= self._heartbeat_at_ms:
            self._beat(stopped=False)
            self._heartbeat_at_ms = now_ms + HEARTBEAT_MS
        if now_ms >= self._retain_at_ms:
            self._log.retain(now_ms)
            self._retain_at_ms = now_ms + RETAIN_MS

    def _beat(self, *, stopped: bool) -> None:
        facts: dict[str, Any] = {
            "pid": os.getpid(),
            "started_at_ms": self._started_at_ms,
            "at_ms": self._now_ms(),
            "stopped": stopped,
            "waiting": self._loop.waiting(),
            **self.stages.status(),
        }
        self._writer.commit([], {HEARTBEAT: orjson.dumps(facts, default=str)})
