"""An intake as a source: each sender's lines are of an origin of its own, and of its hosts alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from producers.contract import Chunk
from producers.intakes.hub import Hub, hub_of, let_go, tokens_of
from producers.intakes.settings import Intake
from producers.intakes.tls import context_of
from schemas.errors import ConfigError

REFUSED: Final = "{}: events of a host that this sender may not speak for, refused"


class IntakeSource:
    """Reads a hub. After a reload it goes on with what the source before it has not stored."""

    def __init__(self, intake: Intake, resume: Mapping[str, Any] | None, now_ms: Callable[[], int]) -> None:
        """Listen, or go on with who does. Raises ConfigError."""
        self.id = intake.listen
        self._intake = intake
        self._senders = {intake.origin(each): each for each in intake.senders}
        try:
            context_of(intake)
            tokens_of(intake)
            self._hub: Hub | None = hub_of(intake, now_ms)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"[intake.{intake.name}] over HTTP needs an extra: pip install 'banstream[http]'"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"[intake.{intake.name}] cannot listen on {intake.listen}: {error.strerror or error}"
            ) from error
        handed = self._hub.handed
        stood = (resume or {}).get("position") if self._is_of(resume) else None
        self._again = handed if handed and isinstance(stood, int) and stood <= handed.start else None

    def _is_of(self, resume: Mapping[str, Any] | None) -> bool:
        return resume is not None and resume.get("incarnation") == self._open.incarnation

    @property
    def _open(self) -> Hub:
        if self._hub is None:
            raise ValueError("closed")
        return self._hub

    def filenos(self) -> list[int]:
        """Readable when somebody has something to say."""
        return [] if self._hub is None else [self._hub.fileno()]

    def read(self, max_bytes: int) -> Chunk | None:
        """The next lines of one sender."""
        if self._again is not None:
            again, self._again = self._again, None
            return again
        return self._open.read(self._intake, max_bytes)

    def again(self, incarnation: str, start: int, length: int) -> bytes:
        """Nothing: what has been read is gone."""
        del incarnation, start, length
        return b""

    def position(self) -> Mapping[str, Any]:
        """How much has been handed out since it began to listen."""
        return self._open.position()

    def notices(self) -> Mapping[str, int]:
        """What was not taken."""
        return +self._open.notices.counts if self._hub else {}

    def speaks_for(self, origin: str, host: str | None) -> bool:
        """Whether an event of this origin may be of a host; it is counted where not."""
        sender = self._senders.get(origin)
        if sender is not None and sender.speaks_for(host):
            return True
        self._open.notices.counts[REFUSED.format(origin)] += 1
        return False

    @property
    def asked(self) -> bool:
        """Whether somebody waits to hear that what was read is stored."""
        return self._hub is not None and self._hub.asked

    def settled(self, position: Mapping[str, Any]) -> None:
        """What was read up to a position is stored."""
        self._open.settled(position)

    def close(self) -> None:
        """Let go. Idempotent."""
        if self._hub is not None:
            hub, self._hub = self._hub, None
            let_go(hub)
