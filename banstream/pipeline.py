"""The whole pipeline in one process, left to right: producer, decider, enforcer, with the log in between.

One loop turns the three stages. It sleeps until a source, the firewall or the log has something (a command
that somebody else appended), or until the next ban ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import orjson

from banstream.account import Account, RoleStatus
from banstream.config import Settings
from banstream.housekeeping import Housekeeping
from banstream.loop import Listener, Loop, Works
from banstream.reading import HEARTBEAT
from banstream.wiring import Stages
from eventlog.contract import EventLog
from eventlog.follower import Wakeup

IDLE_MS: Final = 1_000


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
        listener: Listener | None = None,
    ) -> None:
        self._log = event_log
        self.stages = stages
        self._now_ms = now_ms
        self._loop = Loop("up", self, reload=reload, now_ms=now_ms, listener=listener)
        self._writer = event_log.writer("up")
        self._wakeup = Wakeup(self._wait)
        self._house = Housekeeping(event_log, now_ms)

    def run(self) -> None:
        """Turn the stages until SIGTERM or SIGINT. Raises LogError when the log is lost for good."""
        self.stages.crew.start()
        self._loop.run()

    def turn(self) -> bool:
        """Let each stage do what it can now; whether there is more to do at once."""
        return self._loop.turn()

    def close(self) -> None:
        """Stop cleanly: what has been read is decided and enforced, the state is written."""
        self._wakeup.close()
        self._loop.close()
        self._writer.close()
        self._log.close()

    @property
    def settings(self) -> Settings:
        """What it goes by now."""
        return self.stages.settings

    def works(self) -> Works:
        """The stages from left to right, time among what is decided, then housekeeping."""
        stages = self.stages
        return {
            "lists": stages.keeper.turn,
            "producer": stages.producer.poll,
            "decider": stages.decider.poll,
            "time": stages.decider.tick,
            "enforcer": stages.enforcer.poll,
            "telling": stages.telling.turn,
            "housekeeping": self._keep_house,
        }

    def endings(self) -> Works:
        """The stages from left to right."""
        stages = self.stages
        return {
            "stopping the producer": stages.producer.close,
            "stopping the decider": stages.decider.close,
            "stopping the enforcer": stages.enforcer.close,
            "telling": stages.telling.close,
            "stopping the sinks": stages.crew.close,
        }

    def filenos(self) -> Iterable[int]:
        """What the sources, the firewall and the log wake it by."""
        return (*self.stages.producer.filenos(), *self.stages.enforcer.filenos(), self._wakeup.fileno)

    def idle_ms(self) -> int:
        """Until the next ban ends, or the next heartbeat; from here on the log may wake it again."""
        self._wakeup.clear()
        expiry_ms = self.stages.decider.next_expiry_ms()
        until_expiry_ms = IDLE_MS if expiry_ms is None else expiry_ms - self._now_ms()
        return min(IDLE_MS, max(until_expiry_ms, 1))

    def renew(self, settings: Settings) -> None:
        """Go on under new settings. Whatever it raises, the old stages go on."""
        self.stages = self.stages.renewed(settings)

    def account(self) -> Account:
        """How its stages are."""
        account = self.stages.account()
        return replace(account, notices={**account.notices, **self._house.notices(), **self._log.notices()})

    def tell(self, status: RoleStatus) -> None:
        """Keep the heartbeat in the log, where `banstream status` reads it."""
        self._writer.commit([], {HEARTBEAT: orjson.dumps(status.to_wire())})

    def reset_breaker(self) -> None:
        """Let new bans through again."""
        self.stages.enforcer.reset_breaker()

    def flush(self) -> None:
        """Take every ban out of the firewall, until `renew`."""
        self.stages.enforcer.flush()

    def _wait(self, timeout_ms: int) -> bool:
        return self._log.wait(self.stages.decider.offsets(), timeout_ms=timeout_ms)

    def _keep_house(self) -> bool:
        return self._house.keep(self.stages.decider, self.stages.settings.max_log_bytes)
