"""A line means the same whether it is recognised at a glance or read by the expression for all."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producers.filters import sshd, sshd_matcher
from producers.filters.rows import EventRow
from producers.filters.sshd_forms import SECOND, THOUSANDTHS, UNREAD, Form, form_of, frequent_line
from producers.filters.sshd_matcher import SshdMatcher
from producers.stamps import LineClock, Stamps, Trust
from tests.producers.filters.test_plan import EVIL, MESSAGES, mutated

TIMES = (
    "Nov 22 09:00:{:02} ",
    "Nov  2 09:00:{:02}.123456 ",
    "2026-11-22T09:00:{:02}.123456+01:00 ",
    "2026-11-22T09:00:{:02}.98-0930 ",
    "2026-11-22 09:00:{:02},123 ",
    "2026-11-22T09:00:{:02}.12345 ",
    "2026-11-22T09:00:{:02}Z ",
    "2026-11-22T09:00:{:02} ",
)
ODD_TIMES = (
    "Nov 22 09:00:61 ",
    "Abc 99 99:99:99 ",
    "2026-13-22T09:00:00.123456+01:00 ",
    "2026-11-22_09:00:00.123456+01:00 ",
    "2026-11-22_09:00:00.12345 ",
    "2xyz-11-22T09:00:00.123456+01:00 ",
    "20 6-11-22T09:00:00.123456+01:00 ",
    "2026-11-22T09:00:00.12345x+01:00 ",
    "2026-11-22T09:00:+5.123456+01:00 ",
    "Nov 22 09:00: 5 ",
    "<38>Nov 22 09:00:00 ",
    "",
)
PROGRAMS = (
    "web sshd[{}]: ",
    "web sshd-session[{}]: ",
    "2001 CRON[{}]: ",
    "sshd[{}]: ",
    "web sshd {} - - ",
    "",
)
PAM = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7"
ATTEMPT = "Failed password for root from 192.0.2.7 port 40000 ssh2"
ORDINARY = (
    "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)",
    "pam_unix(sshd:auth): check pass; user unknown",
    "Received disconnect from 192.0.2.7 port 40000:11: disconnected by user",
    "Received disconnect from 192.0.2.7 port 40000:11: disconnected by user [preauth]",
    "Disconnected from user alice 192.0.2.7 port 40000",
    "Disconnected from user alice 192.0.2.7 port 40000 [preauth]",
    "Disconnected from user authenticating user x 192.0.2.7 port 40000 [preauth]",
    "error: kex_exchange_identification: Connection closed by remote host",
    "Failed password for invalid user from 192.0.2.9 port 40000 ssh2",
    "Failed password for invalid user invalid user x from 192.0.2.7 port 40000 ssh2",
    "Failed password for a\r from 192.0.2.7 port 40000 ssh2",
    "Failed none for from from 192.0.2.7 port 40000 ssh2",
    "Failed password for a\xa0from 192.0.2.9 port 40000 ssh2",
    "Invalid user  from 192.0.2.7 port 40000",
    "Invalid user a from 192.0.2.9 port 1 from 192.0.2.7 port 40000",
    "Invalid user fe80::1%eth0 from fe80::1%eth0 port 40000",
    "Connection closed by authenticating user 192.0.2.9 port 1 192.0.2.7 port 40000 [preauth]",
    PAM + " ",
    PAM + "  user=a b",
    PAM + "  user=a\r",
    PAM + "  user=",
    "banner exchange: Connection from 192.0.2.7 port 40000: invalid format",
    "Disconnecting authenticating user a 192.0.2.7 port 40000: Too many authentication failures [preauth]\r",
    "message repeated 3 times: [ Failed password for root from 192.0.2.7 port 40000 ssh2]",
)
MESSAGE_LINES = [*MESSAGES, *ORDINARY]
messages = st.sampled_from(MESSAGE_LINES * 2 + [message + "\r" for message in MESSAGE_LINES])
lines = st.builds(
    lambda time, second, program, pid, message: (time.format(second) + program.format(pid) + message).encode(
        "latin-1", "replace"
    ),
    st.sampled_from([*TIMES * 3, *ODD_TIMES]),
    st.integers(0, 2),
    st.sampled_from([*PROGRAMS[:2] * 4, *PROGRAMS]),
    st.integers(1, 2),
    messages,
)
mutated_lines = st.one_of(lines, lines.flatmap(mutated), st.sampled_from(list(EVIL.values())))


def form(time: str) -> Form:
    """The form of a time."""
    found = form_of(time.format(0).encode())
    assert found is not None
    return found


@given(st.sampled_from(TIMES), mutated_lines)
@settings(deadline=None, max_examples=3_000)
@example(
    TIMES[2], b"2026-11-22T09:00:00.123456+01:00 web sshd[1]: " + b"Failed none for a\xa0from 1.2.3.4 port 5"
)
def test_what_is_recognised_has_the_groups_of_the_expression_for_all(time: str, line: bytes) -> None:
    """Of any line, mutated and hostile ones too, in any form: the same groups, the same time, or nothing."""
    data, looked_for = line + b"\n", form(time)
    found = frequent_line(looked_for).match(data)
    assert found is not None
    assert found.lastindex is not None
    if found.lastindex == UNREAD or not SECOND.fullmatch(found[1]):
        return
    exact = sshd.LINE.match(data)
    assert exact is not None
    assert found.span() == exact.span() == (0, len(data))
    if found.lastindex <= sshd.HEADER_GROUPS:
        assert not SshdMatcher().scan(data, LineClock(0, "offline"))
        return
    assert found.groups()[2:13] == exact.groups()[2:13]
    stamps = Stamps()
    stamps.begin(LineClock(1_795_338_000_000, "offline"))
    second_ms = stamps.second(found[1] + looked_for.zone)
    if second_ms is not None:
        assert (second_ms + THOUSANDTHS[found[2]], False) == stamps.read(exact[1])


@given(st.sampled_from(ODD_TIMES[1:]), st.sampled_from(TIMES), mutated_lines)
@settings(deadline=None, max_examples=1_000)
@example(
    "2026-11-22_09:00:00.12345 ",
    "2026-11-22T09:00:{:02}.12345 ",
    b"banner exchange: Connection from 192.0.2.7 port 40000: invalid format",
)
def test_a_line_of_an_odd_time_that_is_passed_over_gives_no_event(odd: str, time: str, line: bytes) -> None:
    """What looks like the form and has no time is an event for neither expression."""
    data = odd.encode() + line + b"\n"
    found = frequent_line(form(time)).match(data)
    assert found is not None
    assert found.lastindex is not None
    if found.lastindex <= sshd.HEADER_GROUPS:
        assert not SshdMatcher().scan(data, LineClock(0, "offline"))


def results(
    data: bytes, cuts: list[int], clock: LineClock, *, glance: bool, sparse: bool
) -> tuple[list[EventRow], object, object]:
    """(rows, what is remembered, notices) of a stream that is cut at some of its lines."""
    parts = (
        data.splitlines(keepends=True) if b"\r" not in data else [x + b"\n" for x in data.split(b"\n")[:-1]]
    )
    matcher, rows, base, at = SshdMatcher(), [], 0, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sshd_matcher, "FEW_BYTES", 0 if glance else 1 << 40)
        patch.setattr(sshd_matcher, "is_sparse", lambda _data: sparse)
        for cut in [*sorted(cuts), len(parts)]:
            piece = b"".join(parts[at:cut])
            rows += [(*row[:3], row[3] + base, row[4] + base, *row[5:]) for row in matcher.scan(piece, clock)]
            base, at = base + len(piece), max(at, cut)
    return rows, matcher.save(), matcher.notices()


@given(
    st.lists(mutated_lines, min_size=4, max_size=30),
    st.lists(st.integers(1, 30), max_size=3),
    st.sampled_from(["live", "backlog", "offline"]),
    st.integers(-3_600_000, 3_600_000),
    st.booleans(),
)
@settings(deadline=None, max_examples=400)
def test_a_stream_gives_the_same_either_way(
    found: list[bytes],
    cuts: list[int],
    trust: Trust,
    off_ms: int,
    sparse: bool,  # noqa: FBT001 - Hypothesis names it
) -> None:
    """Rows, what is remembered and notices: under each trust, near the clock and far, however it is cut."""
    data = b"".join(line + b"\n" for line in found)
    clock = LineClock(1_795_338_000_000 + off_ms, trust)
    exact = results(data, [], clock, glance=False, sparse=sparse)
    assert results(data, [], clock, glance=True, sparse=sparse) == exact
    assert results(data, cuts, clock, glance=True, sparse=not sparse) == exact


@pytest.mark.parametrize("time", TIMES)
def test_every_sample_gives_the_same_either_way(time: str) -> None:
    """Each message, also with a carriage return at its end, and a message at each odd time."""
    written = [
        *[time + "web sshd[{}]: " + message + end for message in MESSAGE_LINES for end in ("", "\r")],
        *[odd + "web sshd[{}]: " + ATTEMPT for odd in ODD_TIMES],
    ]
    lines = [text.replace("{:02}", "07").replace("{}", str(pid)) for pid, text in enumerate(written, 1)]
    data = "".join(line + "\n" for line in lines).encode("latin-1", "replace")
    clock = LineClock(1_795_338_000_000, "offline")
    exact = results(data, [], clock, glance=False, sparse=False)
    assert results(data, [], clock, glance=True, sparse=False) == exact


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("message", [ATTEMPT, *ORDINARY[:3]])
def test_frequent_lines_are_recognised_in_every_form(time: str, message: str) -> None:
    """An ordinary line is not left to the expression for all."""
    line = (time.format(5) + "web sshd[7]: " + message + "\n").encode()
    found = frequent_line(form(time)).match(line)
    assert found is not None
    assert found.lastindex != UNREAD


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{}\n", b"<38>1 2026-11-22T09:00:02.5Z web sshd 9 - - x\n", b"Nov 22 09:00:00Z web\n"],
)
def test_other_forms_are_none(line: bytes) -> None:
    """What no syslog daemon writes to a file has no form."""
    assert form_of(line) is None
