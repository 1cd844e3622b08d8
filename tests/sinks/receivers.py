"""Receivers for tests: a transport that keeps what it is given, and can be told how to answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from schemas.errors import Transient
from sinks.contract import TAKEN, Sending, SinkAnswer

Reply = Callable[[Sequence[Sending]], Sequence[SinkAnswer]]


class Keeping:
    """Takes everything, unless a reply is waiting for its next batch.

    Attributes:
        taken: the bodies that it has taken, in order; `ids`: their items'.
        replies: how it answers the next batches; None: it cannot be reached.
    """

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.ids: list[str] = []
        self.keys: list[str] = []
        self.batches: list[int] = []
        self.replies: deque[Reply | None] = deque()
        self.closed = 0

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """SinkAnswer as told."""
        self.batches.append(len(batch))
        answers: Sequence[SinkAnswer] = [TAKEN] * len(batch)
        if self.replies:
            reply = self.replies.popleft()
            if reply is None:
                raise Transient("connection refused")
            answers = reply(batch)
        for sending, answer in zip(batch, answers, strict=False):
            if answer is TAKEN:
                self.taken.append(sending.body)
                self.ids.append(sending.item.id)
                self.keys.append(sending.item.key)
        return answers

    def close(self) -> None:
        """Count it."""
        self.closed += 1
