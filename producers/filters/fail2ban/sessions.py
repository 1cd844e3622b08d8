"""What the lines of one session say together, by fail2ban's rules.

Lines with the same `<F-MLFID>` are one session: what one captures the later ones have too.

| a line | effect |
|---|---|
| `<F-NOFAIL>` | only supplies what it captures; but a failure when one is pending, or several users were tried |
| a failure, no address known yet | is pending: it counts when a later line tells the address |
| `<F-MLFGAINED>` | a login: as `<F-NOFAIL>`, and what is pending is forgotten |
| `<F-MLFFORGET>` | the session ends with this line |

Sessions are forgotten after 5 minutes; of more than 100 the oldest go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from producers.filters.fail2ban.expressions import Captured
from schemas.errors import InvalidMessage

MOST: Final = 100
LASTS_MS: Final = 300_000


class Session:
    """What is known of a session.

    Attributes:
        fields: what its lines captured, the newest counting.
        users: every user that was tried.
        pending: a failure waits for an address.
        until_ms: when it is forgotten.
    """

    __slots__ = ("fields", "pending", "until_ms", "users")

    def __init__(self, fields: Captured, until_ms: int) -> None:
        self.fields = fields
        self.users: set[str] = set()
        self.pending = False
        self.until_ms = until_ms

    def tried(self, fields: Captured) -> None:
        """Remember the user that a line names."""
        user = fields.get("user")
        if user:
            self.users.add(str(user))


class Sessions:
    """The sessions of one stream that may go on."""

    def __init__(self) -> None:
        self._known: dict[str, Session] = {}

    def merge(self, key: str, fields: Captured, now_ms: int) -> tuple[Session, bool]:
        """Add what a line captured; the session, and whether the line is no failure."""
        gained = fields.pop("mlfgained", None)
        nofail = bool(fields.pop("nofail", None) or gained)
        forget = bool(fields.pop("mlfforget", None))
        session = self._known.get(key)
        if session is not None and session.until_ms <= now_ms:
            del self._known[key]
            session = None
        if session is None:
            session = Session(fields, now_ms + LASTS_MS)
            if not forget:
                session.tried(fields)
                self._remember(key, session, now_ms)
        else:
            session.tried(fields)
            if gained:
                session.pending = False
            session.fields.update(fields)
            if forget:
                del self._known[key]
        if session.pending or len(session.users) > 1:
            session.pending = False
            return session, False
        return session, nofail

    def _remember(self, key: str, session: Session, now_ms: int) -> None:
        known = self._known
        while len(known) >= MOST:
            oldest = known.pop(next(iter(known)))
            if oldest.until_ms > now_ms:
                break
        known[key] = session

    def save(self) -> list[Any]:
        """The sessions, as JSON, oldest first."""
        return [
            [key, each.fields, sorted(each.users), each.pending, each.until_ms]
            for key, each in self._known.items()
        ]

    def load(self, saved: Any) -> None:
        """Go on where `save` was called. Raises InvalidMessage."""
        try:
            known: dict[str, Session] = {}
            for key, fields, users, pending, until_ms in saved:
                known[key] = session = Session(_fields(fields), int(until_ms))
                session.users, session.pending = set(users), bool(pending)
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidMessage(f"no state of sessions: {error!r:.120}", field="sessions") from error
        self._known = known


def _fields(saved: Mapping[str, Any]) -> Captured:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
