"""What a partition of a worker says in the log of its process: constant sentences, and facts."""

from __future__ import annotations

from schemas.errors import BanstreamError
from streams.partition import UNRULED, Partition
from streams.worker.actions import ERROR, INFO, WARNING, Say


def deciding(partition: Partition, seconds: float) -> Say:
    """It is open, after so long."""
    facts = {
        "partition": partition.number,
        "next_offset": partition.next_offset,
        "rules": _version(partition),
        "seconds": round(seconds, 2),
    }
    return Say(INFO, "Deciding", facts)


def ruled(partition: Partition) -> Say:
    """Other rules hold from here on."""
    facts = {"partition": partition.number, "rules": _version(partition)}
    return Say(INFO, "Rules in force from here on", facts)


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


def _version(partition: Partition) -> str:
    return "none yet" if partition.decider.version == UNRULED.version else partition.decider.version
