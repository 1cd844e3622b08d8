"""The SQLite log and the memory log agree, whatever is done to them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.contract import Append, Message
from schemas.errors import Fenced
from schemas.topics import BANS, DAY_MS, DECISIONS, EVENTS, STATE
from tests.eventlog.subjects import START_MS, Subject, memory, sqlite
from tests.schemas.strategies import PATIENT

TOPICS = (EVENTS, DECISIONS, BANS, STATE)

appends = st.builds(
    Append,
    topic=st.sampled_from([topic.name for topic in TOPICS]),
    value=st.binary(max_size=3),
    key=st.sampled_from("abc"),
    partition=st.integers(0, 1),
)
steps = st.one_of(
    st.tuples(st.just("append"), st.lists(appends, max_size=6)),
    st.tuples(st.just("commit"), st.lists(appends, max_size=6)),
    st.tuples(st.just("writer"), st.none()),
    st.tuples(st.just("clock"), st.integers(-40 * DAY_MS, 40 * DAY_MS)),
    st.tuples(st.just("retain"), st.none()),
    st.tuples(st.just("reopen"), st.none()),
)


class Driver:
    """Does steps to one log; an older and a newer writer take turns, so that some commits are fenced."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.writers = [subject.log.writer("w")]

    def do(self, step: str, argument: list[Append] | int | None) -> object:
        """Do one step; returns what the log said."""
        match step, argument:
            case "append", list(messages):
                return self.subject.log.append(messages)
            case "commit", list(messages):
                return [self._commit(index, messages) for index in range(len(self.writers))]
            case "clock", int(by_ms):
                self.subject.clock.now_ms += by_ms
            case "retain", _:
                return self.subject.log.retain(self.subject.clock.now_ms)
            case "writer", _:
                self.writers = [self.writers[-1], self.subject.log.writer("w")]
            case _:
                self.subject.reopen()
                self.writers = [self.subject.log.writer("w")]
        return None

    def _commit(self, index: int, messages: list[Append]) -> list[int] | str:
        try:
            return self.writers[index].commit(messages, {"r": b"%d" % self.subject.log.end(EVENTS.name)})
        except Fenced:
            return "fenced"

    def state(self) -> list[object]:
        """All that can be read."""
        log = self.subject.log
        state: list[object] = [log.position("r")]
        for topic in TOPICS:
            for partition in (0, 1):
                state += [log.begin(topic.name, partition), log.end(topic.name, partition)]
                state.append(log.read(topic.name, partition, 1))
                state.append(self._latest(topic.name, partition) if topic.compacted else None)
        return state

    def _latest(self, topic: str, partition: int) -> list[Message]:
        return list(self.subject.log.latest(topic, partition))


@settings(PATIENT, max_examples=60)
@given(st.lists(steps, max_size=25))
def test_memory_and_sqlite_agree(done: list[tuple[str, list[Append] | int | None]]) -> None:
    """After any steps both logs returned the same and hold the same, whatever the clock did."""
    with TemporaryDirectory() as directory:
        one, other = Driver(memory(Path(directory))), Driver(sqlite(Path(directory)))
        for step, argument in done:
            assert one.do(step, argument) == other.do(step, argument)
        assert one.state() == other.state()
        other.subject.log.close()


@settings(PATIENT, max_examples=40)
@given(st.lists(st.integers(0, 50), max_size=40), st.integers(0, 60), st.integers(0, 30))
def test_an_instant_is_never_answered_too_late(times: list[int], at_ms: int, dropped: int) -> None:
    """After retention, a reader from `offset_at` misses no message kept that was appended at or after it."""
    with TemporaryDirectory() as directory:
        subject = sqlite(Path(directory))
        for time in times:
            subject.clock.now_ms = START_MS + time
            subject.put(EVENTS.name)
        subject.log.retain(START_MS + dropped + 30 * DAY_MS)
        found = subject.log.offset_at(EVENTS.name, 0, START_MS + at_ms)
        kept = subject.read(EVENTS.name)
        assert found in {message.offset for message in kept} | {subject.log.end(EVENTS.name)}
        assert all(message.offset >= found for message in kept if message.at_ms >= START_MS + at_ms)
        subject.log.close()
