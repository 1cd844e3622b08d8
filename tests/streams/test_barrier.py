"""A message at which folding fails by a fault of this program stops nobody: live, restarted, in a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from banstream.reading import records
from eventlog.contract import Append, Message
from schemas.codec import encode, encode_frame
from schemas.records import DeadLetter, Decision
from schemas.topics import COMMANDS, DEADLETTERS, DECISIONS, EVENTS
from streams.fold import Fold
from streams.inputs import Frame
from streams.worker import actions, inputs
from streams.worker.states import State
from tests.streams.driven import appended, came, driven, failing, forgiving, of, page, state_read
from tests.streams.folding import ALICE, BOB, T0, failure
from tests.streams.test_order import Machine

BOMB = b"a fault at this"


@pytest.fixture(autouse=True)
def fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold that fails at some messages, after it has done half of its work."""
    for name in ("take", "obey"):
        whole: Callable[..., tuple[list[Decision], Frame]] = getattr(Fold, name)

        def half(
            self: Fold, *given: Any, whole: Callable[..., tuple[list[Decision], Frame]] = whole
        ) -> tuple[list[Decision], Frame]:
            done = whole(self, *given)
            if BOMB in given[-1].value:
                raise KeyError("a fault")
            return done

        monkeypatch.setattr(Fold, name, half)


def bomb(position: int) -> bytes:
    """A failure of ALICE in a message at which folding fails."""
    return encode_frame([failure(ALICE, T0, position), failure(BOB, T0, position, line=BOMB.decode())])


@pytest.mark.parametrize("checkpoint", [True, False])
def test_it_is_passed_over_and_nothing_of_it_counts(*, checkpoint: bool) -> None:
    """It is one dead letter with where the fault is, and what comes before and after it counts once."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    machine.happen("fail", BOB, 0)
    if checkpoint:
        machine.decider.catch_up()
        machine.decider.checkpoint()
    machine.log.append([Append(EVENTS.name, bomb(100))])
    machine.log.append([Append(COMMANDS.name, BOMB)])
    machine.decider.catch_up()
    machine.log.append([Append(EVENTS.name, encode(failure(ALICE, T0, 200, source="file:/other")))])
    machine.happen("crash", ALICE, 40 if checkpoint else 0)
    machine.decider.catch_up()
    assert machine.decisions() == []
    machine.happen("fail", BOB, 0)
    machine.decider.catch_up()
    machine.happen("crash", ALICE, 0)
    machine.decider.catch_up()
    assert [each.prefix for each in machine.decisions()] == [BOB]
    letters = [each.record for each in records(machine.log, DEADLETTERS.name)]
    assert {(each.topic, each.offset) for each in letters if isinstance(each, DeadLetter)} == {
        (EVENTS.name, 1),
        (COMMANDS.name, 1),
    }
    assert len(letters) == 2
    assert all(
        "a fault of banstream: KeyError" in each.reason for each in letters if isinstance(each, DeadLetter)
    )


def test_a_worker_takes_its_state_from_the_log_and_passes_it_over() -> None:
    """It ends for nobody: the partition is opened anew, and goes on behind the message."""
    made = driven("open")
    made.feed(came(failing(1, BOB, 1)))
    asked = made.feed(came(Message(0, 2, None, bomb(300), T0)))
    assert made.at(State.AWAY)
    assert "cannot be folded" in of(actions.Say, asked)[0].sentence
    made.later(1)
    made.feed(inputs.Opened(), state_read(made.state))
    made.answered(made.log)
    made.committed()  # a checkpoint at once: what is behind it is not met again
    made.feed(came(failing(3, BOB, 2)))
    made.answered(made.log)
    made.committed()
    assert len(appended(made.done, DEADLETTERS.name)) == 1
    decided = b"".join(append.value for append in appended(made.done, DECISIONS.name))
    assert decided.count(b'"type":"ban"') == 1


def test_a_command_at_which_it_fails_is_passed_over_too() -> None:
    """Operators' words stop no worker either."""
    made = driven("open")
    made.feed(inputs.MessageCame(COMMANDS.name, Message(0, 1, None, BOMB, T0)))
    assert made.at(State.AWAY)
    made.later(1)
    made.feed(inputs.Opened(), state_read(made.state))
    made.answered(made.log)
    made.feed(inputs.MessageCame(COMMANDS.name, Message(0, 1, None, BOMB, T0)))
    made.feed(inputs.MessageCame(COMMANDS.name, forgiving(2, ALICE)))
    assert made.at(State.OPEN)
    assert made.core.partition.next_offsets[COMMANDS.name] == 3
    made.committed()
    assert len(appended(made.done, DEADLETTERS.name)) == 1


def transitions() -> set[tuple[State, type, State]]:
    """The states that follow where folding fails."""
    found = set()
    bombed = Message(0, 1, None, bomb(300), T0)
    for given in (came(bombed), page([bombed], 2, 2)):
        made = driven("open")
        made.feed(given)
        found.add((State.OPEN, type(given), made.core.state))
    made = driven("refolding")
    made.feed(page([bombed], 2, 5))
    found.add((State.REFOLDING, inputs.PageRead, made.core.state))
    return found


def test_folding_that_fails_opens_anew_from_every_state_that_folds() -> None:
    """A message that came, one that was read, one that was decided already by a program without the fault."""
    assert transitions() == {
        (State.OPEN, inputs.MessageCame, State.AWAY),
        (State.OPEN, inputs.PageRead, State.AWAY),
        (State.REFOLDING, inputs.PageRead, State.AWAY),
    }
