"""Several native filters on one stream: who sees a line, what is remembered, what a hostile line costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC

import pytest

from producers.filters import Needles, candidates, load_filter, plan
from producers.filters.bounds import TOO_SLOW, Guard
from producers.filters.native.definition import parse_definition
from producers.filters.native.matcher import NativeMatcher, NativeRules
from producers.filters.plan import Plan
from producers.filters.rows import IP, KIND, EventRow, Filter
from producers.stamps import LineClock, Stamps

CLOCK = LineClock(1_795_338_000_000, "offline")


@dataclass(frozen=True)
class Ruled:
    """A filter of a few rules."""

    name: str
    rules: NativeRules
    version: str = "1"

    @property
    def service(self) -> str:
        """Called as it is."""
        return self.name

    @property
    def needles(self) -> Needles | None:
        """Its rules'."""
        return self.rules.needles

    @property
    def sources(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def usedns(self) -> bool:
        """It names no hosts."""
        return False

    def warnings(self) -> list[str]:
        """None."""
        return []

    def taken(self, line: bytes) -> tuple[str, Mapping[str, str]] | None:
        """Nobody asks."""
        raise NotImplementedError

    def is_near(self, line: bytes) -> bool:
        """Nobody asks."""
        raise NotImplementedError

    def nearness(self, line: bytes) -> int:
        """Nobody asks."""
        raise NotImplementedError

    def reason(self, line: bytes) -> str:
        """Nobody asks."""
        raise NotImplementedError

    def matcher(self, stamps: Stamps | None = None) -> NativeMatcher:
        """In UTC."""
        return NativeMatcher(self.rules, stamps or Stamps(UTC))


def filter_of(name: str, *lines: str, kind: str = "failed") -> Filter:
    """A filter of bare lines."""
    text = "bare = true\n" + "".join(f"[[{kind}]]\nline = '{line}'\n" for line in lines)
    return Ruled(name, NativeRules(parse_definition(name, text, f"{name}.toml")))


A = filter_of("a", "bad {ip}", "worse {ip}")
B = filter_of("b", "bad {ip}")
BLIND = filter_of("blind", "(?:[a-z]+ )?{ip}")
SLOW = filter_of("slow", ".*=.*=.*=.* x {ip}")
SESSION = Ruled(
    "session",
    NativeRules(
        parse_definition(
            "s",
            "bare = true\n[[session]]\nline = 'new {session} {ip}'\n[[failed]]\nline = 'bad {session}'\n",
            "s",
        )
    ),
)


def names(one: Plan, *lines: str) -> list[list[str]]:
    """By filter, the addresses of its events."""
    data = "".join(f"{line}\n" for line in lines).encode()
    return [[row[2] for row in rows] for rows in one.scan(data, CLOCK)]


@pytest.fixture(params=["hyperscan", "without"], autouse=True)
def _candidates(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With hyperscan and without."""
    candidates.finder_of.cache_clear()
    if request.param == "without":
        monkeypatch.setattr(candidates, "hyperscan", None)
    elif candidates.hyperscan is None:
        pytest.skip("hyperscan is not installed")
    yield
    candidates.finder_of.cache_clear()


@pytest.mark.parametrize(
    ("filters", "named", "expected"),
    [
        ((A, B), None, [["1.1.1.1", "2.2.2.2"], ["1.1.1.1"]]),
        ((B, A), None, [["1.1.1.1"], ["1.1.1.1", "2.2.2.2"]]),
        ((A, B), 0, [["1.1.1.1", "2.2.2.2"], []]),
        ((B, A), 0, [["1.1.1.1"], ["2.2.2.2"]]),
        ((A, B), 1, [["1.1.1.1", "2.2.2.2"], []]),
        ((A, B, BLIND), 2, [["1.1.1.1", "2.2.2.2"], ["1.1.1.1"], ["3.3.3.3", "4.4.4.4"]]),
        ((BLIND, A), 0, [["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"], []]),
        ((BLIND,), 0, [["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"]]),
        ((A, BLIND), None, [["1.1.1.1", "2.2.2.2"], ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"]]),
    ],
)
def test_a_line_is_everyones_that_a_jail_names_and_else_the_firsts(
    filters: tuple[Filter, ...], named: int | None, expected: list[list[str]]
) -> None:
    """`auto`: the filters behind the named ones get what nobody took, and one of them has it."""
    lines = ("bad 1.1.1.1", "hello", "worse 2.2.2.2", "3.3.3.3", "odd 4.4.4.4", "bad luck")
    assert names(Plan(filters, named), *lines) == expected


def test_a_filter_without_needles_sees_every_line() -> None:
    """It has none, since its lines need hold no text; the others' candidates are looked for as ever."""
    assert BLIND.needles is None
    rows = Plan((A, BLIND)).scan(b"1.1.1.1\n\nbad 2.2.2.2\nx 3.3.3.3", CLOCK)
    assert [[(row[IP], row[3], row[4]) for row in each] for each in rows] == [
        [("2.2.2.2", 9, 21)],
        [("1.1.1.1", 0, 8), ("2.2.2.2", 9, 21), ("3.3.3.3", 21, 30)],
    ]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", " : ")], ids=["now", "systemd before 240"])
def test_a_message_that_the_journal_spells_out_is_nobodys_to_hide(separators: tuple[str, str]) -> None:
    """A byte that is not printable makes `journalctl -o json` write numbers: a candidate all the same."""
    lines = [
        json.dumps({"MESSAGE": message, "__CURSOR": "s=1", "_BOOT_ID": "0"}, separators=separators)
        for message in ("x", list(b"bad 1.1.1.1"), "bad 2.2.2.2", list(b"worse 3.3.3.3"), list(b"hello"))
    ]
    data = "".join(f"{line}\n" for line in lines).encode()
    assert [row[IP] for row in A.matcher().scan(data, CLOCK)] == ["1.1.1.1", "2.2.2.2", "3.3.3.3"]
    assert names(Plan((A, B)), *lines) == [["1.1.1.1", "2.2.2.2", "3.3.3.3"], ["1.1.1.1", "2.2.2.2"]]
    assert names(Plan((B, BLIND), 0), *lines) == [["1.1.1.1", "2.2.2.2"], ["3.3.3.3"]]


def test_what_a_plan_remembers_is_saved_by_filter() -> None:
    """As JSON; a state of a filter that the plan has not is let be."""
    first, second = Plan((SESSION, A)), Plan((SESSION, B, A))
    names(first, "new s1 1.1.1.1")
    for name, state in json.loads(json.dumps(first.save())).items():
        second.load(name, state)
    assert names(second, "bad s1") == [["1.1.1.1"], [], []]


def test_notices_name_the_filter() -> None:
    """A sentence, and how often, of each."""
    one = Plan((A, SESSION))
    names(one, "bad s1", "bad s2")
    assert one.notices() == {"filter session: an event without an address was skipped": 2}


@pytest.mark.parametrize("named", [None, 0])
def test_a_line_that_takes_too_long_stops_nobody(named: int | None) -> None:
    """It costs about 50 ms of processor time, is counted, and the next lines are read by all."""
    one = Plan((SLOW, A, BLIND), named)
    bait = "=" * 65_000
    began = time.process_time()
    found = names(one, f"{bait} x y", "bad 1.1.1.1", f"{bait} x y", "=== x 2.2.2.2", "worse 3.3.3.3")
    assert time.process_time() - began < 1
    assert found == [["2.2.2.2"], ["1.1.1.1", "3.3.3.3"], ["1.1.1.1", "3.3.3.3"] if named is None else []]
    assert one.notices()[f"filter slow: {TOO_SLOW}"] == 2


@pytest.mark.parametrize("named", [None, 0])
@pytest.mark.parametrize(("slow", "asked"), [(1, True), (2, False), (20, False)])
def test_a_line_that_one_filter_reads_slowly_is_still_the_others(
    slow: int,
    asked: bool,  # noqa: FBT001
    named: int | None,
) -> None:
    """One slow filter hides no line from those behind it; all together have no more than the 50 ms."""
    slows = [filter_of(f"slow{number}", f".*=.*=.*=.* bad {{ip}} {number}") for number in range(slow)]
    one = Plan((*slows, filter_of("behind", "=+ bad {ip}")), named)
    names(one, "=== bad 9.9.9.9")
    bait = "=" * 65_000
    began = time.process_time()
    found = names(one, f"{bait} bad 1.1.1.1", "=== bad 2.2.2.2")
    assert time.process_time() - began < 0.3
    assert found[-1] == (["1.1.1.1", "2.2.2.2"] if asked else ["2.2.2.2"])
    assert sum(one.notices()[f"filter slow{number}: {TOO_SLOW}"] for number in range(min(slow, 2))) == min(
        slow, 2
    )


def test_between_two_matches_no_line_is_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that comes when a slow line has just been read breaks nothing off."""
    guard = Guard(2)
    monkeypatch.setattr(plan, "bounded", lambda _: nullcontext(guard))

    class Ticking(list[EventRow]):
        """Rows of a line; looked at, they tick twice."""

        def __bool__(self) -> bool:
            guard.tick()
            guard.tick()
            return len(self) > 0

    take = NativeMatcher.take
    monkeypatch.setattr(NativeMatcher, "take", lambda *line: Ticking(take(*line)))
    assert names(Plan((A, B)), "bad 1.1.1.1", "bad 2.2.2.2") == [["1.1.1.1", "2.2.2.2"]] * 2


def test_kinds_of_several_filters_do_not_mix() -> None:
    """Each filter's rows are its own."""
    probing = filter_of("p", "bad {ip}", kind="probed")
    rows = Plan((A, probing)).scan(b"bad 1.1.1.1\n", CLOCK)
    assert [[row[KIND] for row in each] for each in rows] == [["failed"], ["probed"]]


def test_a_lines_mask_has_the_filters_that_it_may_interest() -> None:
    """One bit each, and none for a filter without needles."""
    found = candidates.finder_of((A.needles, B.needles, None)).lines(b"x\nbad 1\nworse 2\nbad worse\n")
    assert found == {2: 3, 8: 1, 16: 3}


@pytest.mark.parametrize(
    ("more", "named", "expected"),
    [
        ({}, 0, []),
        ({"__CURSOR": "s=1"}, 0, []),
        ({"__CURSOR": "s=1", "_BOOT_ID": "0"}, 0, [["sshd", "198.51.100.7"]]),
        ({}, 1, [["sshd", "198.51.100.7"]]),
        ({"note": '"__CURSOR":"_BOOT_ID":'}, 0, []),
    ],
)
@pytest.mark.parametrize("reader", ["sshd", "dropbear"])
def test_auto_believes_the_journals_json_for_what_journalctl_alone_writes(
    reader: str, more: dict[str, str], named: int, expected: list[list[str]]
) -> None:
    """An application's JSON may have any keys that a client chose; whoever names a filter says what it is."""
    entry = {
        "MESSAGE": "Bad password attempt for 'x' from 198.51.100.7:22"
        if reader == "dropbear"
        else "Failed password for root from 198.51.100.7 port 22 ssh2",
        "SYSLOG_IDENTIFIER": reader,
        "_PID": "1",
        "_HOSTNAME": "h",
        "__REALTIME_TIMESTAMP": "1795351806062000",
        **more,
    }
    one = Plan([load_filter(reader), A], named)
    data = (json.dumps(entry, separators=(",", ":")) + "\n").encode()
    found = [
        [each.name, row[IP]]
        for each, rows in zip(one.filters, one.scan(data, CLOCK), strict=True)
        for row in rows
    ]
    assert found == [[reader, ip] for _, ip in expected]
