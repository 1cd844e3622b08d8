"""Fail2ban's filters on the journal: the time stands apart, and what they read is the rest."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from producers.filters.fail2ban import Fail2banFilter, load
from producers.filters.rows import AT_MS, IP, SKEWED
from producers.sources.journald import render
from producers.stamps import LineClock

AT_MS_MEANT = 1_795_165_000_250
CLOCK = LineClock(AT_MS_MEANT + 3_600_000, "offline")
SURE = {"__CURSOR": "s=1", "_BOOT_ID": "0"}
CASES = {
    "murmur": (
        "murmurd",
        (
            "<W>2026-11-20 07:15:01.250 3 => <14:eve(-1)> Rejected connection from 203.0.113.5:40022: "
            "Invalid server password"
        ),
    ),
    "znc-adminlog": ("znc", "[bob] failed to login from 203.0.113.5"),
    "sshd": ("sshd", "Failed password for root from 203.0.113.5 port 22 ssh2"),
    "dovecot": (
        "dovecot",
        (
            "imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<eve>, method=PLAIN, "
            "rip=203.0.113.5, lip=192.0.2.1"
        ),
    ),
}


def entry(name: str, **more: object) -> dict[str, Any]:
    """An entry of the journal with a message that the filter finds."""
    program, message = CASES[name]
    return {
        "__REALTIME_TIMESTAMP": str(AT_MS_MEANT * 1_000),
        "SYSLOG_IDENTIFIER": program,
        "_PID": "4022",
        "_HOSTNAME": "gate",
        "MESSAGE": message,
        **more,
    }


def found(filter_: Fail2banFilter, line: bytes) -> list[tuple[object, ...]]:
    """(address, instant, whether the clock's) of what a filter finds in a line."""
    return [(row[IP], row[AT_MS], row[SKEWED]) for row in filter_.matcher().scan(line, CLOCK)]


@pytest.mark.parametrize("name", CASES)
def test_an_entry_has_the_journals_time(name: str) -> None:
    """Whatever date the message holds, and though the filter's datepattern is a file's."""
    assert found(load(name, logtype="journal"), render(entry(name))) == [("203.0.113.5", AT_MS_MEANT, False)]


@pytest.mark.parametrize("name", CASES)
def test_journalctls_json_is_read_alike(name: str) -> None:
    """In a file, however many lines stand before it."""
    filter_ = load(name, logtype="journal")
    line = orjson.dumps(entry(name, **SURE)) + b"\n"
    assert found(filter_, line) == [("203.0.113.5", AT_MS_MEANT, False)]
    assert found(filter_, b"x\n" * 2_000 + line) == [("203.0.113.5", AT_MS_MEANT, False)]


def test_a_containers_identifier_is_its_name() -> None:
    """As it is in fail2ban, where it is called after its service."""
    line = render(entry("sshd", CONTAINER_NAME="x", CONTAINER_ID="3f2a1b4c5d6e"))
    assert found(load("sshd", logtype="journal"), line) == [("203.0.113.5", AT_MS_MEANT, False)]
