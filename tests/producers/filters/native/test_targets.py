"""What a request asked for, however its client spelt it: the readings, and filters that test them."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.filters import load_native
from producers.filters.candidates import finder_of
from producers.filters.native.targets import is_target, readings, spelt
from producers.filters.rows import Needle, contains
from producers.filters.samples import scan

COMBINED = '203.0.113.9 - - [22/Nov/2026:09:00:00 +0000] "{} {} HTTP/1.1" {} 43 "-" "Mozilla/5.0"'
LOGIN = [
    "/login",
    "/login?x=" + "a" * 2_100,
    "/log%69n",
    "/%6C%6F%67%69%6E",
    "/LOGIN",
    "/LogIn",
    "/login/..%2frefresh",
    "/" * 250 + "login",
    "/x/../" * 50 + "login",
    "/./login/.",
    "/login;jsessionid=1",
    "/a;b/login;c?d",
    "\\\\login",
    "http://shop.example/login",
    "/app//v1/../auth",
    "/sign%2Din",
    "/login#top",
]
OTHERS = [
    "/",
    "/search?next=/login",
    "/api/auth/refresh",
    "/api/auth/token-refresh?x",
    "/auth/refresh/",
    "/logan",
]


@pytest.mark.parametrize("path", LOGIN)
def test_a_login_is_one_however_it_is_spelt(path: str) -> None:
    """A POST that is refused with 401 counts as a failure; nginx reached one location with each of these."""
    (row,) = scan(load_native("web-auth"), COMBINED.format("POST", path, 401))
    assert (row[0], row[2]) == ("failed", "203.0.113.9")


@pytest.mark.parametrize("path", OTHERS)
def test_what_is_no_login_is_none(path: str) -> None:
    """A renewal of a token, and a page that leads to a login, are but probes where they are refused."""
    (row,) = scan(load_native("web-auth"), COMBINED.format("POST", path, 401))
    assert row[0] == "probed"


@pytest.mark.parametrize(
    ("name", "method", "path", "status"),
    [
        ("wordpress", "POST", "/wp-logi%6e.php", 200),
        ("wordpress", "POST", "/" * 250 + "wp-login.php", 200),
        ("wordpress", "POST", "/blog/x/../wp%2dlogin%2ephp?a=b", 200),
        ("wordpress", "POST", "/XMLRPC.php", 200),
        ("jenkins", "GET", "/jenkins/./loginErro%72", 401),
        ("tomcat", "GET", "//manager/%68tml", 401),
        ("web-scan", "GET", "/%2eenv", 404),
        ("web-scan", "GET", "/a/%2e%2e/%2e%2e/%2E%2e/etc/passwd", 200),
        ("web-scan", "GET", "/a/%252e%252e%252f%252e%252e%252fetc", 200),
        ("web-scan", "GET", "/?q=1+UNION%20aLL+select", 200),
        ("web-scan", "GET", "/?q=%24%7bJNDI:ldap", 200),
        ("harbor", "POST", "/c/log%69n", 401),
    ],
)
def test_every_filter_reads_paths_alike(name: str, method: str, path: str, status: int) -> None:
    """Whichever filter: its own candidates are looked for as the lines are read."""
    (row,) = scan(load_native(name), COMBINED.format(method, path, status))
    assert (row[0], row[2]) in {("failed", "203.0.113.9"), ("probed", "203.0.113.9")}


def test_a_search_for_a_login_page_is_no_login() -> None:
    """What stands in the query alone is no path."""
    assert scan(load_native("wordpress"), COMBINED.format("POST", "/search?q=/wp-login.php", 200)) == []


@given(st.lists(st.sampled_from(["a", "bc", ".", "..", "", "%2e", "x;y"]), max_size=8))
def test_dots_are_resolved_as_rfc_3986_says(segments: list[str]) -> None:
    """Against a plain walk through the segments: the reading never leaves the root, and has no dots left."""
    kept: list[str] = []
    *folders, last = [each.replace("%2e", ".").partition(";")[0] for each in segments] or [""]
    for each in [*folders, last]:
        if each == "..":
            del kept[-1:]
        elif each not in {"", "."}:
            kept.append(each)
    ends = "" if last not in {"", ".", ".."} or not kept else "/"
    assert ("/" + "/".join(kept) + ends).encode() in {
        reading if reading != b"/" else b"/" for reading in readings(("/" + "/".join(segments)).encode())
    }


@given(st.binary(max_size=60))
def test_any_target_is_read(target: bytes) -> None:
    """No bytes make it fail; it gives few readings, itself first, none with a quote that was not there."""
    found = readings(target)
    assert found[0] == target
    assert len(found) <= 4
    for reading in found[1:]:
        assert reading.count(b'"') <= target.count(b'"')
        assert len(reading) <= len(target) + 1


@given(st.text("abc/.%0123456789ef", max_size=30), st.data())
def test_a_spelt_word_is_found(before: str, data: st.DataObject) -> None:
    """Whoever encodes any letters of a word in a path: the line is a candidate, and the word is read."""
    word = "wp-login.php"
    coded = "".join(f"%{ord(each):02x}" if data.draw(st.booleans()) else each for each in word)
    line = f"GET /{coded}".encode()
    needles = spelt(frozenset({Needle(b"/wp-login.php")}))
    assert needles is not None
    assert contains(line, needles)
    assert finder_of((needles,)).lines(line + b"\n") == {0: 1}
    assert any(word.encode() in reading for reading in readings(line[4:]))
    assert unquote_to_bytes(coded) == word.encode()
    assert is_target(f"/{before}".encode())


def test_a_needle_that_is_too_short_is_none() -> None:
    """Two letters are in every line, however they are spelt; two dots are looked for with what follows."""
    assert spelt(frozenset({Needle(b"/ab/")})) is None
    upwards = spelt(frozenset({Needle(b"../../")}))
    assert upwards is not None
    assert contains(b"GET /a/../../b", upwards)


def test_a_long_target_is_read_in_bounded_time() -> None:
    """A megabyte of escapes, slashes or dots is looked at up to the length that a server takes."""
    for piece in (b"%41", b"/", b"/..", b"a/", b"%25", b"+", b";"):
        for reading in readings(b"/" + piece * 400_000)[1:]:
            assert len(reading) <= 65_537


def test_a_path_of_a_line_without_one_is_refused() -> None:
    """A condition on nothing is a mistake in the filter, and said."""
    from producers.filters.native.compiler import compile_rules  # noqa: PLC0415
    from producers.filters.native.definition import parse_definition  # noqa: PLC0415
    from schemas.errors import ConfigError  # noqa: PLC0415

    wrong = parse_definition("x", 'title = "x"\n[[failed]]\nline = "no {ip}"\npath = "/a"\n', "x.toml")
    with pytest.raises(ConfigError, match=re.escape("[[failed]] 1: path: its line has no {path}")):
        compile_rules(wrong)
