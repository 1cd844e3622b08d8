"""What a partition of a worker says in the log of its process: constant sentences, and facts."""

from __future__ import annotations

from schemas.errors import BanstreamError
from streams.partition import Partition
from streams.worker.actions import ERROR, INFO, WARNING, Say


def deciding(partition: Partition, seconds: float) -> Say:
    """It is open, after so long."""
    facts = {
        "partition": partition.number,
        "next_offset": partition.next_offset,
        "rules": partition.decider.version,
        "seconds": round(seconds, 2),
    }
    return Say(INFO, "Deciding", facts)


def waiting(number: int, reason: str) -> Say:
    """The broker does not answer."""
    return Say(
        WARNING,
        "Waiting for the broker; deciding goes on by itself when it is back",
        {"partition": number, "reason": reason},
    )


def taken_over(number: int) -> Say:
    """Another worker has it."""
    return Say(WARNING, "Partition taken over by another worker", {"partition": number})


def passed_over(error: BanstreamError) -> Say:
    """Folding a message failed by a fault of this program."""
    return Say(ERROR, "A message cannot be folded, and is passed over", {"reason": error})


def alarm(error: BanstreamError) -> Say:
    """Nobody goes on before a person has looked."""
    return Say(ERROR, str(error))
