"""What is found to be needed by an expression really is in everything it matches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.filters.literals import required_literals
from producers.filters.rows import Needle, contains

TABLE = [
    ("abc", {b"abc"}),
    ("(?:a|b)c", {b"ac", b"bc"}),
    ("[ab]c", {b"ac", b"bc"}),
    ("a.*bcd", {b"bcd"}),
    ("(?:abc|d.*)", {b"abc", b"d"}),
    ("(?:abc)+", {b"abc"}),
    ("(?:abc)?", None),
    ("x(?=abc)", {b"x"}),
    (r"^\S+ (?:failed|refused) .*? from (?P<ip>\S+)$", {b" failed ", b" refused "}),
    ("[a-z]+", None),
    ("ab\ncdef", {b"cdef"}),
    ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
]

words = st.text(st.sampled_from("abcK ik\n"), max_size=3).map(re.escape)
expressions = st.recursive(
    words | st.sampled_from([".", "[ab]", "[^a]", r"\S", "^", r"\b", "(?!ab)"]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})")
        | st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{0,3}"])).map(
            lambda each: f"(?:{each[0]}){each[1]}"
        )
        | inner.map(lambda each: f"(?i:{each})")
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(("expression", "needles"), TABLE)
def test_the_table_of_expressions(expression: str, needles: set[bytes] | str | None) -> None:
    """Each expression needs what its row says."""
    found = required_literals(expression)
    if needles is None:
        assert found is None
    else:
        wanted = {needles.encode()} if isinstance(needles, str) else needles
        assert found == frozenset(Needle(each) for each in wanted)


@given(expressions, st.text(st.sampled_from("abcABKkiI \u212a\u0130x"), max_size=12))
def test_every_match_holds_a_needle(expression: str, text: str) -> None:
    """Whatever the expression and the text: where it matches, the text holds a needle of it."""
    needles = required_literals(expression)
    if needles is not None and re.search(expression, text):
        assert contains(text.encode(), needles)


def test_case_is_ignored_where_the_expression_ignores_it() -> None:
    """A caseless needle is found in any case, and a text's `k` that folds to another letter is none."""
    needles = required_literals("(?i)authentic")
    assert needles == frozenset({Needle(b"authent", caseless=True)})
    assert needles is not None
    assert contains(b"AUTHENTIC", needles)
    assert required_literals(b"(?i)kick") == frozenset({Needle(b"kick", caseless=True)})
    assert required_literals("(?i)kik") is None


def test_what_an_envelope_may_escape_is_in_no_needle() -> None:
    """A needle ends where a character stands that JSON writes otherwise."""
    assert required_literals('status="denied" by', but=frozenset('"')) == frozenset({Needle(b"status=")})
