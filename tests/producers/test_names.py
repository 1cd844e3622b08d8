"""Host names in lines: asked for beside the work, their events of each address, none lost by a restart."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

import producers.names
from eventlog.memory import MemoryLog
from producers.names import (
    LOST,
    MOST_OF_A_DOMAIN,
    MOST_WAITING,
    OF_ONE_DOMAIN,
    THREADS,
    TOO_MANY,
    Names,
    Waiting,
    domain_of,
)
from producers.producer import Producer, WatchedSource
from producers.stream import NAMES_LEFT
from schemas.codec import AuthLine, changed, decode_frame, wires_of
from schemas.records import AuthEvent
from schemas.topics import EVENTS
from tests.banstream.service import eventually

NOW_MS = 1_795_338_000_000
LINE = "Nov 22 09:00:00 web pure-ftpd: (?@{name}) [WARNING] Authentication failed for user [bob]\n"


class Directory:
    """Answers from a table once it is let; every question is written down."""

    def __init__(self, **known: Sequence[str]) -> None:
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}
        self.open = threading.Event()
        self.asked: list[str] = []

    def __call__(self, name: str) -> Sequence[str]:
        """A name's addresses."""
        self.asked.append(name)
        self.open.wait(20)
        return self.known.get(name, ())


def events(log: MemoryLog) -> list[AuthEvent]:
    """Every event in a log."""
    found = [decode_frame(message.value) for message in log.read(EVENTS.name, 0, 0, limit=1_000)]
    return [each for frame in found for each in frame if isinstance(each, AuthEvent)]


HOSTS = """127.0.0.1 localhost
192.0.2.7 one.example
192.0.2.8 two.example
192.0.2.9 two.example
192.0.2.20 victim.example
192.0.2.20 liar.example
"""


def resolved(tmp_path: Path, *names: str) -> list[list[str]]:
    """What the system's resolver gives, with a hosts file of our own and no name server."""
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS, encoding="ascii")
    program = f"from producers.names import addresses_of\nprint([addresses_of(name) for name in {names!r}])"
    mounted = 'mount --bind "$1" /etc/hosts && exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "-m", "-n", "sh", "-c", mounted, "sh", str(hosts), sys.executable, program],
        check=True,
        capture_output=True,
        text=True,
    )
    found: list[list[str]] = ast.literal_eval(done.stdout)
    return found


def test_a_name_counts_where_its_one_address_leads_back_to_it(tmp_path: Path) -> None:
    """Two addresses, another's address, no address, no name: none of these names anybody."""
    names = (
        "one.example",
        "ONE.example",
        "two.example",
        "victim.example",
        "liar.example",
        "no such",
        "a" * 300,
    )
    assert resolved(tmp_path, *names) == [
        ["192.0.2.7"],
        ["192.0.2.7"],
        [],
        ["192.0.2.20"],
        [],
        [],
        [],
    ]


def test_native_filters_leave_names_alone_unless_told(tmp_path: Path) -> None:
    """Whoever owns a zone would choose whom it bans; what is left is counted, and says what to do."""
    path = tmp_path / "ftp.log"
    path.write_text(LINE.format(name="a.example") + LINE.format(name="192.0.2.9"), encoding="ascii")
    log, directory = MemoryLog(), Directory(a_example=["192.0.2.7"])
    directory.open.set()
    producer = Producer(
        log,
        [WatchedSource(f"file:{path}", ("pureftpd",), start="beginning")],
        lambda: NOW_MS,
        names=Names(directory),
    )
    producer.poll()
    assert [each.ip for each in events(log)] == ["192.0.2.9"]
    assert producer.notices()[NAMES_LEFT] == 1
    assert not directory.asked
    producer.close()


def test_one_domain_holds_up_no_other() -> None:
    """Names of one zone whose servers never answer: another's name is asked for at once, and has room."""
    silent = threading.Event()

    def look_up(name: str) -> Sequence[str]:
        if name.endswith("slow.example"):
            silent.wait(20)
        return ["192.0.2.7"]

    waiting = Waiting(Names(look_up), {})
    waiting.add([named(f"{number}.slow.example") for number in range(1_100)])
    assert waiting.counts[OF_ONE_DOMAIN] == 1_100 - MOST_OF_A_DOMAIN
    assert waiting.due(NOW_MS) == []
    waiting.add([named("good.example")])
    eventually(lambda: [each.ip for each in waiting.due(NOW_MS)] == ["192.0.2.7"], "the other's name")
    silent.set()


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("a.b.example.com", "example.com"),
        ("example.com.", "example.com"),
        ("A.Example.co.uk", "example.co.uk"),
        ("localhost", "localhost"),
        ("b.co", "b.co"),
        ("h1.x.com", "x.com"),
        ("h1.abc.de", "abc.de"),
        ("h.t.co", "t.co"),
    ],
)
def test_whose_a_name_is(name: str, domain: str) -> None:
    """Its domain is what somebody registers: two labels, or three below a short second level."""
    assert domain_of(name) == domain


def test_a_name_becomes_an_event_of_each_address_and_holds_nothing_up(tmp_path: Path) -> None:
    """While the DNS is silent other lines go on; its answer makes events; a second line asks nobody."""
    log, directory = MemoryLog(), Directory(a_example=["192.0.2.7", "2001:db8::7"])
    path = tmp_path / "ftp.log"
    path.write_text(LINE.format(name="a.example") + LINE.format(name="192.0.2.9"), encoding="ascii")
    watch = WatchedSource(f"file:{path}", ("pureftpd",), start="beginning", usedns=True)
    producer = Producer(log, [watch], lambda: NOW_MS, names=Names(directory))
    producer.poll()
    assert [each.ip for each in events(log)] == ["192.0.2.9"]
    directory.open.set()
    eventually(lambda: producer.poll() or len(events(log)) == 3, "the name is resolved")
    assert {each.ip for each in events(log)} == {"192.0.2.7", "192.0.2.9", "2001:db8::7"}
    with path.open("a", encoding="ascii") as stream:
        stream.write(LINE.format(name="a.example"))
    eventually(lambda: producer.poll() or len(events(log)) == 5, "the second line")
    assert directory.asked == ["a.example"]
    late = [each for each in events(log) if each.incarnation.endswith("/names")]
    assert len({each.position for each in late}) == 4
    assert [each.position for each in late] == sorted(each.position for each in late)
    producer.close()


def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    """A name that nobody has answered is asked for again by the next process: its event is not lost."""
    log, silent = MemoryLog(), Directory()
    path = tmp_path / "ftp.log"
    path.write_text(LINE.format(name="a.example"), encoding="ascii")
    watch = WatchedSource(f"file:{path}", ("pureftpd",), start="beginning", usedns=True)
    first = Producer(log, [watch], lambda: NOW_MS, names=Names(silent))
    first.poll()
    first.close()
    directory = Directory(a_example=["192.0.2.7"])
    directory.open.set()
    second = Producer(log, [watch], lambda: NOW_MS, names=Names(directory))
    eventually(lambda: second.poll() or events(log), "the name is resolved")
    assert [(each.ip, each.user) for each in events(log)] == [("192.0.2.7", "bob")]
    second.close()
    silent.open.set()


@pytest.mark.parametrize(
    "failure", [UnicodeError("label"), ValueError("no address"), OSError(5), KeyError("x")]
)
def test_a_question_that_fails_is_answered_by_nothing_and_the_next_are_asked(failure: Exception) -> None:
    """Whatever a name does to the resolver: it has no address, and nobody else's question waits for ever."""

    def look_up(name: str) -> Sequence[str]:
        if name.startswith("bad"):
            raise failure
        return ["192.0.2.7"]

    names = Names(look_up)
    for number in range(2 * THREADS):
        eventually(partial(lambda name: names.ask(name) == [], f"bad{number}"), "an answer")
    eventually(lambda: names.ask("good") == ["192.0.2.7"], "an answer after it")


def test_two_threads_forget_what_is_oldest_without_stumbling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of answers at once, of which few are remembered: the resolver is still at work afterwards."""
    monkeypatch.setattr(producers.names, "MOST_KNOWN", 2)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        names = Names(lambda name: [name])
        for number in range(20_000):
            names.ask(str(number))
        eventually(lambda: names.ask("good") == ["good"], "an answer after them")
    finally:
        sys.setswitchinterval(before)


def named(host: str) -> AuthLine:
    """An event that names a host."""
    return AuthLine("auth", 1, "failed", NOW_MS, NOW_MS, "x", "1", host, "file:/log", "1", 0, "")


def test_names_without_an_address_and_too_many_of_them_are_counted() -> None:
    """No event is made of them, and it is said."""
    directory = Directory()
    directory.open.set()
    waiting = Waiting(Names(directory), {})
    waiting.add([named(f"a.{number}.example") for number in range(MOST_WAITING + 5)])
    assert waiting.counts[TOO_MANY] == 5

    def all_answered() -> bool:
        assert waiting.due(NOW_MS) == []
        return len(waiting) == 0

    eventually(all_answered, "every name is answered")
    assert sum(waiting.counts.values()) == MOST_WAITING + 5


def test_what_another_version_kept_waiting_stops_nobody() -> None:
    """It took users of any length: such events are lost and told, and what comes waits as ever."""
    kept = wires_of([changed(named("a.example"), user="x" * 1_025), named("a.example")])
    waiting = Waiting(Names(Directory()), {"waiting": kept, "last": 7})
    ((text, count),) = waiting.counts.items()
    assert (text.partition(":")[0], count) == (LOST, 2)
    waiting.add([named("a.example")])
    assert waiting.save() == {"waiting": wires_of([named("a.example")]), "last": 7}
