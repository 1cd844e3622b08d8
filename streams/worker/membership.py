"""What a host of the decider gives: which partitions are this worker's, and their messages.

| host | membership | messages | what does not fit |
|---|---|---|---|
| `faust` | Faust's app, agent and assignor | as its one queue brings them | is passed over, and read again |
| `aiokafka` | a consumer with the range assignor | by partition, from where each wants | is held back |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from eventlog.contract import Message
from schemas.topics import EVENTS, SUBJECTS, VERDICTS

MembershipName = Literal["faust", "aiokafka"]
DELIVERED: Final = (EVENTS.name,)
"""What the group shares out and delivers. Whoever owns a number reads its other inputs himself, so that they
do not wait behind events (docs/decisions/009)."""
TOLD: Final = (VERDICTS.name, SUBJECTS.name)
"""What partitions tell each other."""


class Receiver(Protocol):
    """What a host tells: a worker. Partitions are told by their numbers; one has all of its inputs."""

    def take(self, topic: str, message: Message) -> None:
        """A message came. Never waits."""

    async def breathe(self) -> None:
        """Called after each message: lets everything else have its turn where it is due."""

    async def revoked(self, numbers: set[int]) -> None:
        """These are another's when this returns."""

    async def assigned(self, numbers: set[int]) -> None:
        """These, and no others, are this worker's now."""


class Host(Protocol):
    """A worker's membership in the group. Make a new one for another life.

    Attributes:
        exact: every message is delivered from where `go_on` told it to.
    """

    exact: bool

    async def start(self) -> None:
        """Join. Raises KafkaError or OSError."""

    async def ended(self) -> str:
        """Wait until it ends by itself; why."""
        ...

    def go_on(self, number: int, offsets: Mapping[str, int]) -> None:
        """Deliver a partition's messages, of each topic from an offset on."""

    def hold(self, number: int) -> None:
        """Deliver none of a partition's before the next `go_on` or `release`, but what is in hand."""

    def release(self, number: int) -> None:
        """Go on delivering a partition's messages from where it was held."""

    async def hint(self, offsets: Mapping[int, int]) -> None:
        """Let the group know up to where events are decided: who takes over may begin to read there."""

    async def stop(self) -> None:
        """Leave."""
