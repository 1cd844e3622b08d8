"""Our bans as a list for other programs: each in its own form, whatever a jail is called."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from banstream.ban_lists import FORMATS, listed
from banstream.lists.formats import parse
from banstream.lists.wanted import Wanted
from banstream.standings import BanState, HostWord, StandingBan
from schemas.records import Hold
from tests.banstream.service import Service, eventually, service
from tests.banstream.test_bans import HOUR_MS
from tests.namespaces import fleet
from tests.streams.folding import ALICE, BOB, SIX, T0

EVIL = 'x"; /system reboot; "$[:put 1]\\\n=1+1,é'


def ban(
    prefix: str, jail: str = "sshd", until_ms: int | None = T0 + HOUR_MS, *states: BanState
) -> StandingBan:
    """A ban, as each of several hosts has it."""
    hosts = {str(nth): HostWord(state) for nth, state in enumerate(states or ("in force",))}
    hold = Hold(jail=jail, ban="0-0-0-0", until_ms=until_ms, ports=(22, 80))
    return StandingBan(prefix, hold, T0, hosts)


SOME = [ban(ALICE), ban("192.0.2.0/24"), ban(SIX, "web", None), ban(ALICE, "web", T0 + 2 * HOUR_MS)]


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("plain", [ALICE, "192.0.2.0/24", SIX]),
        ("haproxy", [ALICE, "192.0.2.0/24", SIX]),
        ("nginx", [f"deny {ALICE};", "deny 192.0.2.0/24;", f"deny {SIX};"]),
        (
            "csv",
            [
                "prefix,jail,since,until,ports",
                f"{ALICE},sshd,2023-11-14T22:13:20Z,2023-11-14T23:13:20Z,22 80",
                "192.0.2.0/24,sshd,2023-11-14T22:13:20Z,2023-11-14T23:13:20Z,22 80",
                f"{SIX},web,2023-11-14T22:13:20Z,,22 80",
                f"{ALICE},web,2023-11-14T22:13:20Z,2023-11-15T00:13:20Z,22 80",
            ],
        ),
        (
            "mikrotik",
            [
                "/ip firewall address-list",
                "remove [find list=banstream]",
                f'add list=banstream address={ALICE} timeout=7200s comment="sshd\\2C web"',
                'add list=banstream address=192.0.2.0/24 timeout=3600s comment="sshd"',
                "/ipv6 firewall address-list",
                "remove [find list=banstream]",
                f'add list=banstream address={SIX}/128 comment="web"',
            ],
        ),
    ],
)
def test_bans_are_listed_in_a_form(form: str, lines: list[str]) -> None:
    """Each prefix once, but in rows; until the last jail lets go."""
    assert list(FORMATS[form](SOME, T0)) == lines


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_of_nobody_is_a_list(form: str) -> None:
    """Of the header alone, or of nothing."""
    assert [line for line in FORMATS[form]([], T0) if ALICE in line] == []


def test_a_jails_name_steers_nothing() -> None:
    """Neither a router nor a spreadsheet: it stays within its quotes, and is no formula."""
    lines = list(FORMATS["mikrotik"]([ban(ALICE, EVIL)], T0))
    (added,) = (line for line in lines if line.startswith("add"))
    comment = added.partition('comment="')[2].removesuffix('"')
    assert not set(comment) & set('"$[];:\n?')
    assert "\\22\\3B /system reboot" in comment
    rows = list(csv.reader("\n".join(FORMATS["csv"]([ban(ALICE, "=cmd|' /C calc'!A0")], T0)).splitlines()))
    assert rows[1][1].startswith("'=")


@pytest.mark.parametrize(
    ("states", "there"),
    [
        (("in force",), True),
        (("observed only",), True),
        (("pending",), True),
        (("refused",), False),
        (("ended",), False),
        (("refused", "in force"), True),
        (("refused", "ended"), False),
    ],
)
def test_what_every_host_refused_is_in_no_list(states: tuple[BanState, ...], *, there: bool) -> None:
    """An address that is never banned is not handed on to others as banned."""
    assert bool(listed([ban(ALICE, "sshd", None, *states)])) == there


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A service that runs."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        made.start()
        yield made


@pytest.mark.real("nftables")
@pytest.mark.parametrize("form", ["plain", "csv", "haproxy"])
def test_what_one_machine_prints_another_takes_as_a_list(up: Service, form: str) -> None:
    """The command, with the filters that it has; own addresses, which are refused, are not in it."""
    assert up.host is not None
    for prefix in (BOB, "2001:db8::/48", up.host.ip4):
        up.run("ban", prefix, "--config", str(up.config), code=None)
    eventually(lambda: len(up.elements()) == 2, "they are banned")

    def printed(*options: str) -> str:
        return up.run("bans", "--format", form, *options, "--config", str(up.config)).stdout

    wanted = Wanted(name="list:other", place="https://example.org/")
    assert parse(printed().encode(), wanted).prefixes == {BOB, "2001:db8::/48"}
    assert parse(printed("--prefix", BOB).encode(), wanted).prefixes == {BOB}
    assert parse(printed("--jail", "nosuch").encode(), wanted).prefixes == set()
    both = up.run("bans", "--format", form, "--json", "--config", str(up.config), code=2)
    assert "choose one" in both.stderr
