"""Commands, events and time in one order: the same after a crash at any moment, and in any replay."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banstream.migration import Migration
from banstream.reading import records
from banstream.trial import ReplayCounts, over_log
from eventlog.contract import Append, EventLog
from eventlog.memory import MemoryLog
from schemas.codec import encode, encode_frame
from schemas.deciding import Obeyed, OrderStep
from schemas.errors import LogError, Transient
from schemas.records import (
    Ban,
    Command,
    Decision,
    Prolong,
    RulesChanged,
    Tick,
    Unban,
    Verb,
)
from schemas.topics import BANS, COMMANDS, DECISIONS, EVENTS, STATE, Topic
from streams.embedded import EmbeddedDecider
from streams.order import OBEYED, Steps
from streams.partition import POSITION, Partition
from streams.state import WHOLE
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, failure, folded_in_order, rules

RULES = rules(maxretry=2, bantime_ms=30 * SECOND)
OTHER_RULES = rules(maxretry=3, bantime_ms=MINUTE)
Happening = tuple[str, str, int]
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "fail",
                "fail",
                "fail",
                "ban",
                "unban",
                "forgive",
                "allow",
                "rules",
                "time",
                "poll",
                "poll",
                "crash",
            ]
        ),
        st.sampled_from([ALICE, BOB, "192.0.2.0/24"]),
        st.integers(0, 40),
    ),
    max_size=60,
)


class Machine:
    """A log and the decider on it, whose clock is set by hand."""

    def __init__(self, partitions: int = 1) -> None:
        self.now_ms = T0
        self.log = MemoryLog(partitions, now_ms=lambda: self.now_ms)
        self.decider = EmbeddedDecider(self.log, now_ms=lambda: self.now_ms)
        self._given = 0

    def happen(self, kind: str, prefix: str, seconds: int) -> None:
        """One thing happens."""
        self._given += 1
        match kind:
            case "fail":
                event = failure(prefix.partition("/")[0], self.now_ms, self._given)
                self.log.append([Append(EVENTS.name, encode(event))])
            case "rules":
                self.govern(seconds)
            case "time":
                self.now_ms += seconds * SECOND
                self.decider.tick()
            case "poll":
                self.decider.poll()
            case "crash":
                if seconds > 30:
                    self.decider.checkpoint()
                self.decider = EmbeddedDecider(self.log, now_ms=lambda: self.now_ms)
            case _:
                self.command(kind, prefix, seconds)  # type: ignore[arg-type]

    def command(self, verb: Verb, prefix: str, seconds: int) -> None:
        """An operator says something."""
        said = Command(
            id=str(self._given),
            verb=verb,
            at_ms=self.now_ms,
            who="root",
            prefix=prefix,
            duration_ms=seconds * SECOND,
        )
        self.log.append([Append(COMMANDS.name, encode(said))])

    def govern(self, seconds: int) -> None:
        """Rules are put in force."""
        chosen = RULES if seconds % 2 else OTHER_RULES
        record = RulesChanged(version=chosen.version, at_ms=self.now_ms, rules=chosen.to_wire())
        self.log.append([Append(COMMANDS.name, encode(record))])

    def decisions(self) -> list[Decision]:
        """Every decision in the log."""
        found = [each.record for each in records(self.log, DECISIONS.name)]
        return [each for each in found if isinstance(each, Ban | Unban | Prolong)]

    def told(self) -> list[OrderStep]:
        """Every step in the log."""
        found = [each.record for each in records(self.log, DECISIONS.name)]
        return [step for each in found if isinstance(each, Obeyed) for step in each.steps]


def oracle(log: EventLog, told: list[OrderStep]) -> list[Decision]:
    """What a plain fold of the inputs in the order told decides."""
    events, commands = (log.read(topic.name, 0, 0) for topic in (EVENTS, COMMANDS))
    return folded_in_order(Partition().fold, told, events, commands)


@settings(max_examples=200, deadline=None)
@given(HAPPENINGS)
def test_whatever_happens_and_wherever_it_crashes_the_log_tells_the_order(
    happenings: list[Happening],
) -> None:
    """What was decided is what a fold in the order told decides: none missing, none twice, none other."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    for happening in happenings:
        machine.happen(*happening)
    machine.decider.catch_up()
    made = machine.decisions()
    assert made == oracle(machine.log, machine.told())
    assert len({each.id for each in made}) == len(made)
    again = EmbeddedDecider(machine.log, now_ms=lambda: machine.now_ms)
    again.catch_up()
    assert again.partitions[0].digest == machine.decider.partitions[0].digest
    assert machine.decisions() == made


@settings(max_examples=50, deadline=None)
@given(HAPPENINGS)
def test_a_replay_takes_the_inputs_in_the_order_told(happenings: list[Happening]) -> None:
    """Under the rules that held, a replay of the log decides what was decided: commands and time included."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    for happening in happenings:
        if happening[0] != "rules":
            machine.happen(*happening)
    machine.decider.catch_up()
    found = [
        each for (decided,) in over_log([RULES], machine.log, 0, 2**60, ReplayCounts()) for each in decided
    ]
    assert found == machine.decisions()


def test_a_replay_from_the_middle_obeys_what_held_then() -> None:
    """An allow of before holds in the stretch; what it decided before the stretch is not told."""
    machine = Machine()
    machine.govern(1)
    machine.command("ban", "198.51.100.7", 3600)
    machine.log.append([Append(COMMANDS.name, encode(allow(ALICE)))])
    machine.decider.catch_up()
    machine.now_ms += MINUTE
    for _ in range(2):
        machine.happen("fail", ALICE, 0)
        machine.happen("fail", BOB, 0)
    machine.decider.catch_up()
    found = [
        each
        for (decided,) in over_log([RULES], machine.log, machine.now_ms, 2**60, ReplayCounts())
        for each in decided
    ]
    assert [each.prefix for each in found] == [BOB]


def allow(prefix: str) -> Command:
    """Never ban it."""
    return Command(id="a", verb="allow", at_ms=T0, who="root", prefix=prefix)


def test_events_wait_for_the_first_rules() -> None:
    """Shipped before anybody put rules in force, they are decided under the first."""
    machine = Machine()
    for _ in range(2):
        machine.happen("fail", ALICE, 0)
    machine.decider.catch_up()
    assert machine.decider.partitions[0].next_offset == 0
    assert (EVENTS.name, 0) not in machine.decider.offsets(), "nobody is woken for what waits"
    machine.govern(1)
    machine.decider.catch_up()
    assert [each.prefix for each in machine.decisions()] == [ALICE]
    assert machine.told()[0] == OrderStep(events=-1, commands=0)


@pytest.mark.parametrize("topic", [EVENTS, COMMANDS])
def test_a_log_that_was_changed_is_not_gone_on_with(topic: Topic) -> None:
    """Another message where one was: whoever opens the log is told so, and decides nothing."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    machine.happen("fail", ALICE, 0)
    machine.happen("ban", BOB, 10)
    machine.decider.catch_up()
    messages = machine.log._streams[topic.name, 0].messages  # noqa: SLF001 - a log that somebody has edited
    messages[0] = replace(messages[0], value=messages[0].value + b" ")
    with pytest.raises(LogError, match="not what was decided from"):
        EmbeddedDecider(machine.log, now_ms=lambda: machine.now_ms)


@pytest.mark.parametrize("topic", [EVENTS, COMMANDS])
def test_a_log_that_lost_its_end_is_not_gone_on_with(topic: Topic) -> None:
    """What was decided from is not there any more: that is said, rather than waited for."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    machine.decider.checkpoint()
    for _ in range(2):
        machine.happen("fail", ALICE, 0)
    machine.happen("ban", BOB, 10)
    machine.decider.catch_up()
    stream = machine.log._streams[topic.name, 0]  # noqa: SLF001 - a log that somebody has cut
    stream.messages.pop()
    stream.end -= 1
    with pytest.raises(LogError, match=r"lost its end|its end is lost"):
        EmbeddedDecider(machine.log, now_ms=lambda: machine.now_ms)


def test_a_checkpoint_does_not_overtake_a_commit_that_waits() -> None:
    """Where the log is away amid a commit, what was decided is written before the state that knows of it."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    for _ in range(2):
        machine.happen("fail", ALICE, 0)
    commit = machine.decider._writer.commit  # noqa: SLF001 - the log goes away for a moment
    with pytest.MonkeyPatch.context() as away:
        away.setattr(machine.decider._writer, "commit", _away)  # noqa: SLF001
        with pytest.raises(Transient):
            machine.decider.poll()
    assert machine.decider._writer.commit == commit  # noqa: SLF001
    machine.decider.checkpoint()
    machine.happen("crash", ALICE, 0)
    machine.decider.catch_up()
    assert [each.prefix for each in machine.decisions()] == [ALICE]


def _away(*_: object) -> list[int]:
    raise Transient("the log is away")


def test_a_replay_goes_on_where_retention_has_dropped_decisions() -> None:
    """The first steps are gone with the decisions of then; a migrated log's commands are obeyed, too."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    machine.log.append([Append(COMMANDS.name, encode(allow(ALICE)))])
    machine.decider.catch_up()
    machine.decider.checkpoint()
    stream = machine.log._streams[DECISIONS.name, 0]  # noqa: SLF001 - as retention leaves it
    del stream.messages[0]
    target = MemoryLog(1, now_ms=lambda: machine.now_ms)
    migration = Migration(machine.log, target)
    migration.run()
    for log in (machine.log, target):
        log.append(
            [Append(EVENTS.name, encode(failure(ip, T0, nth))) for nth, ip in enumerate((ALICE, BOB) * 2)]
        )
        found = [each for (decided,) in over_log([RULES], log, 0, 2**60, ReplayCounts()) for each in decided]
        assert [each.prefix for each in found] == [BOB]


def test_steps_that_are_missing_are_told() -> None:
    """Without the record of an order nobody guesses it."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    messages = machine.log._streams[DECISIONS.name, 0].messages  # noqa: SLF001 - a log that somebody has edited
    messages[:] = [each for each in messages if not each.value.startswith(OBEYED)]
    with pytest.raises(LogError, match="steps"):
        EmbeddedDecider(machine.log, now_ms=lambda: machine.now_ms)


def test_commands_between_the_same_events_are_one_step() -> None:
    """A burst of them costs the log a few bytes; time in between is a step of its own."""
    steps = Steps()
    for offset in range(5):
        steps.obeyed(7, COMMANDS.name, offset)
    steps.passed(7, T0)
    steps.obeyed(7, COMMANDS.name, 5)
    steps.obeyed(8, COMMANDS.name, 6)
    assert steps.count == 4
    (append,) = steps.take(0)
    assert orjson.loads(append.value)["steps"] == [
        {"events": 7, "commands": 4},
        {"events": 7, "at_ms": T0},
        {"events": 7, "commands": 5},
        {"events": 8, "commands": 6},
    ]
    assert steps.take(0) == []
    assert steps.count == 4


def test_an_instant_passes_once() -> None:
    """What is due in a millisecond that has passed already, as a clock stepped back, ends in the next."""
    machine = Machine()
    machine.govern(1)
    late = T0 + 10 * MINUTE
    for index, address in enumerate((ALICE, BOB)):
        machine.now_ms = T0
        events = (encode(failure(address, T0 + nth, 10 * index + nth)) for nth in range(2))
        machine.log.append([Append(EVENTS.name, event) for event in events])
        while machine.decider.poll():
            pass
        machine.now_ms = late
        machine.decider.tick()
    machine.now_ms += 1
    machine.decider.tick()
    decided = machine.decisions()
    assert [type(each) for each in decided] == [Ban, Unban, Ban, Unban]
    assert [each.id for each in decided][1::2] == [f"0-t{late}-0-0", f"0-t{late + 1}-0-0"]


DAY_MS = 24 * 60 * MINUTE
STEPS = st.sampled_from([-DAY_MS, DAY_MS, -40 * MINUTE, 40 * MINUTE, -SECOND])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), STEPS), max_size=4), st.data())
def test_a_clock_that_steps_costs_no_more_than_the_bans_due_in_between(
    jumps: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Between any two inputs, both ways: who fails afterwards, by the clock that holds, is banned."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    ahead = 0
    for nth in range(30):
        for at, jump in jumps:
            if at == nth:
                machine.now_ms += jump
                ahead += jump
        machine.happen(
            data.draw(st.sampled_from(["fail", "time", "poll"])), data.draw(st.sampled_from([ALICE, BOB])), 1
        )
    machine.now_ms -= ahead  # and it is right again
    newcomer = "198.51.100.77"
    for _ in range(2):
        machine.now_ms += SECOND
        machine.happen("fail", newcomer, 0)
        machine.happen("fail", ALICE, 0)
    machine.decider.catch_up()
    machine.decider.tick()
    held = {str(message.key) for message in machine.log.latest(BANS.name)}
    assert newcomer in held, "recorded as expired at once, because of a clock that was ahead"
    assert ALICE in held or ALICE in {each.prefix for each in machine.decisions()}
    assert machine.decisions() == oracle(machine.log, machine.told())


@pytest.mark.parametrize("wrong_ms", [DAY_MS, -DAY_MS, 40 * MINUTE, -40 * MINUTE])
def test_one_who_fails_while_the_clock_is_wrong_is_banned_when_it_is_right(wrong_ms: int) -> None:
    """His failures, and a ban, of the wrong time hide none of his failures of now."""
    machine = Machine()
    machine.govern(1)
    machine.decider.catch_up()
    machine.now_ms += wrong_ms
    machine.happen("fail", ALICE, 0)  # one failure in the wrong time
    for _ in range(2):
        machine.happen("fail", BOB, 0)  # and a ban
    machine.decider.catch_up()
    machine.now_ms += MINUTE
    machine.decider.tick()  # which ends
    machine.now_ms -= wrong_ms
    for _ in range(2):
        machine.now_ms += SECOND
        machine.happen("fail", ALICE, 0)
        machine.happen("fail", BOB, 0)
    machine.decider.catch_up()
    machine.decider.tick()
    assert {ALICE, BOB} == {str(message.key) for message in machine.log.latest(BANS.name)}


def of_before(log: MemoryLog, *, checkpoint: bool) -> None:
    """Make a log as one of before: operators' records among the events, no commands in the state."""
    change = RulesChanged(version=RULES.version, at_ms=T0, rules=RULES.to_wire())
    lines = [encode(change), encode(failure(ALICE, T0, 1)), encode(allow(BOB)), encode(Tick(at_ms=T0 + 1))]
    log.append([Append(EVENTS.name, line) for line in lines])
    partition = Partition()
    partition.fold.authority_from = 9
    partition.decide(log.read(EVENTS.name, 0, 0))
    position = {POSITION: orjson.dumps({"offset": 3, "lines": 4, "refused": 0})}
    if checkpoint:
        for append in partition.checkpoint():
            whole = orjson.loads(append.value)
            for key in ("commands", "steps", "digest", "authority", "decisions"):
                whole.pop(key, None)
            log.append([append if append.key != WHOLE else Append(STATE.name, orjson.dumps(whole), WHOLE)])
    log.writer("decider").commit([], {"decider/0": position[POSITION]})


@pytest.mark.parametrize("checkpoint", [True, False])
def test_a_log_of_before_is_gone_on_with(*, checkpoint: bool) -> None:
    """What operators said among its events holds; what is said there from now on does not."""
    machine = Machine()
    of_before(machine.log, checkpoint=checkpoint)
    late = Command(id="late", verb="ban", at_ms=T0, who="root", prefix="198.51.100.1")
    machine.log.append([Append(EVENTS.name, encode(late))])  # given by a program of before, not decided yet
    for _ in range(2):
        machine.decider = EmbeddedDecider(machine.log, now_ms=lambda: machine.now_ms)
        machine.decider.catch_up()
    assert [each.prefix for each in machine.decisions()] == ["198.51.100.1"]
    forged = [encode(allow(ALICE)), encode_frame([failure(ip, T0, 9) for ip in (ALICE, BOB, BOB, BOB)])]
    machine.log.append([Append(EVENTS.name, value) for value in forged])
    machine.decider.catch_up()
    assert [each.prefix for each in machine.decisions()] == ["198.51.100.1", ALICE]
    assert machine.decider.status().refused == 1
