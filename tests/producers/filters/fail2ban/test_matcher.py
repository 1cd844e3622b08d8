"""A filter at work on a stream: however it is cut, whatever the clock, whoever looked for its lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.filters import load_filter
from producers.filters.bounds import TOO_SLOW
from producers.filters.fail2ban import Fail2banFilter, load, matcher
from producers.filters.fail2ban.matcher import NAMES_LEFT, Fail2banMatcher, counted
from producers.filters.rows import EventRow
from producers.stamps import UNREAD, LineClock, Stamps
from schemas.errors import InvalidMessage
from tests.producers.filters.fail2ban.customs import CUSTOM
from tests.producers.filters.fail2ban.lines import NOW_S, Lines

NOW_MS: Final = NOW_S * 1_000
OFFLINE: Final = LineClock(NOW_MS, "offline")
LINE: Final = "Nov 22 {} web x[1]: bad {}\n"


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fail2banFilter]:
    """The filters of this folder, by name."""
    found: dict[str, Fail2banFilter] = {}
    for name, (files, options, _) in CUSTOM.items():
        folder = tmp_path_factory.mktemp("filters")
        for file, text in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        listed = ",".join(f'{key}="{value}"' for key, value in options.items())
        found[name] = load(f"{folder / next(iter(files))}[{listed}]")
    return found


def write(folder: Path, text: str) -> Fail2banFilter:
    """A filter of one file."""
    path = folder / "own.conf"
    path.write_text(text)
    return load(str(path))


def scan(filter_: Fail2banFilter, text: str, clock: LineClock = OFFLINE) -> list[EventRow]:
    """What a filter finds in a stream that is one buffer."""
    return list(filter_.matcher().scan(text.encode(), clock))


def in_pieces(
    filter_: Fail2banFilter, lines: Sequence[bytes], cuts: Sequence[int], *, found: bool
) -> list[EventRow]:
    """The rows when the lines come in pieces, the state saved and loaded between them."""
    rows: list[EventRow] = []
    at = base = 0
    at_work = filter_.matcher()
    for cut in [*sorted(cuts), len(lines)]:
        piece = b"".join(lines[at:cut])
        at = max(at, cut)
        starts = list(filter_.compiled.starts(piece)) if found and filter_.needles else None
        rows += [
            (*row[:3], row[3] + base, row[4] + base, *row[5:]) for row in at_work.scan(piece, OFFLINE, starts)
        ]
        base += len(piece)
        saved = json.loads(json.dumps(at_work.save()))
        at_work = filter_.matcher()
        at_work.load(saved)
    return rows


@pytest.mark.parametrize("name", CUSTOM)
@given(st.data())
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_how_a_stream_is_cut_and_searched_changes_nothing(
    filters: dict[str, Fail2banFilter], name: str, data: st.DataObject
) -> None:
    """In one buffer or many, by its own search or another's, saved and loaded between: the same rows."""
    filter_ = filters[name]
    texts = [*CUSTOM[name][2], *Lines(filter_.compiled, data.draw(st.integers(0, 3))).stream(3)]
    lines = [f"{text}\n".encode() for text in texts]
    cuts = data.draw(st.lists(st.integers(0, len(lines)), max_size=6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matcher, "LEARNT_LINES", data.draw(st.integers(0, 20)))
        whole = filter_.matcher().scan(b"".join(lines), OFFLINE)
        assert in_pieces(filter_, lines, cuts, found=data.draw(st.booleans())) == whole


@pytest.mark.parametrize("name", CUSTOM)
def test_lines_without_a_needle_are_no_failures(filters: dict[str, Fail2banFilter], name: str) -> None:
    """Each failure that is found when every line is looked at lies in a line that holds a needle."""
    filter_ = filters[name]
    lines = [*CUSTOM[name][2], *Lines(filter_.compiled, 7).stream(40)]
    for line in lines:
        data = f"{line}\n".encode()
        if filter_.needles is not None and filter_.matcher().scan(data, OFFLINE):
            assert list(filter_.compiled.starts(data)) == [0], line


@pytest.fixture
def bad(tmp_path: Path) -> Fail2banFilter:
    """A filter of one expression."""
    expression = r"^ web x\[\d+\]: bad <HOST>(?: port <F-PORT/>)?$"
    return write(tmp_path, f"[Definition]\nfailregex = {expression}\ndatepattern = {{^LN-BEG}}\n")


@pytest.mark.parametrize(
    ("trust", "time", "expected"),
    [
        ("live", "08:59:30", (NOW_S - 30, False)),
        ("live", "08:00:00", (NOW_S, True)),
        ("live", "09:02:00", (NOW_S, True)),
        ("backlog", "08:00:00", (NOW_S - 3_600, False)),
        ("backlog", "09:02:00", (NOW_S, True)),
        ("offline", "09:02:00", (NOW_S + 120, False)),
    ],
)
def test_whose_time_counts(bad: Fail2banFilter, trust: Any, time: str, expected: tuple[int, bool]) -> None:
    """Live, a time more than a minute off is the clock's; of a backlog only one ahead is; offline none."""
    data = LINE.format(time, "192.0.2.7").encode()
    (row,) = Fail2banMatcher(bad.compiled, UTC).scan(data, LineClock(NOW_MS, trust))
    assert (row[1] // 1_000, row[8]) == expected


@pytest.mark.parametrize("trust", ["live", "backlog"])
def test_a_time_before_1970_is_the_clocks(trust: Any) -> None:
    """No reader takes such an instant."""
    assert counted(-1, LineClock(1_000, trust)) == (1_000, True)
    assert counted(0, LineClock(1_000, trust)) == (0, False)


def test_a_row_says_what_was_captured(bad: Fail2banFilter) -> None:
    """Kind, canonical address, place, port and fields; a port's name is in the fields alone."""
    text = (
        "nothing\n"
        + LINE.format("08:59:00", "[2001:DB8::0:7] port 22")
        + LINE.format("08:59:00", "a.example port ssh")
    )
    one, two = scan(bad, text)
    end = text.index("\n", 8) + 1
    assert (one[0], *one[2:5]) == ("failed", "2001:db8::7", 8, end)
    assert (one[6], one[10]) == (22, {"fport": "22"})
    assert (two[2], two[6], two[10]) == ("a.example", None, {"fport": "ssh", "dns": "a.example"})


def test_names_are_left_alone_where_the_jail_says_so(tmp_path: Path) -> None:
    """With usedns = no a host name is no failure, and a notice counts it."""
    filter_ = write(tmp_path, "[Definition]\nfailregex = bad <DNS>$\nusedns = no\n")
    at_work = filter_.matcher()
    assert [row[2] for row in at_work.scan(b"bad a.example\nbad 192.0.2.7\n", OFFLINE)] == ["192.0.2.7"]
    assert at_work.notices()[NAMES_LEFT] == 1


def test_remarks_are_passed_over_offline_alone(tmp_path: Path) -> None:
    """A line that begins with # is nothing to fail2ban-regex, but its server reads it."""
    filter_ = write(tmp_path, "[Definition]\nfailregex = bad <HOST>$\n")
    assert scan(filter_, "# bad 192.0.2.7\n") == []
    assert len(scan(filter_, "# bad 192.0.2.7\n", LineClock(NOW_MS))) == 1


def test_a_line_that_never_ends_is_passed_over(tmp_path: Path) -> None:
    """An expression that would try for hours loses its line; the next one is read; a notice counts it."""
    filter_ = write(tmp_path, "[Definition]\nfailregex = ^\\s*bad (?:a+)+ from <HOST>$\n")
    at_work = filter_.matcher()
    rows = at_work.scan(b"bad " + b"a" * 40 + b"!\nbad a from 192.0.2.7\n", OFFLINE)
    assert [row[2] for row in rows] == ["192.0.2.7"]
    assert at_work.notices()[TOO_SLOW] == 1
    assert sum("such as" in text for text in at_work.notices()) == 1


def test_undecodable_and_odd_line_ends_are_read(bad: Fail2banFilter) -> None:
    """A byte that is no UTF-8 is U+FFFD; a carriage return at the end is not of the line."""
    rows = bad.matcher().scan(
        b"Nov 22 08:59:00 web x[1]: bad 192.0.2.7\r\n\xff\nNov 22 08:59:00 \xe9\n", OFFLINE
    )
    assert [row[2] for row in rows] == ["192.0.2.7"]


@pytest.mark.parametrize("key", ["dates", "sessions", "last_ms", "learning"])
def test_what_is_no_state_is_refused(bad: Fail2banFilter, key: str) -> None:
    """A saved state with a wrong value is an InvalidMessage that names it."""
    saved = {**bad.matcher().save(), key: "wrong"}
    with pytest.raises(InvalidMessage) as caught:
        bad.matcher().load(saved)
    assert caught.value.field == key


@pytest.mark.real("fail2ban")
def test_a_filter_is_loaded_by_its_name() -> None:
    """`load_filter` takes fail2ban's names with their options; the service is the file's name."""
    filter_ = load_filter("sshd[mode=aggressive]")
    assert (filter_.name, filter_.service) == ("sshd[mode=aggressive]", "sshd")
    assert filter_.version != load_filter("sshd[mode=normal]").version
    assert all(source.startswith("journald:") for source in filter_.sources)
    assert filter_.sources


GAINED: Final = r"""
[Definition]
prefregex = ^ web x\[<F-MLFID>\d+</F-MLFID>\]: <F-CONTENT>.+</F-CONTENT>$
failregex = ^bad <F-USER>\S+</F-USER> <HOST>$
            ^<F-MLFGAINED>in</F-MLFGAINED> <F-USER>\S+</F-USER> <HOST>$
"""


def test_a_login_is_an_event_of_its_own(tmp_path: Path) -> None:
    """What gains access is a login, which may forgive; a session that tried several users fails by it."""
    filter_ = write(tmp_path, GAINED)
    head = "Nov 22 08:59:00 web x"
    rows = scan(
        filter_,
        f"{head}[1]: bad joe 192.0.2.1\n{head}[1]: in joe 192.0.2.1\n"
        f"{head}[2]: in ann 192.0.2.2\n"
        f"{head}[3]: bad joe 192.0.2.3\n{head}[3]: in ann 192.0.2.3\n",
    )
    assert [(row[0], row[2], row[5]) for row in rows] == [
        ("failed", "192.0.2.1", "joe"),
        ("succeeded", "192.0.2.1", "joe"),
        ("succeeded", "192.0.2.2", "ann"),
        ("failed", "192.0.2.3", "joe"),
        ("failed", "192.0.2.3", "ann"),
    ]


def test_a_streams_zone_is_the_one_that_is_given(tmp_path: Path) -> None:
    """As a jail's `timezone` gives it; a filter's own logtimezone goes before."""
    line = LINE.format("09:00:00", "192.0.2.7").encode()
    tokyo = Stamps(ZoneInfo("Asia/Tokyo"))
    for more, hour in (("", 0), ("logtimezone = UTC+0200\n", 7)):
        filter_ = write(tmp_path, f"[Definition]\nfailregex = bad <ADDR>$\n{more}")
        (row,) = filter_.matcher(tokyo).scan(line, OFFLINE)
        assert row[1] == datetime(2026, 11, 22, hour, tzinfo=UTC).timestamp() * 1_000


def test_a_line_without_a_date_is_said(tmp_path: Path) -> None:
    """In a replay it is of no time: that is told, and how often."""
    at_work = write(tmp_path, "[Definition]\nfailregex = ^bad <ADDR>$\n").matcher()
    (row,) = at_work.scan(b"bad 192.0.2.7\n", OFFLINE)
    assert (row[1], row[8]) == (NOW_MS, True)
    assert at_work.notices() == {UNREAD: 1}
    (row,) = at_work.scan(b"bad 192.0.2.7\n", LineClock(NOW_MS, "live"))
    assert row[8] is False


PREFIXED: Final = r"""
[Definition]
prefregex = ^ svc(?:\((?P<user>\S*),<ADDR>\))?: <F-CONTENT>.+</F-CONTENT>$
failregex = ^(?:x\(<ADDR>\): )?wrong password(?: of <F-USER>\S+</F-USER>)?$
"""


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("svc(eve,192.0.2.1): wrong password", ("192.0.2.1", "eve")),
        ("svc(eve,192.0.2.1): wrong password of bob", ("192.0.2.1", "bob")),
        ("svc(eve,192.0.2.1): x(192.0.2.2): wrong password", ("192.0.2.2", "eve")),
        ("svc(eve,192.0.2.1): x(2001:db8::2): wrong password", ("2001:db8::2", "eve")),
        ("svc: x(192.0.2.3): wrong password", ("192.0.2.3", None)),
        ("svc: wrong password", None),
    ],
)
def test_what_failregex_leaves_empty_prefregex_says(
    tmp_path: Path, message: str, said: tuple[str, str | None] | None
) -> None:
    """As fail2ban has it since 1.1.1: a group that both have holds what either captured."""
    rows = scan(write(tmp_path, PREFIXED), f"Nov 22 08:59:00 {message}\n")
    assert [(row[2], row[5]) for row in rows] == ([] if said is None else [said])
