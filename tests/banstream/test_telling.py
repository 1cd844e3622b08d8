"""What a role says of bans: fail2ban's words, as facts in JSON, so many a second, for real firewalls."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import orjson
import pytest

from banstream.logs import JsonLines, Lines
from banstream.telling import MOST_A_SECOND, MOST_KEPT, Telling
from enforcers.saying import Said
from schemas.codec import encode, frame_of
from schemas.deciding import Obeyed
from schemas.records import (
    Ban,
    Record,
    Unban,
)
from tests.banstream.service import Service, eventually, service
from tests.namespaces import fleet

NOW_MS = 1_700_000_000_000
ATTACKER, OTHER = "203.0.113.66", "198.51.100.7"


class Heard:
    """A telling whose seconds are moved by hand, and the lines it wrote."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.second = 1.0
        self.out = StringIO()
        self.handler = logging.StreamHandler(self.out)
        self.handler.setFormatter(formatter)
        self.telling = Telling(lambda: NOW_MS, lambda: self.second)

    def lines(self) -> list[str]:
        """What was written so far."""
        return self.out.getvalue().splitlines()


@pytest.fixture(params=[Lines, JsonLines])
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    """In either format."""
    made = Heard(request.param())
    logger = logging.getLogger("banstream.bans")
    logger.addHandler(made.handler)
    logger.setLevel(logging.INFO)
    yield made
    logger.removeHandler(made.handler)
    logger.setLevel(logging.NOTSET)


def ban(prefix: str = ATTACKER, jail: str = "sshd", why: str | None = None) -> Ban:
    """A decision."""
    return Ban(
        id="0-12-3-0",
        prefix=prefix,
        jail=jail,
        at_ms=NOW_MS,
        until_ms=NOW_MS + 600_000,
        count=5,
        ban_count=1,
        rules="r",
        findtime_ms=600_000,
        why=why,
    )


def said(prefix: str = ATTACKER, jail: str = "sshd", reason: str | None = None) -> Said:
    """What an enforcer says of it."""
    return Said("Ban", "", jail, prefix, "0-12-3-0", NOW_MS + 600_000, reason)


def test_a_ban_is_told_in_fail2bans_words_with_its_reason(heard: Heard) -> None:
    """The text is what greps look for; in JSON each fact is a field."""
    heard.telling.hear([ban()])
    heard.telling.tell(said())
    (line,) = heard.lines()
    if line.startswith("{"):
        wire = orjson.loads(line)
        assert wire["message"] == f"[sshd] Ban {ATTACKER}"
        facts = {key: wire[key] for key in ("level", "jail", "verb", "prefix", "failures", "decision")}
        assert facts == {
            "level": "notice",
            "jail": "sshd",
            "verb": "Ban",
            "prefix": ATTACKER,
            "failures": 5,
            "decision": "0-12-3-0",
        }
    else:
        assert re.search(
            rf" NOTICE \[sshd\] Ban {re.escape(ATTACKER)} failures=5 within=10m until=2023-\S+"
            r" decision=0-12-3-0$",
            line,
        )


def test_a_storm_is_summed_up_once_a_second(heard: Heard) -> None:
    """So many lines, then one with the numbers of the rest; the next second has room again."""
    for number in range(1_000):
        heard.telling.tell(said(f"198.51.100.{number % 250}"))
    for _ in range(17):
        heard.telling.tell(said()._replace(word="Unban"))
    assert len(heard.lines()) == MOST_A_SECOND
    heard.telling.turn()
    assert len(heard.lines()) == MOST_A_SECOND
    heard.second += 1
    heard.telling.turn()
    heard.telling.turn()
    *_, last = heard.lines()
    assert len(heard.lines()) == MOST_A_SECOND + 1
    numbers = orjson.loads(last) if last.startswith("{") else dict(re.findall(r"(\w+)=(\d+)", last))
    assert (int(numbers["ban"]), int(numbers["unban"])) == (1_000 - MOST_A_SECOND, 17)
    heard.telling.tell(said())
    assert len(heard.lines()) == MOST_A_SECOND + 2


def test_what_is_kept_until_it_takes_effect_has_a_bound() -> None:
    """Decisions of which no enforcer ever speaks do not pile up."""
    telling = Telling(lambda: NOW_MS)
    for number in range(MOST_KEPT + 100):
        telling.hear([ban(f"2001:db8::{number:x}")])
    assert len(telling._why) == MOST_KEPT  # noqa: SLF001
    telling.turn()
    assert not telling._why  # noqa: SLF001


def test_what_others_wrote_steers_no_terminal_and_forges_no_line(heard: Heard) -> None:
    """A reason, or a jail's name in a fleet's log, stays what it is."""
    evil = "\x1b[2J\n2026-11-30 NOTICE [sshd] Ban 192.0.2.1"
    heard.telling.hear([ban(why=evil, jail="x] Ban 192.0.2.1")])
    heard.telling.tell(said(reason=evil, jail="x] Ban 192.0.2.1"))
    (line,) = heard.lines()
    assert "\x1b" not in line
    assert (not line.startswith("{") and '["x] Ban 192.0.2.1"] Ban' in line) or orjson.loads(line)[
        "why"
    ] == evil


def test_who_decides_for_others_says_what_was_decided(heard: Heard) -> None:
    """A ban, an expiry without an operator; a ban that had ended already is nobody's news, nor is its end."""
    unban = Unban(id="0-t5-0-0", prefix=OTHER, jail="sshd", at_ms=5, ban="b", reason="expired")
    old = replace(ban("192.0.2.1"), expired=True)
    frame: list[Record] = [Obeyed(first=0, steps=()), old, replace(unban, prefix="192.0.2.1"), ban(), unban]
    heard.telling.committed(frame_of([encode(each) for each in frame]))
    first, second = heard.lines()
    assert f"[sshd] Ban {ATTACKER}" in first
    assert "failures" in first
    assert f"[sshd] Unban {OTHER}" in second
    assert "expired" in second


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A configured service in a namespace of its own."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        yield made


def notices(up: Service) -> list[str]:
    """The lines of fail2ban's words, without their time."""
    lines = [re.split(r" (?:NOTICE|WARNING|ERROR) (?=\[)", line) for line in up.errors.splitlines()]
    return [parts[1] for parts in lines if len(parts) > 1]


@pytest.mark.real("nftables")
def test_up_says_each_ban_when_the_firewall_has_it(up: Service) -> None:
    """By failures, by an operator, refused, unbanned, expired; and what stands at the next start."""
    up.configure("maxretry = 3")
    up.start()
    up.fail(ATTACKER, 3)
    eventually(lambda: notices(up), "it says the ban")
    assert ATTACKER in up.elements()
    assert re.fullmatch(
        rf"\[sshd\] Ban {re.escape(ATTACKER)} failures=3 within=10m until=\S+ decision=0-\d+-\d+-0",
        notices(up)[0],
    )
    assert up.host is not None
    config = ("--config", str(up.config))
    up.run("ban", OTHER, "--for", "1s", "--why", "ticket 4711", *config)
    up.run("ban", up.host.ip4, *config, code=1)
    eventually(lambda: len(notices(up)) == 4, "it says the refusal, and the end")
    assert notices(up)[1].startswith(f'[manual] Ban {OTHER} by=root why="ticket 4711" until=')
    assert min(notices(up)[2:]).startswith(f"[manual] Refused {up.host.ip4} ")
    assert sorted(notices(up)[2:])[1].startswith(f"[manual] Unban {OTHER} reason=expired")
    up.stop()
    before = len(notices(up))
    up.start()
    restored = notices(up)[before:]
    assert [line.split(" until")[0] for line in restored if "Refused" not in line] == [
        f"[sshd] Restore Ban {ATTACKER}"
    ]
    up.run("unban", ATTACKER, *config)
    eventually(lambda: f"[sshd] Unban {ATTACKER} reason=operator by=root" in notices(up)[-1], "the unban")


@pytest.mark.real("nftables")
def test_a_ban_decided_at_the_start_is_a_new_one(up: Service) -> None:
    """Ordered while `up` was down: no restore."""
    up.start()
    up.stop()
    up.run("ban", OTHER, "--config", str(up.config))
    up.start()
    assert notices(up)[0].startswith(f"[manual] Ban {OTHER} by=root until=never decision=0-c")
