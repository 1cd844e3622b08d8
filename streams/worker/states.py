"""What can happen to one partition of a worker, what it asks for, and the states between: the table.

A partition is opened (its predecessor is fenced), loaded (the state topic says where it stands), and what was
decided after that is folded again. Then it is open: messages are folded as they come, and committed in
transactions one after the other; folding runs ahead of what is committed. Whatever goes wrong in between, the
answer is the same: let go of the producer, open anew, and take state and position from the log.

TABLE is all of it: by state and input, the states that may follow. A pair that is not there cannot happen,
and raises. `streams.worker.core` carries it out; this module holds no behaviour.

| state | the partition |
|---|---|
| PARKED | is not this worker's, or not any more; the state in memory is kept |
| OPENING | its predecessor is being fenced |
| LOADING | its state is being read |
| REFOLDING | what was decided since that state is folded again, from the log, then commands that wait |
| OPEN | is decided: messages are folded, or passed over where there is no room |
| STOPPED | is not what was decided from: nobody goes on before a person has looked |
| AWAY | lost the broker, or could not fold a message: it is opened anew after a little |
| FENCED | was taken over by another owner: most likely it is let go before its time is up |
| PARTING | is another's soon: the commit under way is waited for, no other begins |
| CLOSING | is committed for the last time, with its state |
| CLOSED | is let go for good |

In all but OPEN, messages that come are passed over. What is passed over stands in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from streams.worker import inputs

SESSION_S: Final = 6.0
"""A worker that says nothing for so long is taken for dead, and its partitions are given to others."""
RETRY_S: Final = 1.0
FENCED_S: Final = 2 * SESSION_S
"""Whoever is fenced has most likely lost the partition, and hears of it within one session."""
LEAVE_S: Final = 3.0
"""A commit under way is waited for so long when the partition has to be let go."""
SLOW_S: Final = 2.0
"""A commit without an answer for so long is spoken of."""


class Impossible(RuntimeError):  # noqa: N818 - says what it is
    """An input that cannot happen in a state: whoever fed it has a fault."""


class State(Enum):
    """Where a partition is between nobody's and decided."""

    PARKED = "parked"
    OPENING = "opening"
    LOADING = "loading"
    REFOLDING = "refolding"
    OPEN = "open"
    STOPPED = "stopped"
    AWAY = "away"
    FENCED = "fenced"
    PARTING = "parting"
    CLOSING = "closing"
    CLOSED = "closed"


def _row(state: State, more: Mapping[type, str]) -> Mapping[type, frozenset[State]]:
    """What follows in a state; most inputs change nothing, and any partition can be taken away or closed."""
    usual = dict.fromkeys(
        (inputs.Assigned, inputs.MessageCame, inputs.EndSeen, inputs.TimePassed, inputs.Timer), state.value
    )
    row = {**usual, inputs.Parked: "parked", inputs.Closing: "closed", **more}
    return {given: frozenset(map(State, words.split())) for given, words in row.items()}


_CHANGES: Final[Mapping[State, Mapping[type, str]]] = {
    State.PARKED: {inputs.Assigned: "opening"},
    State.OPENING: {inputs.Opened: "loading", inputs.Failed: "away", inputs.TakenOver: "fenced"},
    State.LOADING: {inputs.StateRead: "loading refolding open stopped", inputs.Failed: "away"},
    State.REFOLDING: {inputs.PageRead: "refolding open stopped away", inputs.Failed: "away"},
    State.OPEN: {
        inputs.MessageCame: "open away",
        inputs.PageRead: "open away",
        inputs.Committed: "open",
        inputs.Failed: "away",
        inputs.TakenOver: "fenced",
        inputs.Parked: "parked parting",
        inputs.Closing: "closed closing",
    },
    State.STOPPED: {},
    State.AWAY: {inputs.Timer: "away opening"},
    State.FENCED: {inputs.Timer: "fenced opening"},
    State.PARTING: {
        inputs.Assigned: "opening",
        inputs.Parked: "parting",
        inputs.PageRead: "parting",
        inputs.Timer: "parting parked",
        inputs.Committed: "parked",
        inputs.Failed: "parked",
        inputs.TakenOver: "parked",
    },
    State.CLOSING: {
        inputs.Closing: "closing",
        inputs.Parked: "closed",
        inputs.PageRead: "closing",
        inputs.Timer: "closing closed",
        inputs.Committed: "closing closed",
        inputs.Failed: "closed",
        inputs.TakenOver: "closed",
    },
    State.CLOSED: {inputs.Parked: "closed"},
}
TABLE: Final = {state: _row(state, changes) for state, changes in _CHANGES.items()}
