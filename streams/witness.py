"""What the fold notices about those who send, for a person to hear. It decides nothing and is no state.

| it notices | because |
|---|---|
| a host's clock is wrong | the log stamped a message long before or after the host says it sent it |
| two shippers under one name | two incarnations of a host's source take turns, again and again |
| the log's clock stepped back | a message is stamped more than five minutes before what was folded |
| events sent again | their positions are not past what was folded of their source |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from streams.floods import Author
from streams.inputs import Mark, Sender

TURNS: Final = 4
"""A file that was rotated away may get some last lines while the new one has its first: not so many."""
MOST_KNOWN: Final = 10_000


@dataclass(slots=True)
class _Turns:
    """The two incarnations of a source that came last, and how often they took turns."""

    last: str
    before: str = ""
    turns: int = 0


@dataclass(slots=True)
class Witness:
    """What was noticed; whoever tells it takes it out.

    Attributes:
        wrong_clocks: by host, how many milliseconds its clock is behind the log's.
        twins: host and source under which two shippers send.
        sent_again: how many events were passed over, by source and incarnation.
        refused: how many messages did not count because of who signed them, by reason.
        put_aside: how many messages of a sender count for nothing, since most of his cannot be read.
        stepped_back: how often the log's clock stepped back.
    """

    wrong_clocks: dict[str, int] = field(default_factory=dict)
    twins: set[tuple[str, str]] = field(default_factory=set)
    sent_again: Counter[Sender] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    put_aside: Counter[Author] = field(default_factory=Counter)
    stepped_back: int = 0
    _turns: dict[tuple[str, str], _Turns] = field(default_factory=dict)

    def see(self, marks: Iterable[Mark], sent_again: Counter[Sender]) -> None:
        """Take in the marks of a frame, and what it held a second time."""
        if len(self._turns) + len(self.sent_again) + len(self.wrong_clocks) > MOST_KNOWN:
            self._turns.clear()
            self.sent_again.clear()
            self.wrong_clocks.clear()
        self.sent_again += sent_again
        for source, incarnation in dict.fromkeys(mark[:2] for mark in marks):
            host, slash, _ = incarnation.rpartition("/")
            if slash:
                self._take_turns((host, source), incarnation)

    def _take_turns(self, name: tuple[str, str], incarnation: str) -> None:
        known = self._turns.setdefault(name, _Turns(incarnation))
        if incarnation == known.last:
            return
        known.turns = known.turns + 1 if incarnation == known.before else 0
        known.last, known.before = incarnation, known.last
        if known.turns == TURNS:
            self.twins.add(name)
