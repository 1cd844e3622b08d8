"""Commands that are asked whom to spare: beside the work, bounded, and no answer lost by a restart."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import producers.sparing
from eventlog.memory import MemoryLog
from producers.producer import Producer, WatchedSource
from producers.sparing import FAILED_S, MOST_WAITING, TOO_MANY, WORKERS, Arguments, Sparer, spares
from schemas.codec import decode_frame
from schemas.records import AuthEvent
from schemas.sparing import command_id
from schemas.topics import EVENTS
from tests.banstream.service import eventually

OURS: Arguments = ("/bin/ours", "<ip>")
NOW_MS = 1_795_338_000_000
LINE = "Nov 22 09:00:00 web sshd[{number}]: Failed password for root from {ip} port 22 ssh2\n"
SUCCESS = "Nov 22 09:00:00 web sshd[{number}]: Accepted password for root from {ip} port 22 ssh2\n"


class Friends:
    """Spares some addresses, once it is let; every question is written down."""

    def __init__(self, *spared: str) -> None:
        self.spared = spared
        self.open = threading.Event()
        self.asked: list[str] = []
        self.at_once = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, arguments: Arguments, ip: str) -> bool:
        """Whether an address is spared."""
        assert arguments == OURS
        with self._lock:
            self.asked.append(ip)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.open.wait(20)
        with self._lock:
            self.at_once -= 1
        return ip in self.spared


def script(folder: Path, text: str) -> str:
    """A program."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def watching(path: Path) -> WatchedSource:
    """A source of sshd's, about which the command is asked."""
    return WatchedSource(f"file:{path}", ("sshd",), start="beginning", commands={"sshd": frozenset({OURS})})


def events(log: MemoryLog) -> list[AuthEvent]:
    """Every event in a log."""
    found = [decode_frame(message.value) for message in log.read(EVENTS.name, 0, 0, limit=10_000)]
    return [each for frame in found for each in frame if isinstance(each, AuthEvent)]


def producer(log: MemoryLog, path: Path, friends: Friends) -> Producer:
    """A producer of the source."""
    return Producer(log, [watching(path)], now_ms=lambda: NOW_MS, sparer=Sparer(friends))


def test_the_answer_stands_in_the_event(tmp_path: Path) -> None:
    """Each address is asked for once; nobody waits for another's, and a success for none."""
    log, friends, path = MemoryLog(), Friends("192.0.2.7"), tmp_path / "auth.log"
    lines = [LINE.format(number=1, ip="192.0.2.7"), LINE.format(number=2, ip="192.0.2.8")]
    path.write_text("".join([*lines, lines[0], SUCCESS.format(number=3, ip="192.0.2.9")]), encoding="utf-8")
    made = producer(log, path, friends)
    made.poll()
    assert [each.ip for each in events(log)] == ["192.0.2.9"]
    friends.open.set()
    eventually(lambda: made.poll() or len(events(log)) == 4, "answered")
    spared = (command_id(OURS),)
    assert sorted((each.ip, each.spared) for each in events(log)) == [
        ("192.0.2.7", spared),
        ("192.0.2.7", spared),
        ("192.0.2.8", ()),
        ("192.0.2.9", ()),
    ]
    assert sorted(friends.asked) == ["192.0.2.7", "192.0.2.8"]
    made.close()


def test_what_waits_outlives_a_restart(tmp_path: Path) -> None:
    """It is asked again, and comes into the log once."""
    log, friends, path = MemoryLog(), Friends("192.0.2.7"), tmp_path / "auth.log"
    path.write_text(LINE.format(number=1, ip="192.0.2.7"), encoding="utf-8")
    made = producer(log, path, friends)
    made.poll()
    made.close()
    assert not events(log)
    friends.open.set()
    again = producer(log, path, friends)
    eventually(lambda: again.poll() or events(log), "answered")
    again.poll()
    (event,) = events(log)
    assert event.spared == (command_id(OURS),)
    again.close()
    last = producer(log, path, friends)
    for _ in range(20):
        last.poll()
        time.sleep(0.01)
    assert len(events(log)) == 1
    last.close()


def test_a_flood_of_addresses_waits_within_bounds(tmp_path: Path) -> None:
    """So many wait, so many are asked for at a time; those beyond count as not spared, and that is said."""
    log, friends, path = MemoryLog(), Friends(), tmp_path / "auth.log"
    flood = MOST_WAITING + 100
    path.write_text(
        "".join(LINE.format(number=n, ip=f"10.0.{n // 250}.{n % 250}") for n in range(flood)),
        encoding="utf-8",
    )
    made = producer(log, path, friends)
    while made.poll():
        pass
    assert len(events(log)) == 100
    assert made.notices()[TOO_MANY] == 100
    friends.open.set()
    eventually(lambda: made.poll() or len(events(log)) == flood, "all are there")
    assert friends.most <= WORKERS
    assert len({(each.incarnation, each.position) for each in events(log)}) == flood
    made.close()


@pytest.mark.parametrize(
    ("text", "spared"), [("exit 0", True), ("exit 1", False), ('test "$1" = 192.0.2.7', True)]
)
def test_a_command_is_run(tmp_path: Path, text: str, spared: bool) -> None:  # noqa: FBT001 - a table's column
    """Its exit status is the answer; the address is an argument."""
    assert spares((script(tmp_path, text), "<ip>"), "192.0.2.7") is spared


def test_no_shell_sees_an_argument(tmp_path: Path) -> None:
    """It comes as it stands; nothing of ours is there but a PATH."""
    seen = tmp_path / "seen"
    program = script(tmp_path, f'printf "%s\\n" "$@" > {seen}; env >> {seen}; cat >> {seen}; exit 1')
    assert spares((program, "$(id) ; x", "a<ip>b"), "2001:db8::1") is False
    told = seen.read_text(encoding="utf-8").splitlines()
    assert told[:2] == ["$(id) ; x", "a2001:db8::1b"]
    assert {each.partition("=")[0] for each in told[2:]} <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_a_command_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And counts as one that does not spare, which is said; it is not asked again at once."""
    monkeypatch.setattr(producers.sparing, "LONGEST_S", 0.3)
    pid = tmp_path / "pid"
    sparer, arguments = Sparer(), (script(tmp_path, f"sleep 100 & echo $! > {pid}; wait"), "<ip>")
    eventually(lambda: sparer.ask(arguments, "192.0.2.7") is False, "ended")
    (said,) = sparer.failures
    assert "has not answered within 0 s" in said
    child = Path(f"/proc/{pid.read_text(encoding='utf-8').strip()}")
    eventually(
        lambda: not child.exists() or "State:\tZ" in (child / "status").read_text(encoding="utf-8"), "gone"
    )
    assert sparer.ask(arguments, "192.0.2.7") is False
    assert FAILED_S > 1


@pytest.mark.parametrize("text", ["exit 3", "exit 127", "kill -9 $$"])
def test_a_command_that_fails_spares_nobody(tmp_path: Path, text: str) -> None:
    """Only 0 and 1 are answers; what is wrong is said."""
    sparer, arguments = Sparer(), (script(tmp_path, text), "<ip>")
    eventually(lambda: sparer.ask(arguments, "192.0.2.7") is False, "asked")
    (said,) = sparer.failures
    assert "gives no answer: it ended with" in said
    absent = (str(tmp_path / "absent"), "<ip>")
    eventually(lambda: sparer.ask(absent, "192.0.2.7") is False, "asked")
    assert len(sparer.failures) == 2


def test_an_answer_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the command is asked again."""
    monkeypatch.setattr(producers.sparing, "FRESH_S", 0.05)
    friends = Friends("192.0.2.7")
    friends.open.set()
    sparer = Sparer(friends)
    eventually(lambda: sparer.ask(OURS, "192.0.2.7"), "asked")
    time.sleep(0.1)
    eventually(lambda: sparer.ask(OURS, "192.0.2.7"), "asked again")
    assert len(friends.asked) >= 2
