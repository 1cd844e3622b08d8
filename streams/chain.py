"""Chains over what a decider decided and obeyed, so that nobody changes it unseen. Pure.

Each partition has two: over the messages of its decisions, in their order, and over those of its commands
(operators' words, rules and who put them in force) as they were obeyed. A head is the SHA-256 of the head
before and the digest of the next message. Every MOST_OPEN messages the decider adds one to the decisions
that vouches for those since the last (`Sealed`): the heads, and a short digest of each, by which one that is
not what it was is named. What is younger stands in the partition's position, written with each commit. A seal
is part of the chain itself: it is the first message that the next one vouches for.

| of a message of the | is digested |
|---|---|
| decisions | key, value; not its offset and instant: the log gives them after it was decided |
| commands | offset, instant, key, value |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from eventlog.contract import Append, Message
from schemas.codec import encode
from schemas.deciding import Sealed
from schemas.topics import DECISIONS

SEALED: Final = b'{"type":"sealed"'
"""How a seal begins."""
MOST_OPEN: Final = 32
SHORT: Final = 16
"""So many hexadecimal digits of a digest name a message."""
NO_HEAD: Final = "0" * 64


def digest_of_decisions(key: str | None, value: bytes) -> str:
    """The digest of a message of the decisions."""
    return sha256(_named("decisions", key) + value).hexdigest()


def digest_of_commands(message: Message) -> str:
    """The digest of a message of the commands."""
    place = b"%d:%d:" % (message.offset, message.at_ms)
    return sha256(_named("commands", message.key) + place + message.value).hexdigest()


@lru_cache(maxsize=1_024)
def _named(topic: str, key: str | None) -> bytes:
    named = b"" if key is None else key.encode("utf-8", "surrogatepass")
    return b"banstream %b %d:%b:" % (topic.encode(), -1 if key is None else len(named), named)


@dataclass(slots=True)
class HashChain:
    """A chain, as far as it goes; `recent`: the short digests of those that no seal vouches for yet."""

    count: int = 0
    head: str = NO_HEAD
    recent: list[str] = field(default_factory=list)

    def add(self, digest: str) -> None:
        """Take in the next message."""
        self.head = head_after(self.head, digest)
        self.count += 1
        self.recent.append(digest[:SHORT])

    def taken(self) -> tuple[str, ...]:
        """Those that no seal vouches for; this one does."""
        recent, self.recent = tuple(self.recent), []
        return recent

    def dump(self) -> list[Any]:
        """What is to be saved of it."""
        return [self.count, self.head, self.recent]

    @classmethod
    def load(cls, dumped: Iterable[Any]) -> HashChain:
        """As it was saved."""
        count, head, recent = dumped
        return cls(count, head, list(recent))


def head_after(head: str, digest: str) -> str:
    """A chain's head after one more message."""
    return sha256(bytes.fromhex(head) + bytes.fromhex(digest)).hexdigest()


@dataclass(slots=True)
class Chains:
    """The chains of one partition."""

    decisions: HashChain = field(default_factory=HashChain)
    commands: HashChain = field(default_factory=HashChain)

    def obeyed(self, message: Message) -> None:
        """A message of the commands was obeyed."""
        self.commands.add(digest_of_commands(message))

    def sealed(self, appends: list[Append], partition: int) -> list[Append]:
        """A commit's messages, with a seal where it is time for one."""
        for append in appends:
            if append.topic == DECISIONS.name:
                self.decisions.add(digest_of_decisions(append.key, append.value))
        if max(len(self.decisions.recent), len(self.commands.recent)) < MOST_OPEN:
            return appends
        seal = Append(DECISIONS.name, encode(self._seal()), partition=partition)
        self.decisions.add(digest_of_decisions(seal.key, seal.value))
        return [*appends, seal]

    def _seal(self) -> Sealed:
        return Sealed(
            first=self.decisions.count - len(self.decisions.recent),
            head=self.decisions.head,
            decisions=self.decisions.taken(),
            commands_first=self.commands.count - len(self.commands.recent),
            commands_head=self.commands.head,
            commands=self.commands.taken(),
        )

    def dump(self) -> dict[str, Any]:
        """What is to be saved of them."""
        return {"decisions": self.decisions.dump(), "commands": self.commands.dump()}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Chains:
        """As they were saved; new ones where there were none."""
        if not dumped:
            return cls()
        return cls(HashChain.load(dumped["decisions"]), HashChain.load(dumped["commands"]))
