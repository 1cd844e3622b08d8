"""`banstream match`: any service's lines, why one is taken or not, and what stayed unmatched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.banstream.service import Service

LOG = """\
Sun Nov 22 09:00:00 2026 [pid 4711] [bob] FAIL LOGIN: Client "::ffff:192.0.2.7"
Sun Nov 22 09:00:00 2026 [pid 4711] [bob] FAIL LOGIN: Client 192.0.2.7
Nov 22 09:00:00 web cron[1]: (root) CMD (ls)
Nov 22 09:00:01 web cron[2]: (root) CMD (ls)
192.0.2.9 - - [22/Nov/2026:09:00:00 +0000] "GET /.env HTTP/1.1" 404 153 "-" "curl/8.5.0"
Nov 22 09:00:02 web sshd[7]: Failed password for root from 192.0.2.8 port 5 ssh2
"""
SHOP = """\
service = "shop"
title = "a shop"
headers = ['{time} ']

[[failed]]
line = 'login of {user} from {ip} failed'

[[sample]]
log = '2026-11-22 09:00:00 login of bob from 192.0.2.7 failed'
says = ["failed", "192.0.2.7", "bob"]

[[sample]]
log = '2026-11-22 09:00:00 hello'
says = []
"""


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A folder with the log in it."""
    (tmp_path / "some.log").write_text(LOG, encoding="utf-8")
    return Service(tmp_path)


def objects(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_finds_its_filter(service: Service) -> None:
    """Without --filter a log of many services is read by whichever filter each line is for."""
    found = objects(service.run("match", "--json", str(service.folder / "some.log")).stdout)
    assert [(each["line"], each["filter"], each["ip"]) for each in found] == [
        (1, "vsftpd", "192.0.2.7"),
        (5, "web-scan", "192.0.2.9"),
        (6, "sshd", "192.0.2.8"),
    ]


def test_a_users_own_filter_is_named_by_its_path(service: Service) -> None:
    """A TOML file is a filter, its samples can be tried, and its lines matched."""
    shop = service.folder / "shop.toml"
    shop.write_text(SHOP, encoding="utf-8")
    log = service.folder / "shop.log"
    log.write_text("2026-11-22T09:00:00Z login of two words from 192.0.2.7 failed\n", encoding="utf-8")
    assert "lines read as they should" in service.run("filters", "test", str(shop)).stdout
    (found,) = objects(service.run("match", "--filter", str(shop), "--json", str(log)).stdout)
    assert (found["user"], found["ip"], found["at_ms"]) == ("two words", "192.0.2.7", 1_795_338_000_000)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("login of {user} from {ip} failed", "login of {user} from {ip} failed{rest}"),
            "free text stands both",
        ),
        (("login of {user}", "(?:\\w+ ?)* of {user}"), "may take for ever"),
        (("{user}", "{usr}"), "no piece is named {usr}"),
        (("[[failed]]\nline", "[[failed]]\nlin"), "no such key; known are"),
        (("failed'", "(failed'"), "[[failed]] 1: missing )"),
        (('service = "shop"', "service = 7"), "service: expected str, not 7"),
        (('title = "a shop"', 'title = "a shop'), "shop.toml: "),
    ],
)
def test_a_filter_that_is_wrong_or_dangerous_is_refused(
    service: Service, change: tuple[str, str], said: str
) -> None:
    """The file, the table and what is wrong are named; exit code 2."""
    shop = service.folder / "shop.toml"
    shop.write_text(SHOP.replace(*change, 1), encoding="utf-8")
    refused = service.run("match", "--filter", str(shop), str(service.folder / "some.log"), code=2)
    assert said in refused.stderr
    assert "shop.toml" in refused.stderr


def test_a_sample_that_is_read_otherwise_is_shown(service: Service) -> None:
    """`filters test` says which sample gives what instead, and ends with 1."""
    shop = service.folder / "shop.toml"
    shop.write_text(SHOP.replace('"bob"]', '"alice"]'), encoding="utf-8")
    tested = service.run("filters", "test", str(shop), code=1)
    assert "WRONG" in tested.stdout
    assert "user='bob'" in tested.stdout


def test_explain_says_which_pattern_takes_a_line_and_why_none_does(service: Service) -> None:
    """A taken line shows its table and what it captures; another how far the nearest pattern reads it."""
    found = objects(
        service.run(
            "match", "--filter", "vsftpd", "--explain", "--json", str(service.folder / "some.log")
        ).stdout
    )
    taken, near, other, *_ = found
    assert taken["events"][0]["pattern"] == "[[failed]] 1"
    assert taken["events"][0]["groups"]["user"] == "bob"
    assert "FAIL LOGIN: Client ', then wants '\"{ip}\"" in near["reasons"]["vsftpd"]
    assert other["reasons"] == {"vsftpd": "it holds nothing of what the filter looks for"}
    text = service.run("match", "--explain", str(service.folder / "some.log")).stdout
    assert "web-scan: failed  192.0.2.9" in text


def test_coverage_groups_what_stayed_unmatched(service: Service) -> None:
    """Lines that differ in numbers alone are one shape, with their count and the first of them."""
    found = objects(service.run("match", "--coverage", "--json", str(service.folder / "some.log")).stdout)
    assert [(each["count"], each["line"]) for each in found] == [(2, 3), (1, 2)]
    assert found[0]["shape"] == "<date> <time> web cron[<n>]: (root) CMD (ls)"


def test_a_jail_may_name_any_filter_of_the_library_or_auto(service: Service) -> None:
    """`filter = "auto"` bans by whatever the lines are; a named filter by its own; replay shows both."""
    service.config.write_text(
        "[defaults]\nmaxretry = 1\nignoreip = []\n"
        f'[jail.all]\nfilter = "auto"\nsource = "file:{service.log}"\n'
        f'[jail.ftp]\nfilter = "vsftpd"\nsource = "file:{service.log}"\n',
        encoding="utf-8",
    )
    log = str(service.folder / "some.log")
    found = objects(service.run("replay", "--config", str(service.config), "--json", log).stdout)
    bans = {(each["jail"], each["prefix"]) for each in found if each["kind"] == "ban"}
    assert bans == {("ftp", "192.0.2.7"), ("all", "192.0.2.9"), ("all", "192.0.2.8")}
