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


NAMES = """\
[jail.mysql]
source = "stdin"
maxretry = 2
[jail.own]
filter = "{folder}/own.conf"
source = "stdin"
maxretry = 2
"""
MIXED = """\
2026-02-24T15:26:18.237955Z 6 [Note] Access denied for user 'root'@'localhost' (using password: YES)
2026-02-24T15:26:18.237955Z 6 [Note] Access denied for user 'root'@'203.0.113.9' (using password: YES)
2026-02-24T15:26:19.237955Z 6 [Note] Access denied for user 'root'@'203.0.113.9' (using password: YES)
Nov 30 02:00:00 h app: bad login from client.example
"""


def test_a_replay_leaves_names_out_and_says_how_many(service: Service) -> None:
    """A native filter's {host} and fail2ban's <HOST> may be names; nobody asks the DNS for a replay."""
    (service.folder / "own.conf").write_text("[Definition]\nfailregex = ^ h app: bad login from <HOST>$\n")
    (service.folder / "names.toml").write_text(NAMES.format(folder=service.folder))
    (service.folder / "mixed.log").write_text(MIXED)
    arguments = ("replay", "--config", str(service.folder / "names.toml"), str(service.folder / "mixed.log"))
    ran = service.run(*arguments)
    assert "2 times an event names a host" in ran.stderr
    assert "203.0.113.9" in ran.stdout
    assert objects(service.run(*arguments, "--stats").stdout)[-1]["unnamed"] == 2


def test_lines_without_a_time_are_said(service: Service) -> None:
    """By `match` and `replay`, in their counts and in the report: days may lie between them."""
    log = service.folder / "times.log"
    log.write_text(
        "".join(
            f"[{at}.5] gate sshd[1]: Failed password for x from 192.0.2.{at} port 5 ssh2\n" for at in (1, 2)
        )
    )
    assert objects(service.run("match", "--stats", str(log)).stdout)[-1]["untimed"] == 2
    assert "2 times an event is of a line without a time" in service.run("match", str(log)).stderr
    config = service.folder / "sshd.toml"
    config.write_text('[jail.sshd]\nsource = "stdin"\n')
    report = service.folder / "report.html"
    ran = service.run("replay", "--config", str(config), "--report", str(report), str(log), code=1)
    assert "2 times an event is of a line without a time" in ran.stderr
    assert "2 times an event is of a line without a time" in report.read_text()


def test_a_service_without_dates_in_its_lines_bans_over_no_days(service: Service) -> None:
    """Three failures over nine days are three, by whatever form the service writes its time in."""
    log = service.folder / "gin.log"
    log.write_text(
        "".join(
            f'[GIN] 2026/11/0{day} - 09:15:01 | 401 |   1.2ms |    203.0.113.41 | POST     "/client"\n'
            for day in (1, 5, 9)
        )
    )
    config = service.folder / "gotify.toml"
    config.write_text('[jail.gotify]\nsource = "stdin"\nmaxretry = 3\n')
    assert service.run("replay", "--config", str(config), str(log), code=1).stdout == ""


def test_explain_names_the_likeliest_filter_first(service: Service) -> None:
    """The one of the program, then those that read most; and the character at which it stops."""
    log = service.folder / "near.log"
    log.write_text(
        "Nov 22 09:00:00 web sshd[7]: Faild password for root from 192.0.2.7 port 22 ssh2\n"
        "Nov 22 09:00:00 web dropbear[7]: Bad password attempt for 'x' from 192.0.2.7:1 boo\n"
    )
    text = service.run("match", "--explain", str(log), code=1).stdout
    first, second = (part.splitlines()[1].strip() for part in text.split(str(log))[1:])
    assert first == "sshd: its code reads nothing in the message that begins at character 30"
    assert second.startswith("dropbear: [[failed]]")
    assert "at character 79 finds ' boo'" in second


def test_a_filter_without_programs_is_tested(service: Service) -> None:
    """Its messages are lines of a log of its own."""
    file = service.folder / "bare.toml"
    file.write_text(
        "title = \"x\"\nbare = true\n[[failed]]\nline = 'bad {ip}'\n[[sample]]\nline = 'bad 192.0.2.7'\n"
        'says = ["failed", "192.0.2.7"]\n[[sample]]\nline = \'hello\'\nsays = []\n'
    )
    assert "6 of 6 lines read as they should" in service.run("filters", "test", str(file)).stdout


def test_a_replay_takes_the_jails_zone(service: Service) -> None:
    """For the file that the jail reads, and what it was rotated to."""
    line = "Nov 22 09:00:00 web sshd[7]: Failed password for root from 192.0.2.7 port 5 ssh2\n"
    for name in ("zone.log", "zone.log.1"):
        (service.folder / name).write_text(line)
    config = service.folder / "zone.toml"
    config.write_text(
        f'[jail.sshd]\nsource = "file:{service.folder}/zone.log"\ntimezone = "Asia/Tokyo"\nmaxretry = 1\n'
        f'[jail.dropbear]\nsource = "stdin"\n'
    )
    tokyo_ms, utc_ms = 1_795_305_600_000, 1_795_338_002_000
    for name, at_ms in (("zone.log", tokyo_ms), ("zone.log.1", tokyo_ms), ("some.log", utc_ms)):
        ran = service.run("replay", "--json", "--config", str(config), str(service.folder / name))
        assert [each["at_ms"] for each in objects(ran.stdout) if each["kind"] == "ban"] == [at_ms], name
