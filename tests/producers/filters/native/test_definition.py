"""A native filter's TOML: what it says, and what is wrong in it."""

from __future__ import annotations

import pytest

from producers.filters import NativeFilter, every_filter
from producers.filters.native.compiler import check_expressions
from producers.filters.native.definition import Rule, parse_definition
from schemas.errors import ConfigError

TECHNIQUES = {
    "T1110.001": "Brute Force: Password Guessing",
    "T1133": "External Remote Services",
    "T1190": "Exploit Public-Facing Application",
    "T1499.002": "Endpoint Denial of Service: Service Exhaustion Flood",
    "T1590.002": "Gather Victim Network Information: DNS",
    "T1595.001": "Active Scanning: Scanning IP Blocks",
    "T1595.002": "Active Scanning: Vulnerability Scanning",
    "T1595.003": "Active Scanning: Wordlist Scanning",
}
"""https://attack.mitre.org/techniques/enterprise/"""
WHOLE = """
service = "ftp"
title = "an FTP server"
generic = true
bare = true
programs = "ftpd"
ports = ["ftp"]
sources = ["file:/var/log/ftp.log"]
headers = ['{time} ']

[pieces]
client = 'at {ip}'

[[failed]]
lines = ['a {client}', 'b {client}']
ends = true

[[succeeded]]
json = { msg = 'ok' }

[[session]]
kv = { msg = 'ok' }

[[probed]]
clf = { status = '404' }

[json]
ip = ["remote.ip", "ip"]
user = "user"

[[sample]]
nothing here = is read
"""


def test_a_definition_is_what_its_file_says() -> None:
    """Every key; its rules in the order in which they are tried: what succeeded comes first."""
    found = parse_definition("ftp", WHOLE, "ftp.toml")
    assert (found.name, found.service, found.title) == ("ftp", "ftp", "an FTP server")
    assert (found.generic, found.bare, found.engine) == (True, True, "")
    assert (found.programs, found.ports, found.sources) == (("ftpd",), ("ftp",), ("file:/var/log/ftp.log",))
    assert (found.headers, found.pieces) == (("{time} ",), {"client": "at {ip}"})
    assert (found.json, found.kv) == ({"ip": ("remote.ip", "ip"), "user": ("user",)}, {})
    assert found.rules == (
        Rule("succeeded", "json", where={"msg": "ok"}, place="[[succeeded]] 1"),
        Rule("failed", "line", lines=("a {client}", "b {client}"), ends=True, place="[[failed]] 1"),
        Rule("probed", "clf", where={"status": "404"}, place="[[probed]] 1"),
        Rule("session", "kv", where={"msg": "ok"}, place="[[session]] 1"),
    )


def test_what_is_left_out_has_a_default() -> None:
    """The service is called as the filter is."""
    found = parse_definition("x", "[[failed]]\nline = '{ip}'", "x.toml")
    assert (found.service, found.programs, found.headers, found.bare) == ("x", (), (), False)
    assert parse_definition("x", "engine = 'sshd'", "x.toml").rules == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x\.toml: has no \[\[failed\]\]"),
        ("a = ", r"x\.toml: Invalid value"),
        ("nosuch = 1", r"x\.toml: nosuch: no such key; known are bare, "),
        ("title = 7", r"x\.toml: title: expected str, not 7"),
        ("bare = 'yes'", r"x\.toml: bare: expected bool, not 'yes'"),
        ("sessions = 'host'", r'x\.toml: sessions: expected "pid", not \'host\''),
        ("sessions = 7", r"x\.toml: sessions: expected str, not 7"),
        ("[[session]]\nline = 'x'\n[[sessions]]", r"x\.toml: sessions: expected str, not"),
        ("programs = [1]", r"x\.toml: programs: expected a text or a list of texts, not \[1\]"),
        ("programs = 7", r"x\.toml: programs: expected a text or a list"),
        ("failed = 'x'", r"x\.toml: failed: expected list"),
        ("failed = ['x']", r"x\.toml: \[\[failed\]\] 1: expected a table"),
        ("[pieces]\na = 1", r"x\.toml: pieces: expected a text for each key"),
        ("[json]\nnosuch = 'x'", r"x\.toml: \[json\] nosuch: no such key; known are host, ip"),
        ("[json]\nip = 7", r"x\.toml: \[json\] ip: expected a text or a list"),
        ("[[failed]]\nline = 'x'\n[[failed]]\nnosuch = 1", r"x\.toml: \[\[failed\]\] 2 nosuch: no such key"),
        ("[[failed]]\nends = true", r"x\.toml: \[\[failed\]\] 1: wants one of line, lines, json, kv and clf"),
        (
            "[[failed]]\nline = 'x'\njson = { a = 'b' }",
            r"x\.toml: \[\[failed\]\] 1: wants one of line, lines",
        ),
        ("[[failed]]\njson = {}", r"x\.toml: \[\[failed\]\] 1 json: wants at least one key"),
        ("[[failed]]\njson = { a = 1 }", r"x\.toml: \[\[failed\]\] 1 json: expected a text for each key"),
        ("[[failed]]\nline = 'x'\nends = 1", r"x\.toml: \[\[failed\]\] 1 ends: expected bool, not 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(text: str, message: str) -> None:
    """A table, a key, a type: each a ConfigError that says which and what would be right."""
    with pytest.raises(ConfigError, match=message):
        parse_definition("x", text, "x.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[failed]]\nline = '{nosuch}'", r"filter x, \[\[failed\]\] 1: no piece is named \{nosuch\}"),
        ("headers = '{nosuch}'\n[[failed]]\nline = 'a'", r"filter x, \[\[failed\]\] 1: no piece is named"),
        ("[[failed]]\nline = 'a'\n[[failed]]\nline = '('", r"filter x, \[\[failed\]\] 2: missing \)"),
        ("[[failed]]\nline = 'a{99999999999}'", r"filter x, \[\[failed\]\] 1: the repetition number"),
        ("[[failed]]\njson = { a = '*' }", r"filter x, \[\[failed\]\] 1: nothing to repeat"),
        ("[[failed]]\nclf = { nosuch = 'a' }", r"filter x, \[\[failed\]\] 1: no column is named nosuch"),
        ("[[failed]]\nclf = { status = '(' }", r"filter x, \[\[failed\]\] 1: "),
    ],
)
def test_an_expression_that_is_none_is_named_with_its_table(text: str, message: str) -> None:
    """Expressions are compiled when they are needed; `check_expressions` does it now, and says where."""
    with pytest.raises(ConfigError, match=message):
        check_expressions(parse_definition("x", text, "x.toml"))


@pytest.mark.parametrize("filter_", every_filter(), ids=lambda each: each.name)
def test_the_library_says_what_it_sees_in_attacks_words(filter_: NativeFilter) -> None:
    """Each filter names a technique of MITRE ATT&CK: whoever reads its events in a SIEM asks by that."""
    assert filter_.definition.technique in TECHNIQUES


def test_what_is_no_technique_is_refused() -> None:
    """The file, the key and the form that is expected."""
    text = 'technique = "bruteforce"\n[[failed]]\nline = "no {ip}"\n'
    with pytest.raises(ConfigError, match=r'x\.toml: technique: expected one of ATT&CK such as "T1110.001"'):
        parse_definition("x", text, "x.toml")
