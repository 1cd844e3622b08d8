"""One contract, every log: what eventlog.contract promises holds for each of them.

A test with `subject` holds for all. One with `embedded` says more than the contract does: it holds for logs
that are given a clock, have no gaps, and compact and drop in the moment they are told to.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from eventlog.contract import Append
from eventlog.terms import TOMBSTONE_KEPT_MS
from schemas.errors import Fenced, LogError
from schemas.topics import ALL, BANS, DAY_MS, DEADLETTERS, DECISIONS, ENFORCEMENTS, EVENTS, STATE
from tests.eventlog.filling import noise
from tests.eventlog.subjects import START_MS, Subject

BAD_APPENDS = {
    "unknown topic": Append("banstream.nonsense", b"x"),
    "partition past the last": Append(EVENTS.name, b"x", partition=4),
    "negative partition": Append(EVENTS.name, b"x", partition=-1),
    "compacted without key": Append(BANS.name, b"x"),
}


class TestReading:
    """Messages come back as they were written, in order, from any offset."""

    def test_an_empty_log_ends_where_it_begins(self, subject: Subject) -> None:
        """Every topic of a new log begins and ends at 0, and reads as empty."""
        for topic in ALL:
            assert (subject.log.begin(topic.name), subject.log.end(topic.name, 3)) == (0, 0)
            assert subject.log.read(topic.name, 3, 0) == []

    def test_a_message_comes_back_as_it_was_written(self, subject: Subject) -> None:
        """Value, key, partition and the clock's instant are kept, whatever the bytes."""
        value = bytes(range(256)) + b'\n{"type":"tick"}\n'
        before_ms = subject.now_ms()
        assert subject.log.append([Append(EVENTS.name, value, "hôst-ß", 2)]) == [0]
        (message,) = subject.log.read(EVENTS.name, 2, 0)
        assert message.value == value
        assert type(message.value) is bytes
        assert (message.partition, message.offset, message.key) == (2, 0, "hôst-ß")
        assert before_ms <= message.at_ms <= subject.now_ms()

    def test_offsets_count_each_partition_alone(self, subject: Subject) -> None:
        """Offsets ascend by one in each partition of each topic, in the order of the appends."""
        wanted = [(EVENTS, 0), (EVENTS, 1), (DECISIONS, 1), (EVENTS, 1), (EVENTS, 0), (DECISIONS, 1)]
        appends = [Append(topic.name, b"%d" % n, partition=p) for n, (topic, p) in enumerate(wanted)]
        assert subject.log.append(appends) == [0, 0, 0, 1, 1, 1]
        assert subject.log.append(appends) == [2, 2, 2, 3, 3, 3]
        assert subject.values(EVENTS.name, 1) == [b"1", b"3", b"1", b"3"]
        assert subject.values(DECISIONS.name, 1) == [b"2", b"5", b"2", b"5"]
        assert [subject.log.end(EVENTS.name, p) for p in range(4)] == [4, 4, 0, 0]

    def test_a_read_starts_at_its_offset_and_stops_at_its_limit(self, subject: Subject) -> None:
        """A reader pages through a partition by offset and limit, and gets nothing at or past the end."""
        subject.log.append([Append(EVENTS.name, b"%d" % n) for n in range(10)])
        pages = [
            [m.offset for m in subject.log.read(EVENTS.name, 0, at, limit=4)] for at in (0, 4, 8, 10, 99)
        ]
        assert pages == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [], []]

    def test_big_frames_are_read_whole(self, subject: Subject) -> None:
        """Frames of megabytes come back whole, however few of them one read gives."""
        frames = [bytes([n]) * 3_000_000 for n in range(4)]
        subject.log.append([Append(EVENTS.name, frame) for frame in frames])
        read: list[bytes] = []
        while messages := subject.log.read(EVENTS.name, 0, len(read)):
            read += [message.value for message in messages]
        assert read == frames

    def test_threads_may_share_a_log(self, subject: Subject) -> None:
        """Appends of several threads at once all arrive, each with an offset of its own."""

        def append(thread: int) -> list[int]:
            return [subject.put(EVENTS.name, b"%d-%d" % (thread, number)) for number in range(100)]

        with ThreadPoolExecutor(4) as threads:
            offsets = sorted(offset for given in threads.map(append, range(4)) for offset in given)
        assert offsets == list(range(400))
        values = subject.values(EVENTS.name)
        assert sorted(values) == sorted(b"%d-%d" % (thread, n) for thread in range(4) for n in range(100))

    def test_an_append_of_nothing_writes_nothing(self, subject: Subject) -> None:
        """An empty append is no error and takes no offset."""
        assert subject.log.append([]) == []
        assert subject.log.end(EVENTS.name) == 0

    @pytest.mark.parametrize("bad", BAD_APPENDS.values(), ids=BAD_APPENDS)
    def test_one_bad_message_stops_the_whole_append(self, subject: Subject, bad: Append) -> None:
        """An append with one message that no topic takes is a LogError, and writes none of the others."""
        with pytest.raises(LogError, match=r"partition|topic"):
            subject.log.append([Append(EVENTS.name, b"good"), bad])
        assert subject.values(EVENTS.name) == []
        assert subject.put(EVENTS.name) == 0

    def test_what_is_appended_again_is_there_in_order(self, subject: Subject) -> None:
        """Whoever cannot know whether an append happened repeats it whole: the first of each are in order."""
        appends = [Append(EVENTS.name, b"%d" % number, partition=number % 2) for number in range(8)]
        subject.log.append(appends[:5])  # what was written of the first try: of each partition the first ones
        subject.log.append(appends)
        for partition in (0, 1):
            values = [int(value) for value in subject.values(EVENTS.name, partition)]
            assert sorted(set(values), key=values.index) == list(range(partition, 8, 2))

    def test_reading_what_does_not_exist_is_an_error(self, subject: Subject) -> None:
        """A reader of an unknown topic or partition is told so, instead of waiting for ever."""
        with pytest.raises(LogError, match="no topic"):
            subject.log.read("banstream.event", 0, 0)
        with pytest.raises(LogError, match="no partition 4"):
            subject.log.end(EVENTS.name, 4)


class TestCommits:
    """A writer's commit is all or nothing, and only the newest writer of a name has any."""

    def test_a_commit_appends_and_moves_positions(self, subject: Subject) -> None:
        """Messages and positions of a commit are there together; a position is what was last committed."""
        writer = subject.log.writer("decider")
        assert subject.log.position("decider-0") is None
        assert writer.commit(
            [Append(DECISIONS.name, b"a"), Append(DECISIONS.name, b"b")], {"decider-0": b"7"}
        ) == [0, 1]
        assert subject.log.position("decider-0") == b"7"
        assert writer.commit([], {"decider-0": b"\x00\xff", "decider-1": b""}) == []
        assert subject.log.position("decider-0") == b"\x00\xff"
        assert subject.log.position("decider-1") == b""
        assert subject.values(DECISIONS.name) == [b"a", b"b"]

    @pytest.mark.parametrize("bad", BAD_APPENDS.values(), ids=BAD_APPENDS)
    def test_a_commit_with_one_bad_message_does_nothing(self, subject: Subject, bad: Append) -> None:
        """Neither messages nor positions of a refused commit are kept, and the writer goes on."""
        writer = subject.log.writer("decider")
        with pytest.raises(LogError):
            writer.commit([Append(DECISIONS.name, b"a"), bad], {"decider-0": b"7"})
        assert subject.values(DECISIONS.name) == []
        assert subject.log.position("decider-0") is None
        assert writer.commit([Append(DECISIONS.name, b"a")], {}) == [0]

    def test_a_newer_writer_fences_the_older(self, subject: Subject) -> None:
        """The older writer of a name raises Fenced and writes nothing; the newer one writes."""
        older = subject.log.writer("decider")
        older.commit([], {"decider-0": b"1"})
        newer = subject.log.writer("decider")
        with pytest.raises(Fenced, match="decider"):
            older.commit([Append(DECISIONS.name, b"late")], {"decider-0": b"2"})
        assert subject.values(DECISIONS.name) == []
        assert subject.log.position("decider-0") == b"1"
        newer.commit([Append(DECISIONS.name, b"new")], {"decider-0": b"3"})
        assert subject.values(DECISIONS.name) == [b"new"]

    def test_a_fenced_writer_cannot_come_back(self, subject: Subject) -> None:
        """Fenced once is fenced for ever, for an empty commit too."""
        older = subject.log.writer("decider")
        subject.log.writer("decider").close()
        for _ in range(2):
            with pytest.raises(Fenced):
                older.commit([], {})

    def test_writers_of_other_names_go_on(self, subject: Subject) -> None:
        """A new writer fences its own name only; those who just append need no writer."""
        shipper = subject.log.writer("shipper")
        subject.log.writer("decider")
        assert shipper.commit([Append(EVENTS.name, b"a")], {}) == [0]
        assert subject.put(EVENTS.name, b"b") > 0
        assert subject.values(EVENTS.name) == [b"a", b"b"]

    def test_a_closed_writer_writes_nothing(self, subject: Subject) -> None:
        """A commit after close is a LogError; closing twice is none."""
        writer = subject.log.writer("decider")
        writer.close()
        writer.close()
        with pytest.raises(LogError, match="closed"):
            writer.commit([Append(EVENTS.name, b"a")], {})
        assert subject.values(EVENTS.name) == []


class TestCompaction:
    """In a compacted topic the newest message of each key stays, and a tombstone frees the key."""

    def test_the_newest_of_a_key_is_kept(self, subject: Subject) -> None:
        """A reader meets the newest message of every key, at its own offset."""
        pairs = (("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4"), ("b", b"5"))
        offsets = [subject.put(BANS.name, value, key) for key, value in pairs]
        kept = {message.key: (message.offset, message.value) for message in subject.read(BANS.name)}
        assert kept == {"a": (offsets[2], b"3"), "c": (offsets[3], b"4"), "b": (offsets[4], b"5")}

    def test_nothing_but_the_newest_of_a_key_is_kept(self, embedded: Subject) -> None:
        """A message replaces the one before of its key; its offset leaves a gap that readers pass."""
        subject = embedded
        for key, value in (("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4"), ("b", b"5")):
            subject.put(BANS.name, value, key)
        kept = [(message.offset, message.key, message.value) for message in subject.read(BANS.name)]
        assert kept == [(2, "a", b"3"), (3, "c", b"4"), (4, "b", b"5")]
        assert [message.offset for message in subject.log.read(BANS.name, 0, 1, limit=1)] == [2]
        assert (subject.log.begin(BANS.name), subject.log.end(BANS.name)) == (2, 5)

    def test_one_commit_may_write_a_key_twice(self, subject: Subject) -> None:
        """Of two messages with one key in one append, the second is kept, and both have an offset."""
        appends = [Append(BANS.name, b"1", "a"), Append(BANS.name, b"2", "a")]
        assert subject.log.append(appends) == [0, 1]
        assert [(message.offset, message.value) for message in subject.log.latest(BANS.name)] == [(1, b"2")]

    def test_the_same_key_elsewhere_is_another(self, subject: Subject) -> None:
        """Keys are compacted within their partition of their topic."""
        for topic, partition in ((STATE, 0), (STATE, 1), (BANS, 0)):
            subject.put(topic.name, b"x", "a", partition)
        assert [len(list(subject.log.latest(STATE.name, partition))) for partition in range(4)] == [
            1,
            1,
            0,
            0,
        ]
        assert len(list(subject.log.latest(BANS.name))) == 1

    def test_other_topics_keep_every_message_of_a_key(self, subject: Subject) -> None:
        """A key in a topic that is not compacted replaces nothing."""
        subject.put(ENFORCEMENTS.name, b"1", "host")
        subject.put(ENFORCEMENTS.name, b"2", "host")
        assert subject.values(ENFORCEMENTS.name) == [b"1", b"2"]

    def test_latest_gives_what_is_in_force(self, subject: Subject) -> None:
        """`latest` gives the newest of every key by offset, and no freed key."""
        for key, value in (("a", b"1"), ("b", b"2"), ("c", b"3"), ("a", b"4"), ("b", b"")):
            subject.put(BANS.name, value, key)
        assert [(message.key, message.value) for message in subject.log.latest(BANS.name)] == [
            ("c", b"3"),
            ("a", b"4"),
        ]

    def test_latest_misses_no_key_that_moves_meanwhile(self, subject: Subject) -> None:
        """A key that is written again while `latest` is read comes at least once."""
        keys = [str(number) for number in range(2_500)]
        subject.log.append([Append(BANS.name, b"1", key) for key in keys])
        seen = set()
        for number, message in enumerate(subject.log.latest(BANS.name)):
            if number == 0:
                subject.log.append([Append(BANS.name, b"2", key) for key in keys[2_000:]])
            seen.add(message.key)
        assert seen == set(keys)

    def test_latest_is_for_compacted_topics(self, subject: Subject) -> None:
        """`latest` of a topic that is not compacted is a LogError."""
        with pytest.raises(LogError, match="not compacted"):
            list(subject.log.latest(EVENTS.name))

    def test_a_follower_sees_a_tombstone(self, subject: Subject) -> None:
        """A tombstone is read as a message with its key and no value."""
        subject.put(BANS.name, b"1", "a")
        offset = subject.put(BANS.name, b"", "a")
        (message,) = subject.log.read(BANS.name, 0, offset)
        assert (message.offset, message.key, message.value) == (offset, "a", b"")

    def test_a_tombstone_is_seen_for_a_day(self, embedded: Subject) -> None:
        """A follower sees the key freed for TOMBSTONE_KEPT_MS; then retention drops the tombstone."""
        subject = embedded
        subject.put(BANS.name, b"1", "a")
        subject.put(BANS.name, b"", "a")
        assert subject.log.retain(START_MS + TOMBSTONE_KEPT_MS) == 0
        assert [(message.key, message.value) for message in subject.read(BANS.name)] == [("a", b"")]
        assert subject.log.retain(START_MS + TOMBSTONE_KEPT_MS + 1) == 1
        assert subject.read(BANS.name) == []

    def test_a_freed_key_may_come_back(self, subject: Subject) -> None:
        """A key that was freed is taken again."""
        for value in (b"1", b"", b"2"):
            subject.put(BANS.name, value, "a")
        assert [message.value for message in subject.log.latest(BANS.name)] == [b"2"]

    def test_a_dropped_key_may_come_back(self, embedded: Subject) -> None:
        """A key that was freed and dropped is taken again at the next offset."""
        subject = embedded
        subject.put(BANS.name, b"1", "a")
        subject.put(BANS.name, b"", "a")
        subject.log.retain(START_MS + 2 * TOMBSTONE_KEPT_MS)
        assert subject.put(BANS.name, b"2", "a") == 2
        assert [message.value for message in subject.log.latest(BANS.name)] == [b"2"]

    def test_what_is_in_force_stays_for_ever(self, subject: Subject) -> None:
        """Retention never drops a key in force, however old."""
        subject.put(STATE.name, b"1", "a")
        assert subject.log.retain(START_MS + 10_000 * DAY_MS) == 0
        assert subject.values(STATE.name) == [b"1"]


class TestTime:
    """Messages are found by when they were appended, also where the clock stepped."""

    def test_an_instant_names_the_first_message_from_then_on(self, subject: Subject) -> None:
        """`offset_at` is the first message at or after the instant, and the end after the last."""
        for _ in range(4):
            subject.put(EVENTS.name)
            subject.tick()
        messages = subject.read(EVENTS.name)
        found = [subject.log.offset_at(EVENTS.name, 0, message.at_ms) for message in messages]
        assert found == [0, 1, 2, 3]
        assert subject.log.offset_at(EVENTS.name, 0, messages[0].at_ms + 1) == 1
        assert subject.log.offset_at(EVENTS.name, 0, messages[3].at_ms + 1) == 4
        assert subject.log.offset_at(EVENTS.name, 0, 0) == 0

    def test_an_instant_of_many_messages_names_the_first(self, embedded: Subject) -> None:
        """`offset_at` is the first message at or after the instant, and the end after the last."""
        subject = embedded
        for at_ms in (100, 200, 200, 300):
            subject.clock.now_ms = at_ms
            subject.put(EVENTS.name)
        found = [subject.log.offset_at(EVENTS.name, 0, at_ms) for at_ms in (0, 100, 101, 200, 201, 300, 301)]
        assert found == [0, 0, 1, 1, 3, 3, 4]

    def test_an_empty_partition_has_no_instant(self, subject: Subject) -> None:
        """In an empty partition every instant is at the end."""
        assert subject.log.offset_at(EVENTS.name, 0, 0) == 0

    def test_an_emptied_partition_has_no_instant(self, embedded: Subject) -> None:
        """In a partition whose messages were dropped every instant is at the end."""
        subject = embedded
        subject.put(EVENTS.name)
        subject.log.retain(START_MS + 31 * DAY_MS)
        assert subject.log.offset_at(EVENTS.name, 0, 0) == 1

    @pytest.mark.parametrize("seed", range(5))
    def test_a_clock_that_steps_hides_no_message(self, embedded: Subject, seed: int) -> None:
        """With instants in any order, the answer is still the first at or after the instant."""
        subject = embedded
        chosen = random.Random(seed)
        times = [chosen.randrange(1_000) for _ in range(60)]
        for at_ms in times:
            subject.clock.now_ms = at_ms
            subject.put(EVENTS.name, partition=1)
        for at_ms in range(0, 1_010, 7):
            first = next((offset for offset, time in enumerate(times) if time >= at_ms), len(times))
            assert subject.log.offset_at(EVENTS.name, 1, at_ms) == first

    def test_gaps_of_compaction_hide_no_message(self, embedded: Subject) -> None:
        """In a compacted topic the answer is a message that is kept, whatever was replaced before it."""
        subject = embedded
        for number in range(50):
            subject.clock.now_ms = START_MS + number
            subject.put(BANS.name, b"x", str(number % 3))
        assert subject.log.offset_at(BANS.name, 0, START_MS) == 47
        assert subject.log.offset_at(BANS.name, 0, START_MS + 48) == 48


class TestRetention:
    """Messages go when their topic says so, oldest first, and their offsets are never used again."""

    def test_messages_are_dropped_by_their_topic_s_age(self, embedded: Subject) -> None:
        """What was appended longer ago than the retention goes, in each topic by its own."""
        subject = embedded
        for topic in (EVENTS, DECISIONS, DEADLETTERS):
            subject.put(topic.name, b"old", partition=1)
        subject.clock.now_ms += DAY_MS
        subject.put(EVENTS.name, b"young", partition=1)
        assert subject.log.retain(START_MS + 30 * DAY_MS) == 0
        assert subject.log.retain(START_MS + 30 * DAY_MS + 1) == 2
        assert subject.values(EVENTS.name, 1) == [b"young"]
        assert (subject.log.begin(EVENTS.name, 1), subject.log.end(EVENTS.name, 1)) == (1, 2)
        assert subject.values(DECISIONS.name, 1) == [b"old"]

    def test_offsets_are_never_used_twice(self, embedded: Subject) -> None:
        """After all messages were dropped, and after a restart, the next offset is the next one."""
        subject = embedded
        subject.log.append([Append(EVENTS.name, b"x")] * 1_200)
        assert subject.log.retain(START_MS + 31 * DAY_MS) == 1_200
        subject.reopen()
        assert (subject.log.begin(EVENTS.name), subject.log.end(EVENTS.name)) == (1_200, 1_200)
        assert subject.put(EVENTS.name) == 1_200

    def test_a_clock_that_was_in_1970_loses_no_history(self, embedded: Subject) -> None:
        """A young message protects those after it, even where they carry an instant long past."""
        subject = embedded
        subject.put(EVENTS.name, b"before the reboot")
        subject.clock.now_ms = 1_000
        subject.put(EVENTS.name, b"while the clock was unset")
        assert subject.log.retain(START_MS + DAY_MS) == 0

    def test_a_clock_that_was_in_2099_keeps_no_history_for_ever(self, embedded: Subject) -> None:
        """A message from the future goes as soon as one after it does, and not before."""
        subject = embedded
        subject.clock.now_ms = START_MS + 20_000 * DAY_MS
        subject.put(EVENTS.name, b"from the future")
        assert subject.log.retain(START_MS + 40 * DAY_MS) == 0
        subject.clock.now_ms = START_MS
        subject.put(EVENTS.name, b"after the clock was set")
        assert subject.log.retain(START_MS + DAY_MS) == 0
        assert subject.log.retain(START_MS + 31 * DAY_MS) == 2


class TestSize:
    """A log of one machine lets its oldest messages go for room; a cluster's brokers look after theirs."""

    ROOM_BYTES = 1 << 20

    def fill(self, subject: Subject) -> None:
        """Two megabytes of events over two partitions, and a little of all that must stay."""
        for topic in (DECISIONS, BANS, STATE):
            subject.put(topic.name, b"stays", "k")
        for number in range(64):
            subject.put(EVENTS.name, b"%d" % number + b"\0" + noise(32_768), partition=number % 2)
            subject.tick()

    def test_the_oldest_events_go_and_what_was_decided_stays(self, embedded: Subject) -> None:
        """Over all partitions by their instants; decisions, bans and state keep all they have."""
        subject = embedded
        self.fill(subject)
        dropped, excess_bytes = subject.log.shrink(self.ROOM_BYTES, dict)
        assert excess_bytes == 0
        assert 32 <= dropped < 44
        kept = sorted(
            int(each.partition(b"\0")[0]) for n in (0, 1) for each in subject.values(EVENTS.name, n)
        )
        assert kept == list(range(dropped, 64))
        assert [subject.values(topic.name) for topic in (DECISIONS, BANS, STATE)] == [[b"stays"]] * 3
        assert subject.log.shrink(self.ROOM_BYTES, dict) == (0, 0)

    def test_what_is_still_needed_stays(self, embedded: Subject) -> None:
        """From the offset on that somebody has still to read, nothing goes, and what is too much is told."""
        subject = embedded
        self.fill(subject)
        needed = {(EVENTS.name, 0): 2, (EVENTS.name, 1): 0}
        dropped, excess_bytes = subject.log.shrink(self.ROOM_BYTES, lambda: needed)
        assert dropped == 2
        assert excess_bytes > self.ROOM_BYTES // 2
        assert (subject.log.begin(EVENTS.name, 0), subject.log.begin(EVENTS.name, 1)) == (2, 0)

    def test_enforcements_and_dead_letters_go_last(self, embedded: Subject) -> None:
        """While there are events they stay; then their oldest go, over both topics."""
        subject = embedded
        subject.put(EVENTS.name)
        for number in range(64):
            topic = (ENFORCEMENTS, DEADLETTERS)[number % 2]
            subject.put(topic.name, noise(32_768))
            subject.tick()
        dropped, excess_bytes = subject.log.shrink(self.ROOM_BYTES, dict)
        assert (subject.values(EVENTS.name), excess_bytes) == ([], 0)
        left = [len(subject.values(topic.name)) for topic in (ENFORCEMENTS, DEADLETTERS)]
        assert sum(left) == 65 - dropped
        assert abs(left[0] - left[1]) <= 1

    def test_a_log_within_its_size_asks_nobody(self, embedded: Subject) -> None:
        """What is still needed is asked for only where something has to go."""
        embedded.put(EVENTS.name)
        assert embedded.log.shrink(self.ROOM_BYTES, lambda: pytest.fail("asked")) == (0, 0)

    def test_on_a_cluster_nothing_is_dropped(self, subject: Subject) -> None:
        """Whatever the log, a bound that it is within changes nothing."""
        subject.put(EVENTS.name)
        assert subject.log.shrink(self.ROOM_BYTES, dict) == (0, 0)
        assert subject.values(EVENTS.name) == [b"x"]


class TestWaiting:
    """A reader sleeps until there is more, and is woken by whoever writes."""

    def test_what_is_there_is_not_waited_for(self, subject: Subject) -> None:
        """At once true where a place has a message at its offset, false after the time where none has."""
        offset = subject.put(EVENTS.name, partition=2)
        places = {(BANS.name, 0): 0, (EVENTS.name, 2): offset, (EVENTS.name, 3): 0}
        assert subject.log.wait(places, timeout_ms=10_000)
        assert subject.log.wait(places, timeout_ms=10_000)
        assert not subject.log.wait({**places, (EVENTS.name, 2): offset + 1}, timeout_ms=50)

    def test_whoever_writes_wakes_those_who_wait(self, subject: Subject) -> None:
        """By an append or a commit, to any place that is waited for; a write elsewhere wakes nobody."""
        offset = subject.put(DECISIONS.name, partition=1)
        places = {(BANS.name, 0): 0, (DECISIONS.name, 1): offset + 1}
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(subject.log.wait, places, timeout_ms=30_000) for _ in range(2)]
            subject.put(EVENTS.name)
            time.sleep(0.1)
            assert not any(each.done() for each in waiting)
            started = time.monotonic()
            with closing(subject.log.writer("w")) as writer:
                writer.commit([Append(DECISIONS.name, b"1", partition=1)], {})
            assert all(each.result() for each in waiting)
            assert time.monotonic() - started < 10


class TestRestart:
    """What was written is there after a restart."""

    def test_messages_positions_and_offsets_outlive_a_restart(self, subject: Subject) -> None:
        """A reopened log has the same messages, positions, partitions, and goes on counting."""
        writer = subject.log.writer("decider")
        writer.commit([Append(BANS.name, b"1", "a"), Append(EVENTS.name, b"e", partition=3)], {"r": b"9"})
        before = subject.read(BANS.name), subject.read(EVENTS.name, 3)
        subject.reopen()
        assert (subject.read(BANS.name), subject.read(EVENTS.name, 3)) == before
        assert subject.log.position("r") == b"9"
        assert subject.log.partitions == 4
        assert subject.log.end(EVENTS.name, 3) > before[1][0].offset
        assert subject.put(EVENTS.name, partition=3) > before[1][0].offset

    def test_closing_twice_is_no_error(self, subject: Subject) -> None:
        """`close` is idempotent."""
        subject.log.close()
        subject.log.close()
