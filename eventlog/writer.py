"""A stage's way to write, the same for every log: what differs is the commit it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from eventlog.contract import Append
from schemas.errors import LogError

CommitCall = Callable[[Sequence[Append], Mapping[str, bytes]], list[int]]


class LogWriter:
    """A writer of one name, over a log's commit for the epoch at which it was made."""

    def __init__(self, name: str, commit: CommitCall) -> None:
        self._name = name
        self._commit: CommitCall | None = commit

    def commit(self, appends: Sequence[Append], positions: Mapping[str, bytes]) -> list[int]:
        """Append messages and set readers' positions, all or nothing; raises as the contract says."""
        if self._commit is None:
            raise LogError(f"writer {self._name!r} is closed")
        return self._commit(appends, positions)

    def close(self) -> None:
        """Let go. Idempotent."""
        self._commit = None


def fenced(name: str) -> str:
    """What a fenced writer of this name is told."""
    return f"a newer writer {name!r} has taken over; this one stops and writes nothing more"
