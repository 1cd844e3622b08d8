"""The sshd filter's table of samples: each line alone, in every form a log gives it."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from producers.filters import Row, load_filter
from producers.filters.rows import HOST, IP, KIND, PORT, USER
from producers.stamps import Clock

NOW_MS = int(datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp() * 1_000)
CLOCK = Clock(NOW_MS, "offline")
TABLES = tomllib.loads(Path(__file__).with_name("samples.toml").read_text())
SAMPLES: list[dict[str, Any]] = TABLES["sample"]
OTHERS: list[str] = TABLES["others"]
FORMS = {
    "rfc 3164": "Nov 22 09:00:00 web sshd[4711]: {}",
    "with priority": "<38>Nov 22 09:00:00 web sshd[4711]: {}",
    "rfc 5424": "<38>1 2026-11-22T09:00:00.5Z web sshd 4711 - - {}",
    "rfc 5424 with data": '<38>1 2026-11-22T09:00:00Z web sshd 4711 ID47 [x@1 a="b \\] c"] \ufeff{}',
    "iso": "2026-11-22T09:00:00.123456+00:00 web sshd[4711]: {}",
    "short-iso": "2026-11-22T09:00:00+0000 web sshd[4711]: {}",
    "short-precise": "Nov 22 09:00:00.123456 web sshd[4711]: {}",
    "short-full": "Sun 2026-11-22 09:00:00 UTC web sshd[4711]: {}",
    "short-unix": "1795338000.123456 web sshd[4711]: {}",
    "sshd-session": "Nov 22 09:00:00 web sshd-session[4711]: {}",
    "sshd-auth": "Nov 22 09:00:00 web sshd-auth[4711]: {}",
}


def scan(*lines: str) -> list[Row]:
    """The events of lines, in a stream of their own."""
    data = "".join(f"{line}\n" for line in lines).encode()
    return load_filter("sshd").matcher().scan(data, CLOCK)


def said(row: Row) -> list[Any]:
    """An event as the table writes it."""
    return [row[KIND], row[IP], row[USER], row[PORT]]


def expected(sample: dict[str, Any]) -> list[list[Any]]:
    """What the table says of a line."""
    if not sample["says"]:
        return []
    says: list[Any] = [*sample["says"], None, None]
    return [[*says[:3], sample.get("port", says[3])]]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["line"][:60])
@pytest.mark.parametrize("form", FORMS)
def test_a_sample_means_what_the_table_says(sample: dict[str, Any], form: str) -> None:
    """Every line gives its event, or none, in every form of header."""
    assert list(map(said, scan(FORMS[form].format(sample["line"])))) == expected(sample)


def test_the_table_is_not_empty() -> None:
    """The samples are there, of each kind and of none."""
    kinds = {(sample["says"] or [None])[0] for sample in SAMPLES}
    assert kinds == {"failed", "probed", "succeeded", None}
    assert len(SAMPLES) > 100


def test_an_event_names_the_reporting_host() -> None:
    """The header's host is the event's."""
    (row,) = scan(FORMS["iso"].format("Invalid user x from 192.0.2.7 port 5"))
    assert row[HOST] == "web"


@pytest.mark.parametrize("line", OTHERS)
def test_other_programs_lines_are_no_events(line: str) -> None:
    """What another program logs is no event, whatever its text says; nor is it an unheaded line of sshd's."""
    assert scan(FORMS["iso"].format("Invalid user x from 192.0.2.7 port 5"), line)[1:] == []


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
            assert scan(FORMS["rfc 3164"].format(message)) == []


def test_headless_lines_are_sshds_own_log() -> None:
    """A file that `sshd -E` writes has no headers: its lines count, with the time they are seen."""
    rows = scan(
        "Invalid user nosuch from 192.0.2.7 port 5\r",
        "error: PAM: Authentication failure for illegal user nosuch from 192.0.2.7\r",
        "Failed password for invalid user nosuch from 192.0.2.7 port 5 ssh2\r",
        "Failed password for root from 192.0.2.7 port 6 ssh2\r",
        "Connection closed by invalid user nosuch 192.0.2.7 port 5 [preauth]\r",
    )
    assert [row[KIND] for row in rows] == ["failed", "probed", "probed", "failed", "probed"]
    assert {(row[1], row[HOST], row[8]) for row in rows} == {(NOW_MS, None, False)}


def test_headless_lines_among_headed_ones_are_forgeries() -> None:
    """Once an event came with a header, a line without one is nobody's."""
    rows = scan(
        FORMS["iso"].format("Invalid user x from 192.0.2.7 port 5"),
        "Failed password for root from 203.0.113.9 port 22 ssh2",
    )
    assert [row[IP] for row in rows] == ["192.0.2.7"]


def test_repeated_messages_count_as_often_as_they_were() -> None:
    """`message repeated 5 times` gives five events, at positions of their own."""
    repeated = "message repeated 5 times: [ Failed password for root from 192.0.2.7 port 5 ssh2]"
    rows = scan(FORMS["rfc 3164"].format(repeated))
    assert [(row[KIND], row[9]) for row in rows] == [("failed", nth) for nth in range(5)]


def test_a_repeated_message_within_another_is_nothing() -> None:
    """Short forms are read one level deep, and never more than the cap."""
    nested = "message repeated 5 times: [ message repeated 5 times: [ Invalid user x from 192.0.2.7 port 5]]"
    assert scan(FORMS["rfc 3164"].format(nested)) == []
    many = "message repeated 9999 times: [ Failed password for root from 192.0.2.7 port 5 ssh2]"
    assert len(scan(FORMS["rfc 3164"].format(many))) == 32


def test_host_names_instead_of_addresses_are_a_notice() -> None:
    """With UseDNS there is no address to ban; the filter says so instead of guessing."""
    matcher = load_filter("sshd").matcher()
    line = FORMS["rfc 3164"].format("User bob from host.example not allowed because listed in DenyUsers")
    assert matcher.scan(f"{line}\n".encode(), CLOCK) == []
    assert list(matcher.notices().values()) == [1]
