"""What a sink promises: nothing is lost, nothing comes under two ids, and it waits without growing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.contract import EventLog
from eventlog.memory import MemoryLog
from schemas.codec import decode
from schemas.errors import Fenced
from schemas.records import DeadLetter, Heartbeat
from schemas.topics import DEADLETTERS, DECISIONS, ENFORCEMENTS, EVENTS
from sinks.contract import TAKEN, Reception, Sending, SinkAnswer
from sinks.identity import exported_id
from sinks.selection import Selection
from tests.sinks.following import AT_MS, EVENTS_ONLY, LOG, Following, ban, failed, put
from tests.sinks.receivers import Keeping

AGAIN = SinkAnswer(Reception.AGAIN, "429 too many requests")
NEVER = SinkAnswer(Reception.HOPELESS, "400 mapper_parsing_exception: \x1b[31m")


def letters(log: EventLog) -> list[DeadLetter]:
    """The dead letters of a log."""
    found = [decode(message.value) for message in log.read(DEADLETTERS.name, 0, 0)]
    return [each for each in found if isinstance(each, DeadLetter)]


def test_what_is_decided_is_sent_once_and_in_order() -> None:
    """Also over a clean restart."""
    made = Following()
    put(made.log, DECISIONS, ban(0), ban(1))
    first = made.made()
    made.turn(first)
    first.stop()
    put(made.log, DECISIONS, ban(2))
    made.turn(made.made())
    assert made.receiver.ids == ["q7x2kd3m-0-0-0-0", "q7x2kd3m-0-1-0-0", "q7x2kd3m-0-2-0-0"]


def test_a_new_sink_begins_with_what_happens_from_now_on() -> None:
    """And stands there from then on: what comes before its first commit is not passed over."""
    made = Following(start="end")
    put(made.log, DECISIONS, ban(0))
    made.made()
    put(made.log, DECISIONS, ban(1))
    made.turn(made.made())
    assert made.receiver.ids == ["q7x2kd3m-0-1-0-0"]


def test_a_receiver_that_is_away_gets_all_when_it_is_back() -> None:
    """It is asked later and later, a minute at most."""
    made = Following()
    put(made.log, DECISIONS, *(ban(number) for number in range(10)))
    made.receiver.replies.extend([None] * 12)
    runner = made.made()
    made.turn(runner, for_ms=590_000)
    assert runner.status.waiting is None
    assert (len(made.receiver.ids), len(set(made.receiver.ids))) == (10, 10)
    assert len(made.receiver.batches) == 13
    assert runner.status.retries == 12


def test_a_transport_that_raises_anything_is_tried_again_and_it_is_said() -> None:
    """Transports are anybody's: a defect of one loses nothing, and ends nothing until a restart."""
    made = Following()
    put(made.log, DECISIONS, *(ban(number) for number in range(3)))

    def broken(_: Sequence[Sending]) -> Sequence[SinkAnswer]:
        raise ZeroDivisionError("division by zero")

    made.receiver.replies.extend([broken, lambda batch: [TAKEN] * (len(batch) + 1)])
    runner = made.made()
    made.turn(runner)
    assert "its transport has failed: ZeroDivisionError: division by zero" in str(runner.status.waiting)
    made.turn(runner, for_ms=2_000)
    assert not runner.status.waiting
    assert (len(made.receiver.ids), runner.sent) == (3, 3)


def test_a_host_that_falls_silent_is_told_once() -> None:
    """However often the sink restarts; again where it was heard meanwhile; not where it stopped."""
    made = Following(selection=Selection(what=("enforcements",), on=frozenset({"host silent"})))

    def beat(host: str, *, stopped: bool = False) -> None:
        record = Heartbeat(host=host, backend="null", at_ms=1, lag_ms=0, in_force=0, stopped=stopped)
        now_ms = AT_MS + made.steady_ms
        cast("MemoryLog", made.log)._now_ms = lambda: now_ms  # noqa: SLF001 - its clock goes with the sink's
        put(made.log, ENFORCEMENTS, record)

    beat("web1")
    beat("web2", stopped=True)
    made.turn(runner := made.made(), for_ms=110_000)
    assert made.receiver.ids == []
    runner.stop()
    made.turn(runner := made.made(), for_ms=60_000)
    runner.stop()
    made.turn(runner := made.made(), for_ms=60_000)
    (told,) = map(orjson.loads, made.receiver.taken)
    assert (told["host"], told["at_ms"]) == ("web1", AT_MS + 120_000)
    beat("web1")
    made.turn(runner, for_ms=300_000)
    assert len(set(made.receiver.ids)) == len(made.receiver.ids) == 2


def test_while_it_is_away_the_status_says_so() -> None:
    """With how many messages wait, and for how long."""
    made = Following()
    put(made.log, DECISIONS, ban(0))
    put(made.log, DECISIONS, ban(1))
    made.receiver.replies.extend([None] * 100)
    runner = made.made()
    made.turn(runner, for_ms=30_000)
    status = runner.status
    assert status.waiting == "connection refused"
    assert (status.sent, status.lag_messages) == (0, 2)
    assert 20_000 < status.lag_ms <= 30_000


def test_half_a_batch_refused_is_sent_again_before_anything_else() -> None:
    """The half that was taken is not."""
    made = Following(most=4)
    put(made.log, DECISIONS, *(ban(number) for number in range(6)))
    made.receiver.replies.append(lambda batch: [TAKEN, AGAIN] * (len(batch) // 2))
    made.turn(made.made(), for_ms=2_000)
    numbers = [int(each.split("-")[2]) for each in made.receiver.ids]
    assert numbers == [0, 2, 1, 3, 4, 5]


def test_what_a_receiver_never_takes_is_a_dead_letter_with_its_answer() -> None:
    """And the others go on."""
    made = Following()
    put(made.log, DECISIONS, ban(0), ban(1), ban(2))
    made.receiver.replies.append(lambda _: [TAKEN, NEVER, TAKEN])
    runner = made.made()
    made.turn(runner, for_ms=1_000)
    (letter,) = letters(made.log)
    assert letter.reason == f"sink test was told: {NEVER.said}"
    assert (letter.topic, letter.offset, letter.index) == (DECISIONS.name, 0, 1)
    assert (runner.status.sent, runner.status.refused) == (2, 1)


def test_of_a_batch_that_goes_in_parts_the_rest_is_sent_next() -> None:
    """At once: no answer for an item is no failure, but no answer at all is one."""
    made = Following()
    put(made.log, DECISIONS, ban(0), ban(1), ban(2))
    made.receiver.replies.extend([lambda _: [TAKEN], lambda _: []])
    runner = made.made()
    made.turn(runner)
    assert (made.receiver.ids, runner.status.waiting) == ([f"{LOG}-0-0-0-0"], "it said nothing")
    made.turn(runner, for_ms=2_000)
    assert len(made.receiver.ids) == 3


def test_stopped_in_the_middle_of_a_page_it_repeats_nothing() -> None:
    """What was taken before the stop is not sent after the start, however often that happens."""
    made = Following(most=2)
    put(made.log, DECISIONS, *(ban(number) for number in range(5)))
    for _ in range(3):
        runner = made.made()
        runner.turn()
        runner.stop()
    made.turn(made.made())
    assert [int(each.split("-")[2]) for each in made.receiver.ids] == [0, 1, 2, 3, 4]
    put(made.log, DECISIONS, ban(5))
    made.turn(made.made())
    assert len(made.receiver.ids) == 6


def test_killed_it_repeats_only_under_the_same_id() -> None:
    """A runner that is dropped without a word has kept nothing since its last commit."""
    made = Following(most=2)
    put(made.log, DECISIONS, *(ban(number) for number in range(5)))
    made.made().turn()
    made.turn(made.made())
    sent = list(zip(made.receiver.ids, made.receiver.taken, strict=True))
    bodies = dict(sent)
    assert len(bodies) == 5
    assert len(made.receiver.ids) == 7
    assert all(bodies[each] == body for each, body in sent)


def test_the_newer_of_two_goes_on_and_the_older_ends() -> None:
    """Wherever they run: the name of a sink is its fence."""
    made = Following()
    old = made.made()
    made.made()
    put(made.log, DECISIONS, ban(0))
    with pytest.raises(Fenced):
        made.turn(old, for_ms=10_000)


def test_an_event_that_was_shipped_twice_has_one_id() -> None:
    """Though it stands at two places of the log; its place is a field."""
    made = Following(selection=EVENTS_ONLY)
    put(made.log, EVENTS, failed(7))
    put(made.log, EVENTS, failed(7))
    made.turn(made.made())
    first, second = map(orjson.loads, made.receiver.taken)
    assert first["uid"] == second["uid"]
    assert (first["ref"], second["ref"]) == ("0-0-0", "0-1-0")


def test_another_log_gives_its_first_ban_another_id() -> None:
    """Both are decision 0-0-0-0; a receiver that drops what it has would lose the second."""
    ids = set[str]()
    for name in ("aaaaaaaa", "bbbbbbbb"):
        ids.add(exported_id(ban(0), name, "0-0-0"))
    assert len(ids) == 2


def test_it_carries_what_it_selects() -> None:
    """A happening, and conditions on fields."""
    wanted = Selection(what=("decisions",), on=frozenset({"ban"}), where={"jail": ("ssh*",), "step": ("2",)})
    made = Following(selection=wanted)
    put(
        made.log, DECISIONS, ban(0), ban(1, jail="mail"), ban(2, step=1), ban(3, step=2), ban(4, expired=True)
    )
    made.turn(made.made())
    assert [each.split("-")[2] for each in made.receiver.ids] == ["0", "3"]


def test_so_many_a_minute_and_no_more() -> None:
    """What has no room waits."""
    made = Following(limit=6)
    put(made.log, DECISIONS, *(ban(number) for number in range(30)))
    runner = made.made()
    made.turn(runner)
    assert len(made.receiver.ids) == 6
    made.turn(runner, for_ms=60_000)
    assert 11 <= len(made.receiver.ids) <= 12
    made.turn(runner, for_ms=240_000)
    assert len(made.receiver.ids) == 30


def test_a_digest_gathers_what_comes_meanwhile() -> None:
    """The first goes at once, ten thousand within the minute in one batch."""
    made = Following(most=20_000, every_ms=60_000)
    runner = made.made()
    put(made.log, DECISIONS, ban(0))
    made.turn(runner)
    for message in range(100):
        put(made.log, DECISIONS, *(ban(1 + message * 100 + number) for number in range(100)))
    made.turn(runner, for_ms=61_000)
    assert made.receiver.batches == [1, 10_000]


def test_what_the_log_has_dropped_before_it_was_sent_is_said() -> None:
    """A sink whose receiver is away for longer than events are kept has lost some, and says how many."""
    made = Following(selection=EVENTS_ONLY)
    for position in range(5):
        put(made.log, EVENTS, failed(position))
    made.made()
    later_ms = AT_MS + EVENTS.retention_ms + 1 if EVENTS.retention_ms else 0
    made.log.retain(later_ms)
    put(made.log, EVENTS, failed(9))
    runner = made.made()
    made.turn(runner, for_ms=2_000)
    assert runner.status.missed == 5
    assert len(made.receiver.ids) == 1


def test_a_record_that_a_format_cannot_write_ends_nobody() -> None:
    """It is a dead letter."""
    made = Following()
    put(made.log, DECISIONS, ban(0), ban(1))
    runner = made.made()
    write = runner._plan.write  # noqa: SLF001 - a format of somebody's that fails
    object.__setattr__(runner._plan, "write", lambda item: write(item) if "-1-" in item.id else 1 / 0)  # noqa: SLF001
    made.turn(runner, for_ms=1_000)
    (letter,) = letters(made.log)
    assert "the format json cannot write it: ZeroDivisionError" in letter.reason
    assert len(made.receiver.ids) == 1


def test_a_ban_says_what_its_evidence_says() -> None:
    """Who reads it elsewhere does not have the events."""
    made = Following()
    put(made.log, EVENTS, failed(1, user="root"), failed(2, at_ms=AT_MS - 5_000))
    put(made.log, DECISIONS, ban(0, evidence=("0-0-0", "0-0-1", "0-7-0", "nonsense")))
    made.turn(made.made())
    (sent,) = map(orjson.loads, made.receiver.taken)
    assert sent["users"] == ["root", "admin"]
    assert (sent["first_at_ms"], sent["services"], sent["hosts"]) == (AT_MS - 5_000, ["sshd"], ["web1"])


REPLIES = st.sampled_from(["taken", "away", "again", "half", "short", "never"])


def reply(word: str, batch: Sequence[Sending]) -> list[SinkAnswer]:
    """How a receiver in trouble answers."""
    match word:
        case "again":
            return [AGAIN] * len(batch)
        case "half":
            return [TAKEN if number % 2 else AGAIN for number in range(len(batch))]
        case "short":
            return [TAKEN] * (len(batch) // 2)
        case "never":
            return [NEVER if number % 3 == 0 else TAKEN for number in range(len(batch))]
        case _:
            return [TAKEN] * len(batch)


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(REPLIES, max_size=25),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=8),
    kills=st.sets(st.integers(0, 30)),
    stops=st.sets(st.integers(0, 30)),
    most=st.integers(1, 5),
)
def test_whatever_a_receiver_answers_and_however_often_it_restarts_nothing_is_lost(
    words: list[str], sizes: list[int], kills: set[int], stops: set[int], most: int
) -> None:
    """Each item is taken, or a dead letter; without kills none is taken twice."""
    made = Following(most=most)
    number = 0
    for size in sizes:
        put(made.log, DECISIONS, *(ban(number + each) for each in range(size)))
        number += size
    for word in words:
        made.receiver.replies.append(None if word == "away" else partial(reply, word))
    runner = made.made()
    for turn in range(4 * number + 60):
        runner.turn()
        made.steady_ms += 61_000
        if turn in stops:
            runner.stop()
        if turn in stops | kills:
            runner = made.made()
    made.turn(runner, for_ms=10_000)
    dead = {f"{LOG}-{orjson.loads(each.line)['id']}" for each in letters(made.log)}
    assert set(made.receiver.ids) | dead == {f"{LOG}-0-{each}-0-0" for each in range(number)}
    if not kills:
        assert len(made.receiver.ids) == len(set(made.receiver.ids))


def test_it_lets_go_of_its_receiver() -> None:
    """A stop closes the transport."""
    made = Following(receiver=Keeping())
    made.made().stop()
    assert made.receiver.closed == 1
