"""A message that folding failed at by a fault of this program: it is passed over, and nobody stops for it.

What half of a fold has done to the state nobody knows. So the state is taken from the log again, with the
message among those that are passed over; it goes to the dead letters whole, with where the fault is. Position
and checkpoint keep what is passed over until a checkpoint stands behind it, so that a restart passes over the
same.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping

from schemas.bounds import STATEMENT_CHARACTERS
from schemas.errors import BanstreamError

FRAMES = 3
"""The innermost calls of a fault, which are told."""


class Unfoldable(BanstreamError):  # noqa: N818 - says what the message is
    """Folding a message failed; the state must not be gone on with.

    Attributes:
        topic, offset: where it stands.
        reason: what failed, and where.
    """

    def __init__(self, topic: str, partition: int, offset: int, error: Exception) -> None:
        self.topic = topic
        self.offset = offset
        calls = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        where = " < ".join(f"{call.name}:{call.lineno}" for call in reversed(calls))
        what = "".join(traceback.format_exception_only(error)).strip()
        self.reason = f"a fault of banstream: {what} in {where}"[:STATEMENT_CHARACTERS]
        super().__init__(f"{topic}, partition {partition}, offset {offset}: {self.reason}")


class PassedOver:
    """The messages of one partition that are passed over, and why."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, int], str] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._reasons)

    def add(self, topic: str, offset: int, reason: str) -> None:
        """Pass over one more."""
        self._reasons[topic, offset] = reason

    def reason(self, topic: str, offset: int) -> str | None:
        """Why a message is passed over; None where it is not."""
        return self._reasons.get((topic, offset))

    def forget(self, next_offsets: Mapping[str, int]) -> None:
        """A checkpoint stands there: what is behind it is not met again."""
        self._reasons = {
            (topic, offset): reason
            for (topic, offset), reason in self._reasons.items()
            if offset >= next_offsets[topic]
        }

    def dump(self) -> list[list[str | int]]:
        """What `load` takes."""
        return [[topic, offset, reason] for (topic, offset), reason in self._reasons.items()]

    def load(self, dumped: Iterable[tuple[str, int, str]]) -> None:
        """Take over what was kept."""
        for topic, offset, reason in dumped:
            self.add(topic, offset, reason)
