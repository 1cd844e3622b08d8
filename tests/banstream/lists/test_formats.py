"""The forms in which lists are published: bytes to prefixes, whatever the bytes."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banstream.lists.formats import Unusable, parse
from banstream.lists.wanted import Wanted
from schemas.addresses import is_prefix
from tests.schemas.strategies import PATIENT

LIST = Wanted(name="list:it", place="https://example.org/it")
BANNING = Wanted(name="ban:it", place="https://example.org/it")
FILE = Wanted(name="file:/it", place="file:/it", named=True)
PLAIN = b"""# friends
192.0.2.7
 198.51.100.0/24 # the office
2001:db8::/32, 203.0.113.9 ; and more
10.0.0.9/8
::ffff:192.0.2.8
"""
PLAIN_PREFIXES = {"192.0.2.7", "198.51.100.0/24", "2001:db8::/32", "203.0.113.9", "10.0.0.0/8", "192.0.2.8"}
DROP = b"; Spamhaus DROP List 2026/11/30\n192.0.2.0/24 ; SBL1\n198.51.100.0/24 ; SBL2\n"
DROP_JSON = (
    b'{"cidr":"192.0.2.0/24","sblid":"SBL1","rir":"arin"}\n{"cidr":"198.51.100.0/24","sblid":"SBL2"}\n'
    b'{"type":"metadata","timestamp":1764460800,"records":2}\n'
)
NETSET = b"#\n# some_netset\n# Maintainer: nobody, http://example.org/\n#\n192.0.2.0/24\n198.51.100.0/24\n"
CSV = b'first_seen,ip,reason\n2026-11-30,192.0.2.0/24,"guesses, often"\n2026-11-30,198.51.100.0/24,scans\n'
BARE_CSV = b"2026-11-30,192.0.2.0/24,ssh\n2026-11-30,198.51.100.0/24,ssh\n"
CROWDSEC = (
    b'[{"id":1,"decisions":[{"scope":"Ip","type":"ban","value":"192.0.2.0/24"},'
    b'{"scope":"Country","value":"XX"}]},'
    b'{"id":2,"decisions":[{"scope":"Range","value":"198.51.100.0/24"}]}]'
)
BOTH = {"192.0.2.0/24", "198.51.100.0/24"}


@pytest.mark.parametrize(
    ("data", "form", "expected"),
    [
        pytest.param(PLAIN, "plain", PLAIN_PREFIXES, id="plain"),
        pytest.param(DROP, "drop", BOTH, id="drop"),
        pytest.param(DROP_JSON, "jsonl", BOTH, id="drop json"),
        pytest.param(NETSET, "netset", BOTH, id="netset"),
        pytest.param(CSV, "csv", BOTH, id="csv"),
        pytest.param(BARE_CSV, "csv", BOTH, id="csv without header"),
        pytest.param(CROWDSEC, "crowdsec", BOTH, id="crowdsec"),
        pytest.param(b'["192.0.2.0/24", "198.51.100.0/24"]', "crowdsec", BOTH, id="strings"),
        pytest.param(b"\xef\xbb\xbf192.0.2.0/24\r\n198.51.100.0/24\r\n", "plain", BOTH, id="bom"),
        pytest.param(b"null", "crowdsec", set(), id="null"),
        pytest.param(b"", "plain", set(), id="empty"),
    ],
)
@pytest.mark.parametrize("auto", [False, True], ids=["named", "auto"])
def test_a_list_is_read_in_its_form(data: bytes, form: str, expected: set[str], *, auto: bool) -> None:
    """Named, or as it looks; nothing in it is wrong."""
    content = parse(data, replace(LIST, format="auto" if auto else form))  # type: ignore[arg-type]
    assert (content.prefixes, content.examples) == (expected, [])


def test_host_names_are_taken_where_they_are_looked_up() -> None:
    """In files of an `ignoreip`; in a list that somebody publishes they are wrong."""
    data = b"home.example.org 192.0.2.1\nCAFE.de.\n192.0.2.2\n192.0.2.3\n"
    assert parse(data, FILE).names == {"home.example.org", "cafe.de"}
    content = parse(data, LIST)
    assert (content.names, content.wrong) == (set(), 2)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (b"10.0.0.300", "is no address or prefix"),
        (b"0.0.0.0/0", "hardly anybody could be banned"),
        (b"::/0", "hardly anybody could be banned"),
        (b"192.0.2.1/33", "is no address or prefix"),
        (b"\x1b]0:owned\x07", r"'\x1b]0:owned\x07' is no address"),
        ("\u202e1.2.3.4".encode(), r"'\u202e1.2.3.4' is no address"),
        (b"A" * 3_000, "A' is no address"),
    ],
)
def test_what_is_wrong_is_left_out_and_told_harmlessly(word: bytes, why: str) -> None:
    """With its line, cut, escaped; the rest counts."""
    content = parse(b"192.0.2.1\n192.0.2.2\n%b\n" % word, LIST)
    assert (content.prefixes, content.wrong) == ({"192.0.2.1", "192.0.2.2"}, 1)
    (example,) = content.examples
    assert example.startswith("line 3: ")
    assert why in example
    assert example.isprintable()
    assert len(example) < 200


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<html><body>Service unavailable</body></html>\n" * 3, "more of it is wrong than right: line 1"),
        (b"A" * 5_000_000, "longer than 4096 bytes"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"ip": "192.0.2.1"}\n{"ip": \n', "line 2 is no JSON"),
        (b"192.0.2.1 192.0.2.2 " * 11, "more than 20 entries"),
    ],
    ids=["html", "an endless line", "deep JSON", "torn JSON", "too many"],
)
def test_a_list_that_is_none_is_refused_whole(data: bytes, why: str) -> None:
    """So the one of before stays."""
    with pytest.raises(Unusable, match=why):
        parse(data, replace(LIST, most_entries=20))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"192.0.2.1\n0.0.0.0/0\n", "refused: 0.0.0.0/0 holds more addresses"),
        (b"0.0.0.0/1 128.0.0.0/1", "refused: 0.0.0.0/1 holds more addresses"),
        (b"::/0", "refused: ::/0 holds more addresses"),
        (b"\n".join(b"%d.0.0.0/8" % nth for nth in range(33)), "more than a /3 of all IPv4 addresses"),
    ],
)
def test_a_list_that_would_ban_everybody_is_refused_whole(data: bytes, why: str) -> None:
    """Not entry by entry: whoever writes such a thing is broken, or hostile."""
    with pytest.raises(Unusable, match=why):
        parse(data, BANNING)


def test_a_list_of_whom_to_ban_may_name_what_nobody_has() -> None:
    """As FireHOL's level 1 names multicast: that is left out, and said; private networks are not."""
    content = parse(b"10.0.0.0/8\n224.0.0.0/3\n192.0.2.0/24\nff00::/8\n", BANNING)
    assert content.prefixes == {"10.0.0.0/8", "192.0.2.0/24"}
    assert "holds addresses that nobody comes from" in content.examples[0]


@pytest.mark.parametrize("line", [b"\n", b"x\n", b"1.1.1.1\n", b"{}\n", b",\n"], ids=repr)
def test_ten_million_lines_take_no_more_than_seconds(line: bytes) -> None:
    """However short they are."""
    started = time.monotonic()
    with suppress(Unusable):
        parse(line * 10_000_000, LIST)
    assert time.monotonic() - started < 30


@PATIENT
@given(
    st.binary(max_size=300), st.sampled_from(["auto", "plain", "csv", "jsonl", "drop", "netset", "crowdsec"])
)
def test_any_bytes_are_a_list_or_none(data: bytes, form: str) -> None:
    """Whatever is taken is canonical; nothing but Unusable is raised."""
    for wanted in (LIST, FILE):
        with suppress(Unusable):
            content = parse(data, replace(wanted, format=form))  # type: ignore[arg-type]
            assert all(map(is_prefix, content.prefixes))
