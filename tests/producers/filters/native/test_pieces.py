"""Pieces, and the expressions they stand for."""

from __future__ import annotations

import re

import pytest

from producers.filters.native.pieces import expand, outline


def captured(text: str, line: str, **own: str) -> dict[str, str] | None:
    """What a text with pieces captures of a whole line; None when it does not match."""
    found = re.compile(expand(text, own).encode(), re.DOTALL).fullmatch(line.encode())
    if found is None:
        return None
    return {key: value.decode() for key, value in found.groupdict().items() if value is not None}


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("from {ip}", "from 192.0.2.7", {"ip": "192.0.2.7"}),
        ("from {ip}", "from 2001:db8::7", {"ip": "2001:db8::7"}),
        ("from {ip}", "from fe80::1%eth0", {"ip": "fe80::1%eth0"}),
        ("from {ip}", "from ::ffff:192.0.2.7", {"ip": "::ffff:192.0.2.7"}),
        ("from {ip}", "from host.example", None),
        ("from {ip}:{port}", "from 192.0.2.7:5", {"ip": "192.0.2.7", "port": "5"}),
        ("from {ip}:{port}", "from 192.0.2.7:654321", None),
        ("from {host}", "from host.example", {"ip": "host.example"}),
        ("from {host}", "from a b", None),
        ("user {user} x", "user  x", {"user": ""}),
        ("user {user} x", "user a x x", {"user": "a x"}),
        ("user {user} x", f"user {'a' * 60_000} x", {"user": "a" * 60_000}),
        ("{user!, } {client} x", f"{'a' * 60_000} at ::1 x", {"user": "a" * 60_000, "ip": "::1"}),
        ("user {user} x{rest}", f"user {'a' * 10_240} x", {"user": "a" * 10_240, "_text1": ""}),
        ("user {user} x{rest}", f"user {'a' * 10_241} x", None),
        ("user {user} x {free}", f"user {'a' * 10_241} x ", None),
        ("{user!, } x", "a, b x", None),
        ("{user!, } x", "a,b x", {"user": "a,b"}),
        ("{session}: {ip}", "a1: 192.0.2.7", {"session": "a1", "ip": "192.0.2.7"}),
        ("{session}: x", "a b: x", None),
        ("{time} x", "22/Nov/2026:09:00:00 +0000 x", {"time": "22/Nov/2026:09:00:00 +0000"}),
        ("{utc} x", "2026-11-22 09:00:00 x", {"utc": "2026-11-22 09:00:00"}),
        ("a{text}c", "abbc", {"_text1": "bb"}),
        ("a{text}c", f"a{'b' * 60_000}c", {"_text1": "b" * 60_000}),
        ("a{text}c{rest}", f"a{'b' * 20_481}c", None),
        ("a{rest}", f"a{'b' * 60_000}", {"_text1": "b" * 60_000}),
        ("a{text}b{rest!b}", "axbyby", {"_text1": "xby", "_text2": "y"}),
        ("{word} {int}", "a-b 12", {}),
        ("{word}", "a b", None),
        ("{int}", "1" * 21, None),
        (r"{quoted} x", r'"a \" b" x', {}),
        (r"{quoted} x", '"a" b" x', None),
        ("a{2,3}", "aaa", {}),
        ("a{2}", "aa", {}),
        ("{client} x", "at 192.0.2.7 x", {"ip": "192.0.2.7"}),
        ("{word} x", "7 x", {}),
    ],
)
def test_a_piece_stands_for_what_its_table_says(
    text: str, line: str, expected: dict[str, str] | None
) -> None:
    """Whole lines; a filter's own piece may hold others, and a regular expression's `{2,3}` is left alone."""
    assert captured(text, line, client="at {ip}", free="{text}") == expected


def test_a_filters_own_piece_comes_first() -> None:
    """A filter may say otherwise what a word is."""
    assert captured("{word}", "a b", word="a b") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{nosuch}", r"no piece is named \{nosuch\}; known are .*client.*ip.*rest.*user"),
        ("{self}", "pieces within pieces"),
        ("{ping}", "pieces within pieces"),
        ("{ip!x}", r"only user, text and rest can be without a text, not \{ip!...\}"),
        ("{client!x}", "only user, text and rest"),
    ],
)
def test_what_is_no_piece_is_an_error_that_names_it(text: str, message: str) -> None:
    """An unknown piece, one within itself, and a fence where there is nothing to be without."""
    own = {"client": "at {ip}", "self": "a{self}", "ping": "{pong}", "pong": "{ping}"}
    with pytest.raises(ValueError, match=message):
        expand(text, own)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{time} from {ip}:{port} of {user}", ". from .:. of ."),
        ("{session} {host} {text} x {rest}", ". . . x ."),
        (r"{ip}? (?:{user})? \({ip}\) (?P<why>\w+)", r".? (?:.)? \(.\) (?P<why>\w+)"),
        ("a {utc}", "a ."),
    ],
)
def test_an_outline_has_a_dot_for_each_piece_that_captures(text: str, expected: str) -> None:
    """What else is written stays as it is, groups of the filter's own too."""
    assert outline(expand(text, {})) == expected
