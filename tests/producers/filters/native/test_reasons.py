"""Why a filter takes a line, or does not."""

from __future__ import annotations

import pytest

from producers.filters import load_filter
from producers.filters.native.definition import parse_definition
from producers.filters.native.filter import NativeFilter
from producers.filters.native.reasons import reason, taken

TEXT = r"""
programs = ["app"]
headers = ['{time} ']
[[failed]]
line = 'login of {user} from {ip} failed'
[[probed]]
json = { msg = 'login failed', code = '40[13]' }
[[probed]]
kv = { action = 'login deny' }
[[probed]]
clf = { agent = 'login.*' }
[json]
ip = "ip"
"""
FILTER = NativeFilter(parse_definition("x", TEXT, "x.toml"), TEXT, "x.toml")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hello", "it holds nothing of what the filter looks for"),
        (
            "2026-11-22 09:00:00 login of bob from 192.0.2.7 failed!",
            (
                "[[failed]] 1: reads '2026-11-22 09:00:00 login of bob from 192.0.2.7 failed', then ends, "
                "and at character 55 finds '!'"
            ),
        ),
        (
            "2026-11-22 09:00:00 login of bob from host failed",
            (
                "[[failed]] 1: reads '2026-11-22 09:00:00 login of bob from ', then wants '{ip} failed', "
                "and at character 39 finds 'host failed'"
            ),
        ),
        (
            "Nov 22 09:00:00 web app[7]: login of bob from 192.0.2.7 failed twice",
            (
                "[[failed]] 1: reads 'login of bob from 192.0.2.7 failed', then ends, "
                "and at character 63 finds ' twice'"
            ),
        ),
        ("login of x from y failed", "[[failed]] 1: it does not begin with a header that the filter knows"),
        (
            '{"msg":"login failed","code":200}',
            "[[probed]] 1: code is '200'",
        ),
        ('{"msg":"login failed","code":401}', "[[probed]] 1: it matches, and names no address"),
        ('["login failed"]', "[[probed]] 1: it is no JSON object"),
        ('action="login deny"', "[[probed]] 2: it matches, and names no address"),
        ('action="login allow" msg="login deny"', "[[probed]] 2: action is 'login allow'"),
        ("login deny", "[[probed]] 2: it is no line of key=value pairs"),
        (
            '192.0.2.7 - - [22/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "x login"',
            "[[probed]] 3: it is no access log's line with these columns",
        ),
    ],
)
def test_what_keeps_a_line_from_being_taken(line: str, expected: str) -> None:
    """Each kind of pattern says where it stops; the nearest comes first."""
    found = taken(FILTER, line.encode())
    assert found is None or "ip" not in found[1]
    assert any(expected == each for each in reasons_of(line)), reasons_of(line)


def reasons_of(line: str) -> list[str]:
    """The reason of the whole filter, and those of each of its tables alone."""
    tables = TEXT.split("\n[[")
    head, rules, keys = tables[0], tables[1:], "\n[json]\nip = 'ip'"
    found = [reason(FILTER, line.encode())]
    for number, rule in enumerate(rules):
        text = f"{head}\n[[{rule.partition('[json]')[0]}{keys}"
        one = NativeFilter(parse_definition("x", text, "x.toml"), text, "x.toml")
        place = f"[[probed]] {number}"
        found.append(reason(one, line.encode()).replace("[[probed]] 1", place))
    return found


def test_the_nearest_pattern_comes_first() -> None:
    """The one that reads most of the line."""
    assert reason(FILTER, b"2026-11-22 09:00:00 login of bob from x").startswith("[[failed]] 1: reads")


@pytest.mark.parametrize("headers", ["", r"headers = ['(?!)']", r"headers = ['{time} ']"])
def test_another_programs_message_is_said_to_be(headers: str) -> None:
    """Also where the service has a log of its own whose lines begin otherwise."""
    text = f"programs = ['app', 'appd']\n{headers}\n[[failed]]\nline = 'login from {{ip}}'"
    one = NativeFilter(parse_definition("x", text, "x.toml"), text, "x.toml")
    line = b"Nov 22 09:00:00 web other[7]: login from 192.0.2.7"
    assert reason(one, line).partition(";")[0] == "it is of the program other, not of app, appd"


def test_of_many_programs_some_are_said() -> None:
    """The first six, and how many more there are."""
    text = "programs = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']\n[[failed]]\nline = 'login from {ip}'"
    one = NativeFilter(parse_definition("x", text, "x.toml"), text, "x.toml")
    line = b"Nov 22 09:00:00 web other[7]: login from 192.0.2.7"
    assert reason(one, line) == "it is of the program other, not of a, b, c, d, e, f or 2 more"


def test_code_of_its_own_gives_no_reason() -> None:
    """Sshd's lines are read by code, not by tables."""
    sshd = load_filter("sshd")
    assert isinstance(sshd, NativeFilter)
    assert reason(sshd, b"x") == "its code reads nothing in it"
    assert taken(sshd, b"x") is None


def test_what_takes_a_line_and_what_it_captures() -> None:
    """The table, and the groups that have a name."""
    found = taken(FILTER, b"2026-11-22 09:00:00 login of b\xff from 192.0.2.7 failed")
    assert found is not None
    assert found[0] == "[[failed]] 1"
    assert found[1] == {
        "user": "b\ufffd",
        "ip": "192.0.2.7",
        "time": "2026-11-22 09:00:00",
    }


@pytest.mark.parametrize("line", [b"", b"\0login" * 9_000, b"\xff login of " + b"x" * 65_000, b"{" * 9_000])
def test_a_hostile_line_has_a_reason_too(line: bytes) -> None:
    """No error, whatever it holds."""
    assert reason(FILTER, line)


def test_a_line_that_opens_a_session_is_said_to() -> None:
    """It names who connects; an event comes with a later line."""
    text = "[[session]]\nline = '{session} from {ip}'\n[[failed]]\nline = '{session} refused'"
    one = NativeFilter(parse_definition("x", text, "x.toml"), text, "x.toml")
    said = "[[session]] 1: it tells of a connection, which is no event by itself"
    assert reason(one, b"7f from 192.0.2.7") == said
