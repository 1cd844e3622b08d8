"""How a worker is: one record, kept as things happen and never recounted."""

from __future__ import annotations

from dataclasses import dataclass

from streams.worker.membership import MembershipName


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """How one partition of a worker is.

    Attributes:
        number: which.
        state: of streams.worker.states, in lower case; `open` is as it should be.
        next_offset: the first offset of the events that is not folded.
        end: the end of the committed events when it was last asked; None before.
        events, decisions, refused: folded, made, and sent to the dead letters by this worker; what was not
            committed before a failure counts twice.
        put_aside: messages that count for nothing because most of their sender's cannot be read; `aside`: of
            how many senders that holds.
        commits: its transactions; `committed_at_ms`: when the last one was done, None before the first.
    """

    number: int
    state: str
    next_offset: int
    end: int | None
    events: int
    decisions: int
    refused: int
    put_aside: int
    aside: int
    commits: int
    committed_at_ms: int | None

    @property
    def lag(self) -> int | None:
        """Offsets not folded when the end was last asked; the end of a transaction is one, too."""
        return None if self.end is None else max(0, self.end - self.next_offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """How a worker is.

    Attributes:
        membership: its host.
        away: whether the broker did not answer when it was last asked.
        up_ms: how long it has been running.
        partitions: those it owns, by number.
    """

    membership: MembershipName
    away: bool
    up_ms: int
    partitions: tuple[PartitionStatus, ...]
