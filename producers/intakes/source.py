"""An intake as a source: each sender's lines are of an origin of its own, and of its hosts alone."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from producers.contract import Chunk
from producers.intakes.hub import Hub, hub_of, let_go, tokens_of
from producers.intakes.settings import Intake
from producers.intakes.tls import context_of

DEAF: Final = "[intake.{}] cannot listen on {}, and tries again: {}"
RETRY_MS: Final = 2_000
REFUSED: Final = "{}: events of a host that this sender may not speak for, refused"


class IntakeSource:
    """Reads a hub. After a reload it goes on with what the source before it has not stored."""

    def __init__(self, intake: Intake, resume: Mapping[str, Any] | None, now_ms: Callable[[], int]) -> None:
        """Listen, or go on with who does; where that cannot be now, it is tried again: others go on."""
        self.id = intake.listen
        self._intake = intake
        self._now_ms = now_ms
        self._senders = {intake.origin(each): each for each in intake.senders}
        self._hub: Hub | None = None
        self._files: tuple[ssl.SSLContext | None, dict[str, bytes]] | None = None
        self._again: Chunk | None = None
        self._closed = False
        self._trouble = ""
        self._retry_at_ms = 0
        self._resume = resume or {}
        self._begin()

    def _begin(self) -> None:
        """Listen, or say why not."""
        self._retry_at_ms = self._now_ms() + RETRY_MS
        try:
            self._files = context_of(self._intake), tokens_of(self._intake)
            self._hub = hub_of(self._intake, self._now_ms)
        except ModuleNotFoundError:
            self._trouble = "over HTTP it needs an extra: pip install 'banstream[http]'"
            return
        except OSError as error:
            self._trouble = str(error.strerror or error)
            return
        self._trouble = ""
        handed, stood = self._hub.handed, self._resume.get("position")
        own = self._resume.get("incarnation") == self._hub.incarnation
        if own and handed is not None and isinstance(stood, int) and stood <= handed.start:
            self._again = handed

    def filenos(self) -> list[int]:
        """Readable when somebody has something to say."""
        return [] if self._hub is None else [self._hub.fileno()]

    def read(self, max_bytes: int) -> Chunk | None:
        """The next lines of one sender."""
        if self._hub is None and not self._closed and self._now_ms() >= self._retry_at_ms:
            self._begin()
        if self._again is not None:
            again, self._again = self._again, None
            return again
        if self._hub is None:
            return None
        if self._files is not None:
            self._hub.renew(self._intake, *self._files)
            self._files = None
        return self._hub.read(max_bytes)

    def again(self, incarnation: str, start: int, length: int) -> bytes:
        """Nothing: what has been read is gone."""
        del incarnation, start, length
        return b""

    def position(self) -> Mapping[str, Any]:
        """How much has been handed out since it began to listen."""
        return self._resume if self._hub is None else self._hub.position()

    def notices(self) -> Mapping[str, int]:
        """What was not taken."""
        found = +self._hub.notices.counts if self._hub else Counter[str]()
        if self._trouble:
            found[DEAF.format(self._intake.name, self.id, self._trouble)] = 1
        return found

    def speaks_for(self, origin: str, host: str | None) -> bool:
        """Whether an event of this origin may be of a host; it is counted where not."""
        sender = self._senders.get(origin)
        if sender is not None and sender.speaks_for(host):
            return True
        if self._hub is not None:
            self._hub.notices.counts[REFUSED.format(origin)] += 1
        return False

    @property
    def asked(self) -> bool:
        """Whether somebody waits to hear that what was read is stored."""
        return self._hub is not None and self._hub.asked

    def settled(self, position: Mapping[str, Any]) -> None:
        """What was read up to a position is stored."""
        if self._hub is not None:
            self._hub.settled(position)

    def close(self) -> None:
        """Let go. Idempotent."""
        self._closed = True
        if self._hub is not None:
            hub, self._hub = self._hub, None
            let_go(hub)
