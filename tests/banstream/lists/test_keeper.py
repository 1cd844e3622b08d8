"""What keeps the lists: nothing outside holds it up, and nothing that fails takes a list away."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from banstream.lists import copies
from banstream.lists import keeper as keeping
from banstream.lists.in_log import digests_in, lists_in
from banstream.lists.keeper import Keeper, shares
from banstream.lists.wanted import Wanted
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from producers import names as resolving
from producers.names import Names
from schemas.errors import Transient
from schemas.rules import SELF
from schemas.topics import COMMANDS, partition_of
from tests.banstream.service import eventually
from tests.streams.folding import T0

HOME = Wanted(name="name:home.example.org", place="name:home.example.org", named=True)
ITSELF = Wanted(name=SELF, place=SELF)


class Dns:
    """A DNS whose answers the test gives; while `held`, it says nothing."""

    def __init__(self) -> None:
        self.answers: dict[str, Sequence[str]] = {}
        self.held = threading.Event()
        self.held.set()

    def look_up(self, name: str) -> Sequence[str]:
        """The answer."""
        self.held.wait()
        return self.answers.get(name, ())


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    """A DNS that is asked again at once."""
    monkeypatch.setattr(resolving, "FRESH_S", 0.2)
    monkeypatch.setattr(keeping, "LOOK_S", 0.0)
    return Dns()


def kept(log: MemoryLog, dns: Dns, *wanted: Wanted, own: Sequence[str] = ()) -> Keeper:
    """A keeper of these lists."""
    names = Names(dns.look_up, 0.2)
    return Keeper(log, wanted, lambda: digests_in(log), lambda: T0, own=lambda: own, names=names)


def held(log: MemoryLog, name: str) -> set[str]:
    """What a list of the log holds, over all partitions."""
    tables = (table for number in range(log.partitions) for table in lists_in(log, number).tables([name]))
    return {prefix for table in tables for prefix in table}


def test_a_dns_that_does_not_answer_holds_nobody_up(dns: Dns) -> None:
    """The loop's turn is short, and who waits at the start waits no longer than he said."""
    log = MemoryLog(now_ms=lambda: T0)
    dns.held.clear()
    made = kept(log, dns, HOME, ITSELF, own=["192.0.2.5"])
    started = time.monotonic()
    assert made.gather(0.3) == [HOME.name]
    assert made.turn()
    assert time.monotonic() - started < 2
    assert held(log, SELF) == {"192.0.2.5"}
    dns.answers["home.example.org"] = ["203.0.113.9", "2001:db8::9"]
    dns.held.set()
    eventually(lambda: made.turn() or held(log, HOME.name), "it has answered")
    assert held(log, HOME.name) == {"203.0.113.9", "2001:db8::9"}


def test_a_name_that_has_no_address_any_more_keeps_those_it_had(dns: Dns) -> None:
    """Also after a restart: the log has them. Another answer replaces them."""
    log = MemoryLog(now_ms=lambda: T0)
    dns.answers["home.example.org"] = ["203.0.113.9"]
    made = kept(log, dns, HOME)
    made.gather(5)
    made.push()
    dns.answers.clear()
    eventually(lambda: made.turn() or made.notices(), "it is said")
    (problem,) = made.notices()
    assert "the host name home.example.org has no address" in problem
    assert problem.endswith("what was known of it before stays")
    assert held(log, HOME.name) == {"203.0.113.9"}
    again = kept(log, dns, HOME)
    assert again.gather(5, all_of_them=True) == []
    again.turn()
    assert held(log, HOME.name) == {"203.0.113.9"}
    dns.answers["home.example.org"] = ["203.0.113.10"]
    eventually(lambda: again.turn() or held(log, HOME.name) == {"203.0.113.10"}, "it has moved")


def test_names_in_a_file_are_looked_up_and_count_once_all_are_answered(dns: Dns, tmp_path: Path) -> None:
    """A file that is read again while they are, too."""
    log = MemoryLog(now_ms=lambda: T0)
    path = tmp_path / "friends"
    path.write_text("192.0.2.0/24 home.example.org\n")
    wanted = Wanted(name=f"file:{path}", place=f"file:{path}", named=True)
    dns.answers |= {"home.example.org": ["203.0.113.9"], "work.example.org": ["203.0.113.10"]}
    made = kept(log, dns, wanted)
    made.gather(5)
    made.push()
    assert held(log, wanted.name) == {"192.0.2.0/24", "203.0.113.9"}
    path.write_text("home.example.org work.example.org\n")
    eventually(
        lambda: made.turn() or held(log, wanted.name) == {"203.0.113.9", "203.0.113.10"}, "it is read again"
    )


def test_a_file_whose_folder_was_the_trouble_is_read_again(
    dns: Dns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the file itself has changed."""
    monkeypatch.setattr(copies, "AGAIN_S", 0.0)
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "friends").write_text("192.0.2.1\n")
    folder.chmod(0o777)
    log = MemoryLog(now_ms=lambda: T0)
    made = kept(log, dns, Wanted(name="list:x", place=f"file:{folder}/friends"))
    eventually(lambda: made.turn() or made.notices(), "it is said")
    assert "cannot be trusted" in next(iter(made.notices()))
    folder.chmod(0o755)
    eventually(lambda: made.turn() or held(log, "list:x"), "it is read")
    assert made.notices() == {}


def test_a_list_that_nobody_wants_any_more_is_gone(dns: Dns) -> None:
    """From the log, and from the next state."""
    log = MemoryLog(now_ms=lambda: T0)
    before = kept(log, dns, ITSELF, own=["192.0.2.5"])
    before.gather(5)
    before.turn()
    assert held(log, SELF)
    after = kept(log, dns)
    assert after.turn()
    assert digests_in(log) == [{}]
    assert not after.turn()


class Failing(MemoryLog):
    """A log that takes nothing while told so."""

    failing = False

    def append(self, appends: Sequence[Append]) -> list[int]:
        """As it says."""
        if self.failing:
            raise Transient("no room")
        return super().append(appends)


def test_a_log_that_takes_nothing_gets_the_list_later(dns: Dns) -> None:
    """Once it takes something, without a change outside."""
    log = Failing(now_ms=lambda: T0)
    made = kept(log, dns, ITSELF, own=["192.0.2.5"])
    log.failing = True
    with pytest.raises(Transient):
        made.turn()
    log.failing = False
    assert made.turn()
    assert held(log, SELF) == {"192.0.2.5"}
    assert not made.turn()


def test_a_partition_has_its_share_and_what_is_wide(dns: Dns) -> None:
    """Only a partition whose share has changed is told."""
    assert shares(["192.0.2.1"], 1) == [["192.0.2.1"]]
    listed = [f"192.0.{net}.1" for net in range(64)]
    found = shares([*listed, "10.0.0.0/8", "2001:db8::/32"], 4)
    for number, share in enumerate(found):
        assert {"10.0.0.0/8", "2001:db8::/32"} <= set(share)
        assert [ip for ip in share if "/" not in ip] == [ip for ip in listed if partition_of(ip, 4) == number]

    log, own = MemoryLog(now_ms=lambda: T0, partitions=4), listed[:]
    made = kept(log, dns, ITSELF, own=own)
    made.gather(5)
    made.push()
    ends = [log.end(COMMANDS.name, number) for number in range(4)]
    own.remove(listed[0])
    again = kept(log, dns, ITSELF, own=own)
    again.gather(5, all_of_them=True)
    again.push()
    grown = [log.end(COMMANDS.name, number) - ends[number] for number in range(4)]
    assert grown == [int(number == partition_of(listed[0], 4)) for number in range(4)]
    assert held(log, SELF) == set(own)
