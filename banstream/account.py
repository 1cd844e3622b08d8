"""How a role is: one typed record, made of what its stages count as things happen.

From it come `status`, the heartbeat where others read it, and the metrics. Nothing is counted anew for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from banstream.overview import VERSION

if TYPE_CHECKING:
    from banstream.waiting import WaitingStatus
    from enforcers.status import EnforcerStatus
    from producers.status import ProducerStatus, UplinkStatus
    from sinks.status import SinkStatus
    from streams.status import DeciderStatus
    from streams.worker.status import WorkerStatus


NOTHING: Final[Mapping[str, str]] = {}


@dataclass(slots=True)
class Life:
    """A role's life in this process: since when, by which clock, its last reload, whether it ended."""

    role: str
    now_ms: Callable[[], int]
    started_at_ms: int = field(init=False)
    stopped: bool = False
    reload: Reload | None = None

    def __post_init__(self) -> None:
        """It begins now."""
        self.started_at_ms = self.now_ms()

    def reloaded(
        self,
        *,
        problems: tuple[str, ...] = (),
        changes: tuple[str, ...] = (),
        waiting: tuple[str, ...] = (),
    ) -> None:
        """The configuration was read again; `problems`: and refused; `waiting`: what jails wait for."""
        count = 1 if self.reload is None else self.reload.count + 1
        self.reload = Reload(
            count=count, at_ms=self.now_ms(), problems=problems, changes=changes, waiting=waiting
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a role has to say of its stages; None where it has no such stage.

    Attributes:
        rules: the version of the rules in this host's configuration.
        files: the configuration's files.
        notices: what went wrong and was survived: a sentence, and how often.
        waiting_jails: jails with which something is wrong, and what that means.
    """

    rules: str | None = None
    files: tuple[str, ...] = ()
    notices: Mapping[str, int] = field(default_factory=dict)
    waiting_jails: tuple[WaitingStatus, ...] = ()
    producer: ProducerStatus | None = None
    uplink: UplinkStatus | None = None
    decider: DeciderStatus | None = None
    enforcer: EnforcerStatus | None = None
    worker: WorkerStatus | None = None
    sinks: tuple[SinkStatus, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """What came of the last reload of the configuration.

    Attributes:
        count: how many there were since the start, with this one.
        at_ms: when it was.
        problems: why it was refused, and the old configuration goes on; none where it was taken.
        changes: what it changed, a sentence each.
        waiting: the jails that wait since, a sentence each.
    """

    count: int
    at_ms: int
    problems: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStatus:
    """How a role is.

    Attributes:
        role: `up`, `ship`, `decide`, `enforce`, `sink`.
        version: of banstream.
        pid: of its process.
        started_at_ms, at_ms: since when it runs, and when it said so.
        stopped: it ended cleanly, and this is its last word.
        waiting: the stages that met a passing error and try again, and what they met.
        reload: what came of the last reload; None before the first.
    """

    role: str
    version: str
    pid: int
    started_at_ms: int
    at_ms: int
    stopped: bool
    waiting: Mapping[str, str]
    account: Account
    reload: Reload | None = None

    @classmethod
    def now(cls, life: Life, account: Account, waiting: Mapping[str, str] = NOTHING) -> RoleStatus:
        """How a role is at this moment."""
        return cls(
            role=life.role,
            version=VERSION,
            pid=os.getpid(),
            started_at_ms=life.started_at_ms,
            at_ms=life.now_ms(),
            stopped=life.stopped,
            waiting=waiting,
            account=account,
            reload=life.reload,
        )

    def to_wire(self) -> dict[str, Any]:
        """As a flat JSON object; stages that the role has not are left out."""
        wire = asdict(self)
        account = wire.pop("account")
        return {**wire, **{name: value for name, value in account.items() if value is not None}}
