"""What the lines of one session say together, by fail2ban's rules.

Lines with the same `<F-MLFID>` are one session: what one captures the later ones have too.

| a line | effect |
|---|---|
| `<F-NOFAIL>` | only supplies what it captures; a failure when one is pending, or several users were tried |
| a failure, no address known yet | is pending: it counts when a later line tells the address |
| `<F-MLFGAINED>` | a login: what is pending is forgotten; a failure when several users were tried |
| `<F-MLFFORGET>` | the session ends with this line |

Sessions are forgotten after 5 minutes; of more than 100 the oldest go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from producers.filters.fail2ban.expressions import Captured
from producers.filters.memory import Memory

FAILURE: Final = "failed"
LOGIN: Final = "succeeded"
NEITHER: Final = ""
MOST: Final = 100
LASTS_MS: Final = 300_000


class Session:
    """What is known of a session.

    Attributes:
        fields: what its lines captured, the newest counting.
        user: the first user that was tried; empty: none yet.
        several: whether others were, too.
        pending: a failure waits for an address.
        until_ms: when it is forgotten.
    """

    __slots__ = ("fields", "pending", "several", "until_ms", "user")

    def __init__(self, fields: Captured, until_ms: int) -> None:
        self.fields = fields
        self.user: object = ""
        self.several = False
        self.pending = False
        self.until_ms = until_ms


class Sessions:
    """The sessions of one stream that may go on."""

    def __init__(self) -> None:
        self._known: Memory[str, Session] = Memory(MOST)

    def merge(self, key: str, fields: Captured, now_ms: int) -> tuple[Session, str]:
        """Add what a line captured; the session, and what the line is: FAILURE, LOGIN or NEITHER."""
        gained = bool("mlfgained" in fields and fields.pop("mlfgained"))
        nofail = bool("nofail" in fields and fields.pop("nofail"))
        meant = LOGIN if gained else NEITHER if nofail else FAILURE
        forget = bool("mlfforget" in fields and fields.pop("mlfforget"))
        session = self._known.get(key)
        if session is None or session.until_ms <= now_ms:
            return self._begun(key, fields, now_ms, forget=forget), meant
        user = fields.get("user")
        if user:
            session.several = session.several or bool(session.user and session.user != user)
            session.user = session.user or user
        session.fields.update(fields)
        if forget:
            del self._known[key]
        if (session.pending and not gained) or session.several:
            meant = FAILURE
        session.pending = False
        return session, meant

    def _begun(self, key: str, fields: Captured, now_ms: int, *, forget: bool) -> Session:
        session = Session(fields, now_ms + LASTS_MS)
        self._known.pop(key, None)
        if not forget:
            session.user = fields.get("user")
            self._known.keep(key, session)
        return session

    def save(self) -> list[Any]:
        """The sessions, as JSON, oldest first."""
        return self._known.save(_plain)

    def load(self, saved: Any) -> None:
        """Go on where `save` was called. Raises InvalidMessage."""
        self._known.load(saved, _parsed, "sessions")


def _plain(key: str, session: Session) -> list[Any]:
    return [key, session.fields, session.user, session.several, session.pending, session.until_ms]


def _parsed(saved: Any) -> tuple[str, Session]:
    key, fields, user, several, pending, until_ms = saved
    session = Session(_fields(fields), int(until_ms))
    session.user = tuple(user) if isinstance(user, list) else user
    session.several, session.pending = bool(several), bool(pending)
    return key, session


def _fields(saved: Mapping[str, Any]) -> Captured:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
