"""The sshd filter's table of samples: each line alone, in every form a log gives it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from producers.filters import EventRow, Matcher, NativeFilter, every_filter, load_filter, sshd
from producers.filters.native.filter import read_filter
from producers.filters.rows import HOST, IP, KIND
from producers.filters.samples import CLOCK, FORMS, NOW_MS, SaidEvent, Sample, written, wrong
from producers.filters.sshd_matcher import SshdMatcher
from producers.library import LIBRARY
from producers.stamps import LineClock, Stamps

SSHD = read_filter(LIBRARY / "sshd.toml", "sshd")
MESSAGES = [sample for sample in SSHD.samples if not sample.whole]
OTHERS = [sample.text for sample in SSHD.samples if sample.whole]
PROGRAMS = ("sshd", "sshd-session", "sshd-auth")


def headed(line: str, form: str) -> str:
    """A message of sshd behind a header."""
    return FORMS[form].format(program="sshd", line=line)


class Blind(NativeFilter):
    """A filter that finds nothing."""

    def matcher(self, stamps: Stamps | None = None) -> Matcher:
        """Nothing in any line."""
        return Nothing(stamps=stamps)


class Nothing(SshdMatcher):
    """A matcher that finds nothing."""

    def scan(self, data: bytes, clock: LineClock, starts: Sequence[int] | None = None) -> list[EventRow]:
        """No events."""
        del data, clock, starts
        return []


def scan(*lines: str) -> list[EventRow]:
    """The events of lines, in a stream of their own."""
    data = "".join(f"{line}\n" for line in lines).encode()
    return load_filter("sshd").matcher().scan(data, CLOCK)


def said(line: str) -> list[SaidEvent]:
    """The events of one line, alone in its stream."""
    return [SaidEvent(kind, ip, user, port) for kind, _, ip, _, _, user, port, *_ in scan(line)]


@pytest.mark.parametrize("sample", MESSAGES, ids=lambda sample: sample.text[:60])
def test_a_sample_means_what_the_table_says(sample: Sample) -> None:
    """Every line gives its event, or none, in every form of header, whichever of sshd's programs wrote it."""
    for template in FORMS.values():
        for program in PROGRAMS:
            assert said(template.format(program=program, line=sample.text)) == list(sample.says)


def test_the_table_is_not_empty() -> None:
    """The samples are there, of each kind and of none."""
    kinds = {sample.says[0].kind if sample.says else None for sample in MESSAGES}
    assert kinds == {"failed", "probed", "succeeded", None}
    assert len(MESSAGES) > 100
    assert len(OTHERS) > 10


@pytest.mark.parametrize("filter_", every_filter(), ids=lambda each: each.name)
def test_every_filter_reads_its_own_samples_as_it_should(filter_: NativeFilter) -> None:
    """`banstream filters test` finds nothing wrong with any filter of the library."""
    assert list(wrong(filter_)) == []


def test_a_filter_that_reads_a_sample_otherwise_is_found_out() -> None:
    """A filter whose matcher finds nothing is wrong about every sample that is an event, in every form."""
    events = sum(bool(sample.says) for sample in MESSAGES)
    forms = len(written(SSHD, MESSAGES[0]))
    assert len(list(wrong(Blind(SSHD.definition, SSHD.text, SSHD.file)))) == events * forms


def test_an_event_names_the_reporting_host() -> None:
    """The header's host is the event's."""
    (row,) = scan(headed("Invalid user x from 192.0.2.7 port 5", "iso"))
    assert row[HOST] == "web"


@pytest.mark.parametrize("line", OTHERS)
def test_other_programs_lines_are_no_events(line: str) -> None:
    """What another program logs is no event, whatever its text says; nor is it an unheaded line of sshd's."""
    assert scan(headed("Invalid user x from 192.0.2.7 port 5", "iso"), line)[1:] == []


def test_a_message_cut_by_syslog_gives_no_address() -> None:
    """A user name long enough to push the true address past syslog's 500 bytes forges nothing."""
    for false in (" 203.0.113.9 port 22 [preauth]", " from 203.0.113.9 port 22 ssh2", " from 203.0.113.9"):
        for words in (
            "Connection closed by invalid user ",
            "Invalid user ",
            "error: PAM: x for illegal user ",
        ):
            filler = 500 - len(words) - len(false)
            message = words + "\\001" * (filler // 4) + "x" * (filler % 4) + false
            assert len(message) == 500
            assert scan(headed(message, "rfc 3164")) == []


def test_headless_lines_are_sshds_own_log() -> None:
    """A file that `sshd -E` writes has no headers: its lines count, and that they have no time is said."""
    rows = scan(
        "Invalid user nosuch from 192.0.2.7 port 5\r",
        "error: PAM: Authentication failure for illegal user nosuch from 192.0.2.7\r",
        "Failed password for invalid user nosuch from 192.0.2.7 port 5 ssh2\r",
        "Failed password for root from 192.0.2.7 port 6 ssh2\r",
        "Connection closed by invalid user nosuch 192.0.2.7 port 5 [preauth]\r",
    )
    assert [row[KIND] for row in rows] == ["failed", "probed", "probed", "failed", "probed"]
    assert {(row[1], row[HOST], row[8]) for row in rows} == {(NOW_MS, None, True)}


def test_headless_lines_among_headed_ones_are_forgeries() -> None:
    """Once an event came with a header, a line without one is nobody's."""
    rows = scan(
        headed("Invalid user x from 192.0.2.7 port 5", "iso"),
        "Failed password for root from 203.0.113.9 port 22 ssh2",
    )
    assert [row[IP] for row in rows] == ["192.0.2.7"]


def test_repeated_messages_count_as_often_as_they_were() -> None:
    """`message repeated 5 times` gives five events, at positions of their own."""
    repeated = "message repeated 5 times: [ Failed password for root from 192.0.2.7 port 5 ssh2]"
    rows = scan(headed(repeated, "rfc 3164"))
    assert [(row[KIND], row[9]) for row in rows] == [("failed", nth) for nth in range(5)]


def test_a_repeated_message_within_another_is_nothing() -> None:
    """Short forms are read one level deep, and never more than the cap."""
    nested = "message repeated 5 times: [ message repeated 5 times: [ Invalid user x from 192.0.2.7 port 5]]"
    assert scan(headed(nested, "rfc 3164")) == []
    many = "message repeated 9999 times: [ Failed password for root from 192.0.2.7 port 5 ssh2]"
    assert len(scan(headed(many, "rfc 3164"))) == 32


def test_host_names_instead_of_addresses_are_a_notice() -> None:
    """With UseDNS there is no address to ban; the filter says so instead of guessing."""
    matcher = load_filter("sshd").matcher()
    line = headed("User bob from host.example not allowed because listed in DenyUsers", "rfc 3164")
    assert matcher.scan(f"{line}\n".encode(), CLOCK) == []
    assert list(matcher.notices().values()) == [1]


def test_no_group_is_repeated_possessively() -> None:
    """Python before 3.11.5, so Debian 12's, matches such a repeat wrongly (its issue 106052)."""
    patterns = [sshd.LINE.pattern, sshd.HEADLESS_LINE.pattern, *(rare.text.pattern for rare in sshd.RARES)]
    assert [each for each in patterns if re.search(rb"\)(?:[*+?]|\{\d*,?\d*\})\+", each)] == []
