"""What became of a batch: how many went, what is to be sent again, and letters for what never will."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from eventlog.contract import Append
from schemas.bounds import STATEMENT_CHARACTERS
from schemas.codec import encode
from schemas.records import DeadLetter
from schemas.topics import DEADLETTERS
from sinks.contract import Item, Reception, Sending, SinkAnswer
from sinks.selection import TOPICS

SAID_CHARACTERS: Final = 1_000


class Settled(NamedTuple):
    """What became of a batch.

    Attributes:
        done: ids that are not to be sent again.
        taken: how many of those the receiver has taken; the others are in `letters`.
        again: what is to be sent again, in order; `why` and `after_ms`: as the first of them was told.
    """

    done: list[str]
    taken: int
    again: list[Sending]
    letters: list[Append]
    why: str = ""
    after_ms: int = 0


def settle(name: str, batch: Sequence[Sending], answers: Sequence[SinkAnswer], now_ms: int) -> Settled:
    """What answers make of a batch, as far as they go: its other items have not been sent yet."""
    done, again, letters = list[str](), list[Sending](), list[Append]()
    why, after_ms, taken = "", 0, 0
    for sending, answer in zip(batch, answers, strict=False):
        match answer.reception:
            case Reception.TAKEN:
                done.append(sending.item.id)
                taken += 1
            case Reception.AGAIN:
                again.append(sending)
                why, after_ms = why or answer.said, max(after_ms, answer.after_ms)
            case Reception.HOPELESS:
                done.append(sending.item.id)
                letters.append(letter(name, sending.item, answer.said, now_ms))
    return Settled(done, taken, again, letters, why, after_ms)


def letter(name: str, item: Item, said: str, now_ms: int) -> Append:
    """An item's dead letter: where it stands, and what its receiver said."""
    partition, offset, index = map(int, item.ref.split("-"))
    record = DeadLetter(
        topic=TOPICS[item.what].name,
        partition=partition,
        offset=offset,
        index=index,
        reason=f"sink {name} was told: {said[:SAID_CHARACTERS]}",
        at_ms=now_ms,
        line=item.raw.decode("utf-8", "replace")[:STATEMENT_CHARACTERS],
    )
    return Append(DEADLETTERS.name, encode(record))
