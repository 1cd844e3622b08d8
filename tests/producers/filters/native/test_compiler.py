"""Rules made into patterns: over messages, JSON objects, key=value pairs and access logs."""

from __future__ import annotations

import pytest

from producers.filters.entries import Entry, unwrap
from producers.filters.native.compiler import compile_rules, pairs
from producers.filters.native.definition import parse_definition
from producers.filters.native.matcher import NativeRules
from producers.filters.native.targets import SPELT

AT = "[22/Nov/2026:09:00:00 +0000]"


def groups(text: str, line: str) -> dict[str, str] | None:
    """What the first pattern of a filter that takes a line captures, free texts left out."""
    rules = NativeRules(parse_definition("x", text, "x.toml"))
    found = rules.first(unwrap(line.encode()))
    if found is None:
        return None
    return {key: value.decode() for key, value in found[1].items() if not key.startswith("_")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1 b=2", {"a": b"1", "b": b"2"}),
        ('a=1, b="2"|c=3 | d=4|e=5', {"a": b"1", "b": b"2", "c": b"3", "d": b"4|e=5"}),
        ('<38>  a="x y" b=', {"a": b"x y", "b": b""}),
        (r'a="x \" b=\\ y"', {"a": b'x " b=\\ y'}),
        ("a=b=c", {"a": b"b=c"}),
        ("a.b/c@d-e=1", {"a.b/c@d-e": b"1"}),
        ("a=1 b=2 a=3", {"a": b"", "b": b"2"}),
        ("a=1 a=1", {"a": b""}),
        ('a="x"y b=1', None),
        ('a="x', None),
        ('a=x"y"', None),
        ("hello a=1", None),
        ("a=1 hello", None),
        ("1a=1", None),
        ("=1", None),
        ("", None),
        ("<38>", None),
        (f"{'a' * 65}=1", None),
        ("a=\0\0 b=1", {"a": b"\0\0", "b": b"1"}),
    ],
)
def test_a_line_of_pairs(text: str, expected: dict[str, bytes] | None) -> None:
    """Of a key that stands there twice nothing is told, and what holds anything else is none."""
    assert pairs(text.encode()) == expected


def test_a_line_of_pairs_may_hold_bytes_that_are_no_utf8() -> None:
    """A value is bytes; a long line of them is read in one go."""
    assert pairs(b"a=\xff\xfe") == {"a": b"\xff\xfe"}
    assert len(pairs(b" ".join(b"k%d=v" % number for number in range(8_000))) or {}) == 8_000


JSON = """
[[failed]]
json = { 'event.kind' = 'login', ok = 'false' }
[json]
ip = ["remote.ip", "ip"]
user = "user"
time = "ts"
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"event":{"kind":"login"},"ok":false,"ip":"192.0.2.7"}', {"ip": "192.0.2.7"}),
        ('{"event.kind":"login","ok":"false","remote.ip":"192.0.2.7"}', {"ip": "192.0.2.7"}),
        (
            '{"event":{"kind":"login"},"ok":false,"remote":{"ip":"192.0.2.7"},"ip":"198.51.100.8"}',
            {"ip": "192.0.2.7"},
        ),
        ('{"event":{"kind":"login"},"ok":false,"remote":{"ip":""},"ip":"192.0.2.7"}', {"ip": "192.0.2.7"}),
        ('{"event":{"kind":"login"},"ok":false,"remote":7,"ip":"192.0.2.7"}', {"ip": "192.0.2.7"}),
        (
            '{"event":{"kind":"login"},"ok":false,"ip":"192.0.2.7","user":null,"ts":1795338000.5}',
            {"ip": "192.0.2.7", "time": "1795338000.5"},
        ),
        (
            '{"event":{"kind":"login"},"ok":false,"ip":"192.0.2.7","user":["a","b"]}',
            {"ip": "192.0.2.7", "user": '["a","b"]'},
        ),
        ('{"event":{"kind":["login"]},"ok":false,"ip":"192.0.2.7"}', None),
        ('{"event":{"kind":"login"},"ok":true,"ip":"192.0.2.7"}', None),
        ('{"event":{"kind":"login"},"ip":"192.0.2.7"}', None),
        ('{"event":{"kind":"logins"},"ok":false,"ip":"192.0.2.7"}', None),
        ('{"event":[{"kind":"login"}],"ok":false,"ip":"192.0.2.7"}', None),
        ('{"event":{"kind":"login"},"ok":false}', {}),
        ('[{"event":{"kind":"login"},"ok":false,"ip":"192.0.2.7"}]', None),
        ('{"event":{"kind":"login"},"ok":false,"ip":"192.0.2.7"', None),
    ],
)
def test_a_json_object_is_read_by_paths(line: str, expected: dict[str, str] | None) -> None:
    """A path goes through objects, or is a key with dots itself; a list is its JSON; the first that holds."""
    assert groups(JSON, line) == expected


def test_a_value_may_hold_the_fields_itself() -> None:
    """What a value's expression captures comes before the keys; one captured twice counts once."""
    text = "[[failed]]\njson = { msg = 'by {user} at {ip}|at {ip}' }\n[json]\nip = 'ip'"
    assert groups(text, '{"msg":"by bob at 192.0.2.7","ip":"198.51.100.8"}') == {
        "user": "bob",
        "ip": "192.0.2.7",
    }
    assert groups(text, '{"msg":"at 192.0.2.7","ip":"198.51.100.8"}') == {"ip": "192.0.2.7"}


def test_pairs_are_fields() -> None:
    """The same of key=value lines, whatever stands between them."""
    text = "[[failed]]\nkv = { action = 'deny' }\n[kv]\nip = 'srcip'\nuser = 'user'"
    line = '<38>date=2026-11-22, action="deny",user="a \\"b" srcip=192.0.2.7'
    assert groups(text, line) == {"ip": "192.0.2.7", "user": 'a "b'}
    assert groups(text, f"{line} srcip=198.51.100.8") == {"user": 'a "b'}
    assert groups(text, f"{line} action=deny") is None


FORGED_PAIRS = [
    ("user=bob remip=192.0.2.7", "192.0.2.7"),
    ("user=x srcip=203.0.113.9 remip=192.0.2.7", None),
    ("user=x srcip=192.0.2.7 remip=192.0.2.7", "192.0.2.7"),
    ("user=x remip=203.0.113.9 remip=192.0.2.7", None),
    ("user=x remip=203.0.113.9 srcip=203.0.113.9 remip=192.0.2.7", None),
    ('user="x" srcip=203.0.113.9 y="" remip=192.0.2.7', None),
    ('user="x srcip=203.0.113.9" remip=192.0.2.7', "192.0.2.7"),
    (r'user="x\" srcip=203.0.113.9 y=\"" remip=192.0.2.7', "192.0.2.7"),
    ("user= remip=192.0.2.7", "192.0.2.7"),
    ("remip=192.0.2.7 user=x remip=203.0.113.9", None),
    ("remip=192.0.2.7 user=x srcip=203.0.113.9", None),
]


@pytest.mark.parametrize(("line", "ip"), FORGED_PAIRS)
def test_a_client_who_writes_a_pair_of_his_own_is_not_believed(line: str, ip: str | None) -> None:
    """Where a service does not quote, he may: a key that is there twice, or two that differ, name nobody."""
    text = "[[failed]]\nkv = { action = 'deny' }\n[kv]\nip = ['srcip', 'remip']\nuser = 'user'"
    found = groups(text, f"action=deny {line}")
    assert found is not None
    assert found.get("ip") == ip


FORGED_OBJECTS = [
    ('{"msg":"bad","user":"x","ip":"192.0.2.7"}', "192.0.2.7"),
    ('{"msg":"bad","user":"x","ip":"203.0.113.9","ip":"192.0.2.7"}', None),
    ('{"msg":"bad","ip":"192.0.2.7","user":"x","ip":"203.0.113.9"}', None),
    ('{"msg":"bad","ip":"192.0.2.7","user":"x","ip":null}', None),
    ('{"msg":"good","ip":"192.0.2.7","user":"x","msg":"bad"}', None),
    ('{"msg":"bad","user":"x","\\u0069p":"203.0.113.9","ip":"192.0.2.7"}', None),
    ('{"msg":"bad","user":"x","peer":{"ip":"203.0.113.9"},"peer":{"ip":"192.0.2.7"}}', None),
    ('{"msg":"bad","user":"x","peer":{"ip":"203.0.113.9","ip":"192.0.2.7"}}', None),
    ('{"msg":"bad","user":"x","peer.ip":"203.0.113.9","peer.ip":"192.0.2.7"}', None),
    ('{"msg":"bad","time":1,"time":2,"ip":"192.0.2.7"}', "192.0.2.7"),
    ('{"msg":"bad","a":{"b":1},"c":[{"ip":"203.0.113.9"},{"ip":"x"}],"ip":"192.0.2.7"}', "192.0.2.7"),
    ('{"msg":"bad","user":"x\\",\\"ip\\":\\"203.0.113.9","ip":"192.0.2.7"}', "192.0.2.7"),
    ('{"msg":"bad","ip":"192.0.2.7","n":' + "9" * 5_000 + "}", None),
]


@pytest.mark.parametrize(("line", "ip"), FORGED_OBJECTS, ids=lambda value: str(value)[:70])
def test_a_key_that_stands_twice_in_an_object_names_nobody(line: str, ip: str | None) -> None:
    """Which of the two is the service's nobody can tell; a key that nobody looks at may stand there twice."""
    found = groups("[[failed]]\njson = { msg = 'bad' }\n[json]\nip = ['ip', 'peer.ip']\nuser = 'user'", line)
    assert (found or {}).get("ip") == ip


def test_bytes_that_are_no_utf8_hide_no_object() -> None:
    """A client may write some where a service lets them pass; what follows them stays what it is."""
    (pattern,) = compile_rules(
        parse_definition(
            "x", "[[failed]]\njson = { msg = 'bad' }\n[json]\nip = 'ip'\nuser = 'user'", "x.toml"
        )
    )
    line = b'{"msg":"bad","user":"\xff\xe2","ip":"192.0.2.7"}'
    assert pattern.find(Entry(line, line), own=True) == {
        "user": "\ufffd\ufffd".encode(),
        "ip": b"192.0.2.7",
    }
    forged = line.replace(b'"ip"', b'"ip":"203.0.113.9","ip"')
    assert "ip" not in (pattern.find(Entry(forged, forged), own=True) or {})


CLF = [
    ({}, f'192.0.2.7 - - {AT} "GET / HTTP/1.1" 200 5', {"ip": "192.0.2.7"}),
    ({}, f'www.example.com:443 192.0.2.7 - - {AT} "GET / HTTP/1.1" 200 -', {"ip": "192.0.2.7"}),
    ({}, f'192.0.2.7, 198.51.100.8 - - {AT} "GET / HTTP/1.1" 200 -', None),
    ({}, f'2001:db8::7 - bob {AT} "GET / HTTP/2.0" 200 5 "-" "curl"', {"ip": "2001:db8::7", "user": "bob"}),
    ({}, f'192.0.2.7 - a b c {AT} "GET / HTTP/1.1" 401 5', {"ip": "192.0.2.7", "user": "a b c"}),
    ({}, f'192.0.2.7 - "" {AT} "GET / HTTP/1.1" 401 5', {"ip": "192.0.2.7", "user": '""'}),
    ({}, f'192.0.2.7 - - {AT} "GET /\\"x HTTP/1.1" 200 5 "a\\"b" "c\\\\" 0.1 x', {"ip": "192.0.2.7"}),
    ({}, f'192.0.2.7 - - {AT} "GET /" 200 5', {"ip": "192.0.2.7"}),
    ({}, f'192.0.2.7 - - {AT} "" 400 0', {"ip": "192.0.2.7"}),
    ({}, f'192.0.2.7 - - {AT} "GET / HTTP/1.1" 200', None),
    ({}, f'192.0.2.7 - - {AT} "GET /"x HTTP/1.1" 200 5', None),
    ({}, f'host.example - - {AT} "GET / HTTP/1.1" 200 5', None),
    ({"status": "401"}, f'192.0.2.7 - - {AT} "GET / HTTP/1.1" 401 5', {"ip": "192.0.2.7"}),
    ({"status": "401"}, f'192.0.2.7 - - {AT} "GET /401 HTTP/1.1" 200 401', None),
    ({"status": "40[13]|429"}, f'192.0.2.7 - - {AT} "GET / HTTP/1.1" 429 5', {"ip": "192.0.2.7"}),
    ({"method": "POST"}, f'192.0.2.7 - - {AT} "POST / HTTP/1.1" 200 5', {"ip": "192.0.2.7"}),
    ({"method": "POST"}, f'192.0.2.7 - - {AT} "GET /POST HTTP/1.1" 200 5', None),
    ({"path": "/a(?:/.*)?"}, f'192.0.2.7 - - {AT} "GET /a/b HTTP/1.1" 200 5', {"ip": "192.0.2.7"}),
    ({"path": "/a"}, f'192.0.2.7 - - {AT} "GET /ab HTTP/1.1" 200 5', None),
    ({"protocol": "HTTP/1.0"}, f'192.0.2.7 - - {AT} "GET / HTTP/1.0" 200 5', {"ip": "192.0.2.7"}),
    ({"protocol": "HTTP/1.0"}, f'192.0.2.7 - - {AT} "GET /" 200 5', None),
    ({"request": "x.*"}, f'192.0.2.7 - - {AT} "x\\x03" 400 5', {"ip": "192.0.2.7"}),
    ({"request": "x.*"}, f'192.0.2.7 - - {AT} "GET /x HTTP/1.1" 400 5', None),
    ({"size": "0"}, f'192.0.2.7 - - {AT} "GET / HTTP/1.1" 200 0', {"ip": "192.0.2.7"}),
    ({"user": "bob"}, f'192.0.2.7 - bob {AT} "GET / HTTP/1.1" 200 0', {"ip": "192.0.2.7"}),
    ({"referer": "http://x.*"}, f'192.0.2.7 - - {AT} "GET / H/1" 200 0 "http://x" "y"', {"ip": "192.0.2.7"}),
    ({"agent": "zgrab.*"}, f'192.0.2.7 - - {AT} "GET / HTTP/1.1" 200 0 "-" "zgrab/0"', {"ip": "192.0.2.7"}),
    ({"agent": "zgrab.*"}, f'192.0.2.7 - - {AT} "GET / HTTP/1.1" 200 0', None),
    ({"more": "blocked"}, f'192.0.2.7 - - {AT} "GET / H/1" 200 0 "-" "x" blocked', {"ip": "192.0.2.7"}),
    ({"more": "blocked"}, f'192.0.2.7 - - {AT} "GET / H/1" 200 0 "-" "x"', None),
]


@pytest.mark.parametrize(("where", "line", "expected"), CLF)
def test_an_access_logs_columns(where: dict[str, str], line: str, expected: dict[str, str] | None) -> None:
    """Each column with and without a value asked for; `-` is none; quotes in quotes are escaped.

    A list of addresses is what a header said: its first was the client's to write, its last is a proxy's.
    """
    table = ", ".join(f"{key} = '{value}'" for key, value in (where or {"status": ".*"}).items())
    found = groups(f"[[probed]]\nclf = {{ {table} }}", line)
    if found is not None:
        found.pop("time")
    assert found == expected


HEADED = r"""
programs = ["app"]
headers = ['{time} \[{ip}\] ', '\[{ip}\] {time} ']
[[failed]]
line = 'bad {user}'
[[probed]]
line = 'at {time}: {ip} odd'
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-22 09:00:00 [192.0.2.7] bad bob", {"ip": "192.0.2.7", "user": "bob"}),
        ("[192.0.2.7] 2026-11-22 09:00:00 bad bob", {"ip": "192.0.2.7", "user": "bob"}),
        ("bad bob", None),
        ("Nov 22 09:00:00 web app[7]: bad bob", {"user": "bob"}),
        ("Nov 22 09:00:00 web app[7]: [192.0.2.7] 2026-11-22 09:00:00 bad bob", {"ip": "192.0.2.7"}),
        ("at 2026-11-22 09:00:00: 192.0.2.7 odd", {"ip": "192.0.2.7"}),
        ("2026-11-22 09:00:00 [192.0.2.7] at 2026-11-22 09:00:00: 198.51.100.8 odd", None),
    ],
)
def test_several_headers_may_capture_the_same(line: str, expected: dict[str, str] | None) -> None:
    """Each header is there or, behind syslog's, not; a line with a time in it has no other header."""
    found = groups(HEADED, line)
    assert (found is None) == (expected is None)
    assert (found or {}).items() >= (expected or {}).items()


def test_needles_are_what_every_taken_line_holds_in_any_envelope() -> None:
    """A text that a JSON writer would escape is no needle, nor is a time's or an address's."""
    text = """headers = ['{time} ']
[[failed]]
line = 'login "x" failed <{ip}>'
[[failed]]
json = { path = '/a/longer/one' }
[[failed]]
kv = { 'some.key' = '[a-z]+' }
"""
    needles = [each.needles for each in compile_rules(parse_definition("x", text, "x.toml"))]
    assert [sorted(needle.text for needle in each or ()) for each in needles] == [
        [b" failed "],
        sorted([b"longer", *(each.text for each in SPELT)]),
        [b"key"],
    ]
