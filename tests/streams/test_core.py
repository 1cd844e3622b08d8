"""A partition of a worker, state by state: what each input does in each, and that nothing else can be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventlog.contract import Message
from schemas.codec import decode, encode
from schemas.deciding import Obeyed, OrderStep
from schemas.records import (
    Command,
    Unban,
)
from schemas.topics import BANS, COMMANDS, DEADLETTERS, DECISIONS, STATE
from streams.order import INPUTS
from streams.partition import POSITION, Partition
from streams.state import WHOLE
from streams.worker import actions, inputs
from streams.worker.batch import MOST_MESSAGES
from streams.worker.core import Core
from streams.worker.states import FENCED_S, LEAVE_S, RETRY_S, SLOW_S, TABLE, Impossible, State
from tests.streams.driven import (
    NOTHING,
    TOPIC,
    WAYS,
    Driven,
    appended,
    banning,
    came,
    driven,
    end_seen,
    failing,
    forgiving,
    garbage,
    governed,
    of,
    page,
    ruled,
    state_read,
)
from tests.streams.folding import ALICE, BOB, T0

FAULTS = {
    (State.OPEN, inputs.MessageCame, State.AWAY),
    (State.OPEN, inputs.PageRead, State.AWAY),
    (State.REFOLDING, inputs.PageRead, State.AWAY),
}
"""Where folding fails by a fault: tests/streams/test_barrier.py shows them."""
COMMITTED = inputs.Committed(99)
FAILED = inputs.Failed("no broker")
ANYTHING: dict[str, inputs.Input] = {
    "assigned": inputs.Assigned(),
    "parked": inputs.Parked(),
    "closing": inputs.Closing(),
    "opened": inputs.Opened(),
    "no state": NOTHING,
    "a state": state_read({"position": b'{"offset":4}'}),
    "a state of another log": state_read({"position": b'{"offset":4}'}, 3),
    "a page": page([], 2, 5),
    "the last page": page([], 5, 5),
    "a message": came(failing(1)),
    "an end": end_seen(3),
    "committed": COMMITTED,
    "failed": FAILED,
    "taken over": inputs.TakenOver(),
    "timer": inputs.Timer(),
    "time passed": inputs.TimePassed(T0),
}
FOLLOWS = [
    ("parked", "assigned", State.OPENING),
    ("opening", "opened", State.LOADING),
    ("opening", "failed", State.AWAY),
    ("opening", "taken over", State.FENCED),
    ("loading", "no state", State.OPEN),
    ("loading", "a state", State.REFOLDING),
    ("loading", "a state of another log", State.STOPPED),
    ("loading", "failed", State.AWAY),
    ("refolding", "a page", State.REFOLDING),
    ("refolding", "the last page", State.OPEN),
    ("refolding", "failed", State.AWAY),
    ("open", "a message", State.OPEN),
    ("open", "a page", State.OPEN),
    ("open", "failed", State.AWAY),
    ("open", "parked", State.PARKED),
    ("committing", "parked", State.PARTING),
    ("committing", "closing", State.CLOSING),
    ("committing", "committed", State.OPEN),
    ("committing", "failed", State.AWAY),
    ("committing", "taken over", State.FENCED),
    ("stopped", "parked", State.PARKED),
    ("stopped", "closing", State.CLOSED),
    ("away", "timer", State.AWAY),
    ("away long enough", "timer", State.OPENING),
    ("fenced", "timer", State.FENCED),
    ("fenced long enough", "timer", State.OPENING),
    ("parting", "assigned", State.OPENING),
    ("parting", "a page", State.PARTING),
    ("parting", "timer", State.PARTING),
    ("parting for too long", "timer", State.PARKED),
    ("parting", "committed", State.PARKED),
    ("parting", "failed", State.PARKED),
    ("parting", "taken over", State.PARKED),
    ("closing", "committed", State.CLOSING),
    ("closing, the last commit", "committed", State.CLOSED),
    ("closing", "a page", State.CLOSING),
    ("closing", "timer", State.CLOSING),
    ("closing for too long", "timer", State.CLOSED),
    ("closing", "failed", State.CLOSED),
    ("closing", "taken over", State.CLOSED),
    ("closing", "parked", State.CLOSED),
    ("closed", "parked", State.CLOSED),
]
"""What follows from what; all else leaves a state as it is, or is one of the two ways out of any."""


@pytest.mark.parametrize(("way", "given", "follows"), FOLLOWS)
def test_what_follows_from_what(way: str, given: str, follows: State) -> None:
    """Each input in each state where it changes something."""
    made = driven(way)
    made.feed(ANYTHING[given])
    assert made.at(follows)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", ANYTHING)
def test_the_table_is_what_can_happen(way: str, given: str) -> None:
    """Every input in every state goes where the table says; what is not in it raises, and changes nothing."""
    made = driven(way)
    state, row = made.core.state, TABLE[made.core.state]
    if type(ANYTHING[given]) not in row:
        with pytest.raises(Impossible, match=state.value):
            made.feed(ANYTHING[given])
        assert made.at(state)
    elif not (given == "committed" and way == "open"):  # an answer to what nobody asked
        made.feed(ANYTHING[given])
        assert made.core.state in row[type(ANYTHING[given])]


def _not_what_was_decided_from() -> tuple[State, type, State]:
    """The decisions that tell the order end before they have told all of it."""
    made = Driven()
    made.opened({"position": b'{"offset":4,"commands":0,"steps":1,"digest":1,"authority":0}'})
    made.feed(inputs.PageRead(DECISIONS.name, (), 9, 9))
    return State.REFOLDING, inputs.PageRead, made.core.state


def test_every_transition_of_the_table_happens() -> None:
    """No state is in the table that nothing leads to."""
    seen: set[tuple[State, type, State]] = set()
    for way in WAYS:
        for given in ANYTHING.values():
            made = driven(way)
            state = made.core.state
            if type(given) in TABLE[state]:
                made.feed(given)
                seen.add((state, type(given), made.core.state))
    seen |= {_flood_by_message(), _flood_by_page(), _loading_again(), _closed_at_once()}
    seen.add(_not_what_was_decided_from())
    seen |= FAULTS
    wanted = {
        (state, given, follows)
        for state, row in TABLE.items()
        for given, all_of_them in row.items()
        for follows in all_of_them
    }
    assert seen == wanted


def _flood_by_message() -> tuple[State, type, State]:
    made = driven("open")
    for offset in range(1, 11):
        made.feed(came(garbage(offset)))
    return State.OPEN, inputs.MessageCame, made.core.state


def _flood_by_page() -> tuple[State, type, State]:
    made = driven("open")
    made.feed(page(map(garbage, range(1, 17)), 17, 17))
    return State.OPEN, inputs.PageRead, made.core.state


def _loading_again() -> tuple[State, type, State]:
    """Somebody else has committed since."""
    made = driven("open")
    made.feed(inputs.Parked(), inputs.Assigned(), inputs.Opened())
    made.feed(ANYTHING["a state"])
    return State.LOADING, inputs.StateRead, made.core.state


def _closed_at_once() -> tuple[State, type, State]:
    made = Driven()
    made.opened()
    made.feed(inputs.Closing())
    return State.OPEN, inputs.Closing, made.core.state


def go_on(events: int, commands: int) -> actions.GoOn:
    """From these offsets on; no other partition has told anything."""
    return actions.GoOn({**dict.fromkeys(INPUTS, 0), TOPIC: events, COMMANDS.name: commands})


def test_opening_fences_before_it_reads() -> None:
    """First the predecessor is fenced, then the state is read, then messages are wanted."""
    made = Driven()
    assert made.feed(inputs.Assigned()) == [actions.Open()]
    assert made.feed(inputs.Opened()) == [actions.ReadState(0)]
    asked = made.feed(NOTHING)
    assert of(actions.GoOn, asked) == [go_on(0, 0)]
    assert of(actions.Read, asked) == [], "no events before the first rules"
    assert of(actions.Read, made.feed(ruled())) == [actions.Read(TOPIC, 0, None)]


def test_given_again_what_it_has_it_goes_on_from_where_it_is() -> None:
    """A host that was told of its partitions anew has paused them."""
    assert driven("open").feed(inputs.Assigned()) == [go_on(1, 1)]


def test_fenced_while_opening_waits_before_it_tries_again() -> None:
    """Two workers that want one partition do not fence each other for ever: the later one waits."""
    made = driven("opening")
    assert actions.LetGo() in made.feed(inputs.TakenOver())
    assert made.later(FENCED_S - 1) == []
    assert made.later(1) == [actions.Open()]


def test_what_is_decided_already_is_folded_again_in_its_order_and_yields_nothing() -> None:
    """A command between two events: whoever comes next takes it where it was."""
    made = driven("open")
    made.feed(came(failing(1, ALICE, 2)))
    made.feed(inputs.MessageCame(COMMANDS.name, forgiving(1, ALICE)))
    made.feed(came(failing(2, ALICE, 1)), came(failing(3, BOB, 2)), inputs.TimePassed(T0 + 1))
    made.committed()
    made.later(1)
    made.committed()
    after = Driven()
    asked = after.opened(made.state)
    assert of(actions.Read, asked) == [actions.Read(DECISIONS.name, 0, None)]
    asked = after.answered(made.log)
    assert after.at(State.OPEN), after.done[-3:]
    assert of(actions.Commit, asked) == []
    assert of(actions.GoOn, asked) == [go_on(4, 2)]
    asked = after.feed(page([], 4, 4), came(failing(4, BOB, 1)), came(failing(5, ALICE, 1)))
    assert len(appended(asked, DECISIONS.name)) == 1, "what failed before the command is forgiven"
    assert after.core.partition.digest != made.core.partition.digest


def test_a_log_that_is_not_what_was_decided_from_is_not_gone_on_with() -> None:
    """Another message in the place of one, or one at another instant: it stops there, and says so."""
    made = driven("open")
    made.feed(came(failing(1)), inputs.MessageCame(COMMANDS.name, forgiving(1, ALICE)))
    made.committed()
    made.log[TOPIC][1] = failing(1, ALICE, 2)
    after = Driven()
    after.opened(made.state)
    asked = after.answered(made.log)
    assert after.at(State.STOPPED)
    assert "not what was decided from" in of(actions.Say, asked)[0].sentence


def test_events_wait_for_the_first_rules() -> None:
    """Nothing is passed over for good: they are decided under them, whichever host delivers."""
    made = Driven()
    made.opened()
    made.feed(came(banning(0)))
    assert made.core.partition.next_offset == 0
    made.feed(ruled())
    asked = made.feed(page([banning(0)], 1, 1))
    made.committed()
    assert [each.topic for each in appended(made.done, DECISIONS.name)], asked
    exact = Driven(Core(0, 1, exact=True))
    exact.opened()
    assert of(actions.HoldBack, exact.feed(came(banning(0))) + exact.done)
    asked = exact.feed(ruled())
    assert of(actions.GoOn, asked) == [go_on(0, 1)]
    exact.committed()
    assert appended(exact.feed(came(banning(0))), DECISIONS.name)


@pytest.mark.parametrize("exact", [True, False])
def test_commands_that_stand_in_the_log_come_before_events_that_wait(*, exact: bool) -> None:
    """On opening they are read first, whoever owned it before: what was said holds for what waits."""
    made = Driven(Core(0, 1, exact=exact))
    made.feed(inputs.Assigned(), inputs.Opened())
    asked = made.feed(state_read({}, 1, commands=2))
    assert of(actions.Read, asked) == [actions.Read(COMMANDS.name, 0, 2)]
    made.feed(came(banning(0)))
    allowed = Command(id="1", verb="allow", at_ms=T0, who="root", prefix=ALICE)
    found = (governed(0), Message(0, 1, None, encode(allowed), T0))
    made.feed(inputs.PageRead(COMMANDS.name, found, 2, 2))
    assert made.at(State.OPEN)
    made.feed(came(banning(0)))
    made.answered(made.log)
    made.committed()
    made.later(1)
    decided = b"".join(append.value for append in appended(made.done, DECISIONS.name))
    assert made.core.partition.next_offset == 1
    assert b'"type":"ban"' not in decided


def test_where_retention_took_what_waited_time_passes_all_the_same() -> None:
    """A host that seeks brings nothing of what is not there: it is as good as folded."""
    made = driven("open")
    made.feed(came(banning(1)))
    made.committed()
    end_ms = made.core.partition.decider.next_expiry_ms()
    assert end_ms is not None
    made.feed(inputs.Closing())
    made.committed()
    after = Driven(Core(0, 1, exact=True))
    after.feed(inputs.Assigned(), inputs.Opened())
    after.feed(inputs.StateRead(made.state, {TOPIC: 100, COMMANDS.name: 0}, {TOPIC: 100, COMMANDS.name: 1}))
    after.feed(end_seen(100))
    asked = after.feed(inputs.TimePassed(end_ms))
    assert appended(asked, DECISIONS.name)


def test_time_comes_no_further_than_where_no_event_was_known_to_wait() -> None:
    """After a suspend the clock is far ahead of what was known of the log: that is asked first."""
    made = driven("open")
    made.feed(came(banning(1)))
    made.committed()
    end_ms = made.core.partition.decider.next_expiry_ms()
    assert end_ms is not None
    made.feed(inputs.EndSeen(TOPIC, 2, T0 + 1))
    assert made.feed(inputs.TimePassed(end_ms + 1)) == []
    made.feed(inputs.EndSeen(TOPIC, 5, end_ms + 1))
    assert made.feed(inputs.TimePassed(end_ms + 1)) == [], "an event waits"


def test_a_log_that_ends_before_its_checkpoint_is_not_gone_on_with() -> None:
    """New events would stand where others were decided, and count for nothing."""
    made = driven("open")
    made.feed(inputs.Closing())
    made.committed()
    after = Driven()
    asked = after.feed(inputs.Assigned(), inputs.Opened(), state_read(made.state, 0))
    assert after.at(State.STOPPED)
    assert "lost its end" in of(actions.Say, asked)[0].sentence


def test_a_command_does_not_wait_behind_events() -> None:
    """It is obeyed while there is no room for events, and committed with what was folded before it."""
    made = driven("committing")
    for offset in range(2, MOST_MESSAGES + 10):
        made.feed(came(failing(offset)))
    made.feed(inputs.MessageCame(COMMANDS.name, forgiving(1, ALICE)))
    assert made.core.partition.next_offsets[COMMANDS.name] == 2
    (commit,) = of(actions.Commit, made.committed())
    record = decode(commit.appends[0].value)
    assert record == Obeyed(first=1, steps=(OrderStep(events=MOST_MESSAGES + 1, commands=1),))


def test_time_that_ends_a_ban_is_a_step() -> None:
    """It is told before what comes of it, and where nothing is due it is nothing."""
    made = driven("open")
    made.feed(came(banning(1)))
    made.committed()
    made.feed(end_seen(2))
    assert made.feed(inputs.TimePassed(T0 + 1)) == []
    end_ms = made.core.partition.decider.next_expiry_ms()
    assert end_ms is not None
    (commit,) = of(actions.Commit, made.feed(inputs.TimePassed(end_ms)))
    obeyed, unban = (decode(each.value) for each in commit.appends[:2])
    assert obeyed == Obeyed(first=1, steps=(OrderStep(events=1, at_ms=end_ms),))
    assert isinstance(unban, Unban)
    assert unban.id == f"0-t{end_ms}-0-0"


def test_a_decision_is_committed_at_once_and_a_position_a_little_later() -> None:
    """The decision, the ban it makes, and the position, last."""
    made = driven("open")
    assert of(actions.Commit, made.feed(came(failing(1)))) == []
    assert len(of(actions.Commit, made.later(0.2))) == 1
    made.committed()
    asked = made.feed(came(banning(2)))
    (commit,) = of(actions.Commit, asked)
    assert [append.topic for append in commit.appends] == [DECISIONS.name, BANS.name, STATE.name]
    assert commit.appends[-1].key == POSITION


def test_far_behind_the_end_of_the_log_nothing_is_urgent() -> None:
    """Decisions of a backlog go together, with no checkpoint in between; near the end all is as ever."""
    made = driven("open")
    made.feed(end_seen(1_000))
    made.now += 30
    asked = made.feed(came(banning(1)))
    assert of(actions.Commit, asked) == []
    (commit,) = of(actions.Commit, made.later(0.2))
    assert WHOLE not in {append.key for append in commit.appends}
    made.committed()
    made.feed(end_seen(3))
    (commit,) = of(actions.Commit, made.feed(came(failing(2, BOB, 3))))
    assert WHOLE in {append.key for append in commit.appends}


def test_one_commit_at_a_time() -> None:
    """What is folded while a commit is under way is for the next one."""
    made = driven("committing")
    assert of(actions.Commit, made.feed(came(failing(2, BOB, 3)))) == []
    (commit,) = of(actions.Commit, made.committed())
    assert len(appended([commit], DECISIONS.name)) == 1
    assert made.core.committed == 2


def test_a_commit_of_unknown_end_is_looked_up_in_the_log() -> None:
    """Nothing is folded on from memory: the state is read whole, whichever way the commit went."""
    for happened in (False, True):
        made = driven("committing")
        written = of(actions.Commit, made.done)[-1].appends[-1]
        assert actions.LetGo() in made.feed(FAILED)
        assert made.later(RETRY_S) == [actions.Open()]
        assert made.feed(inputs.Opened()) == [actions.ReadState(0)]
        if happened:
            made.state["position"] = written.value
        made.feed(state_read(made.state))
        asked = made.answered(made.log)
        asked += made.feed(came(banning(1))) + made.answered(made.log)
        assert len(appended(asked, DECISIONS.name)) == (0 if happened else 1), "missing, or twice"


def test_nothing_is_read_anew_where_nobody_wrote_meanwhile() -> None:
    """Parked and given back, or failed at reading, it goes on with what it has in memory."""
    for lose in ([inputs.Parked(), inputs.Assigned()], [FAILED]):
        made = driven("open")
        made.feed(came(failing(1, BOB, 2)))
        made.feed(*lose)
        made.later(RETRY_S)
        assert made.feed(inputs.Opened()) == [actions.ReadState(21)]
        asked = made.feed(NOTHING)
        assert of(actions.GoOn, asked) == [go_on(2, 1)]
        made.feed(page([], 2, 2), came(failing(2)))
        assert len(appended(made.committed(), DECISIONS.name)) == 1


def test_what_another_wrote_meanwhile_is_read() -> None:
    """The state in memory is not the truth any more: it is read whole."""
    made = driven("open")
    made.feed(inputs.Parked(), inputs.Assigned(), inputs.Opened())
    assert made.feed(ANYTHING["a state"]) == [actions.ReadState(0)]
    asked = made.feed(ANYTHING["a state"])
    assert of(actions.Read, asked) == [actions.Read(TOPIC, 0, 5)]


def test_parked_in_a_commit_lets_it_end_and_begins_no_other() -> None:
    """Another owner reads what it wrote. Where there is no answer, it does not wait for long."""
    made = driven("parting")
    assert made.feed(came(failing(2, BOB, 3))) == []
    assert made.committed() == [actions.HoldBack(), actions.LetGo()]
    made = driven("parting")
    assert made.later(LEAVE_S) == [actions.HoldBack(), actions.LetGo()]
    made.feed(inputs.Assigned(), inputs.Opened())
    assert made.done[-1] == actions.ReadState(0), "of that commit nobody knows whether it happened"


def test_parked_while_it_reads_answers_nothing_any_more() -> None:
    """What was asked is abandoned; the page that was under way does not come."""
    for way in ("opening", "loading", "refolding"):
        made = driven(way)
        assert made.feed(inputs.Parked()) == [actions.HoldBack(), actions.LetGo()]
        with pytest.raises(Impossible):
            made.feed(page([], 5, 5))


def test_closing_commits_what_is_folded_with_the_state() -> None:
    """So that a restart has nothing to fold again; and waits for the commit under way before that."""
    made = driven("committing")
    made.feed(came(failing(2)))
    assert made.feed(inputs.Closing()) == []
    asked = made.committed()
    assert {append.key for append in appended(asked, STATE.name)} > {POSITION, WHOLE}
    assert made.committed() == [actions.HoldBack(), actions.LetGo()]
    assert made.core.in_time
    after = Partition()
    after.restore(made.state, {TOPIC: 0}, 100)
    assert after.next_offset == 3


def test_closing_does_not_wait_for_a_broker_that_is_away() -> None:
    """What could not be committed is folded again by whoever comes next; and it says that it was late."""
    made = driven("closing")
    assert made.later(LEAVE_S) == [actions.HoldBack(), actions.LetGo()]
    assert not made.core.in_time


def test_a_flood_stops_nobody_else_and_is_remembered() -> None:
    """What its sender ships is put aside, a message a dead letter; others go on, and so after a kill."""
    made = driven("open")
    for message in (*map(garbage, range(1, 21)), banning(21), shipped(22)):
        made.feed(came(message))
        made.later(1)
        while made.commits < len(of(actions.Commit, made.done)):
            made.committed()
    assert made.core.partition.next_offset == 23
    letters = [append.value.count(b"\n") + 1 for append in appended(made.done, DEADLETTERS.name)]
    assert letters == [100] * 9 + [1] * 12, "its tenth message is the flood, and it claims no name either"
    first, ban = appended(made.done, DECISIONS.name)
    assert first.value.startswith(b'{"type":"obeyed"')
    assert ban.value.startswith(b'{"type":"ban"')
    after = Driven()
    after.opened(made.state)
    after.answered(made.log)
    assert after.at(State.OPEN)
    assert after.core.partition.fold.floods.dump() == made.core.partition.fold.floods.dump() != []


def shipped(offset: int) -> Message:
    """A message that a ban follows from, of one who gives his name."""
    return replace(banning(offset), key=f"web1@{T0}")


def test_a_message_for_which_there_is_no_room_is_passed_over_and_read_from_the_log() -> None:
    """Nobody waits for room; after the commit the log is read, until it has caught up with what comes."""
    made = driven("committing")
    last = MOST_MESSAGES + 10
    for offset in range(2, last + 1):
        made.feed(came(failing(offset)))
    taken = made.core.partition.next_offset
    assert taken == MOST_MESSAGES + 2
    assert of(actions.Read, made.done[-last:])[-1:] in ([], [actions.Read(TOPIC, 0, None)])
    assert of(actions.Read, made.committed()) == [actions.Read(TOPIC, taken, None)]
    made.feed(came(failing(last + 1)))
    assert made.core.partition.next_offset == taken, "it is behind the log's reader now"
    made.feed(page(map(failing, range(taken, last + 1)), last + 1, last + 1))
    assert made.core.partition.next_offset == last + 1
    asked = made.feed(page([failing(last + 1)], last + 2, last + 2))
    assert of(actions.DoneReading, asked) == [actions.DoneReading()]
    made.committed()
    made.feed(came(failing(last + 2)))
    assert made.core.partition.next_offset == last + 3


def test_a_host_that_seeks_is_held_instead() -> None:
    """It delivers nothing more until there is room, and then from where it stands; nothing is read."""
    made = Driven(Core(0, 1, exact=True))
    made.opened()
    made.feed(ruled())
    made.committed()
    made.done.clear()
    made.feed(came(failing(0)), came(banning(1)))
    for offset in range(2, MOST_MESSAGES + 5):
        made.feed(came(failing(offset)))
    assert of(actions.HoldBack, made.done) == [actions.HoldBack()]
    assert made.core.partition.next_offset == MOST_MESSAGES + 5, "what it had in hand is taken"
    assert of(actions.Read, made.done) == []
    assert of(actions.Room, made.committed()) == [actions.Room()]


def test_the_end_of_a_transaction_is_not_looked_up() -> None:
    """A gap of one is such an end; once partitions stopped moving, the log is not read for it."""
    made = driven("open")
    made.later(20)
    asked = made.feed(*(came(failing(offset)) for offset in range(2, 20, 2)))
    assert of(actions.Read, asked) == []
    assert made.core.partition.next_offset == 19


def test_the_end_of_the_log_where_nothing_is_missing_changes_nothing() -> None:
    """A partition that nobody writes to takes the next message as it comes."""
    made = driven("open")
    made.now += 20
    asked = made.feed(end_seen(1), end_seen(1), came(failing(2)))
    assert of(actions.Read, asked) == []
    assert made.core.partition.next_offset == 3


@pytest.mark.parametrize(("seconds", "offset"), [(1, 2), (20, 3)])
def test_what_faust_drops_while_partitions_move_is_read_from_the_log(seconds: float, offset: int) -> None:
    """Soon after an assignment any gap is looked up; later one that is wider than a transaction's end."""
    made = driven("open")
    made.now += seconds - 1
    asked = made.feed(came(failing(offset)))
    assert of(actions.Read, asked) == [actions.Read(TOPIC, 1, None)]
    assert made.core.partition.next_offset == 1


def test_what_never_comes_is_read_from_the_log() -> None:
    """The end of the log is beyond where it has stood since it was last asked."""
    made = driven("open")
    assert of(actions.Read, made.feed(end_seen(3))) == []
    assert of(actions.Read, made.feed(end_seen(3))) == [actions.Read(TOPIC, 1, None)]
    made.feed(page([failing(1)], 3, 3))
    assert of(actions.Read, made.feed(end_seen(3), end_seen(3))) == []


def test_messages_from_before_are_not_taken_twice() -> None:
    """A message seen before is passed over, whoever brings it."""
    made = driven("open")
    made.feed(
        came(failing(1)), came(failing(2)), came(failing(1)), page([failing(1)], 2, 2), came(failing(0))
    )
    assert made.core.partition.next_offset == 3
    assert made.core.tally.events == 3


def test_trouble_is_said_once_until_it_is_over() -> None:
    """A broker that is away does not fill the log; nor does one that answers slowly."""
    made = driven("committing")
    assert len(of(actions.Say, made.later(SLOW_S))) == 1
    assert of(actions.Say, made.feed(FAILED)) == []
    made.later(RETRY_S)
    assert of(actions.Say, made.feed(FAILED)) == []


def test_checkpoints_have_a_pace() -> None:
    """The state is written every five seconds at most, and only when it has changed."""
    made = driven("open")
    made.feed(came(failing(1)))
    written = 0
    for _ in range(100):
        asked = made.later(0.1)
        if of(actions.Commit, asked):
            written += any(append.key == WHOLE for append in appended(asked, STATE.name))
            made.committed()
    assert written == 1


def test_it_counts_as_things_happen() -> None:
    """Events, decisions, refused lines and commits; what is folded again does not count."""
    made = driven("open")
    made.feed(came(failing(1)), came(banning(2)), came(garbage(3)))
    tally = made.core.tally
    assert (tally.events, tally.decisions, tally.refused, tally.commits) == (5, 1, 100, 2)
    made.committed()
    assert (tally.commits, tally.committed_at) == (3, made.now)
