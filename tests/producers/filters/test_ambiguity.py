"""What is called harmless ends at once; what is called ambiguous can be made to last."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.filters.ambiguity import TooLarge, ambiguous
from producers.filters.bounds import TooSlow, bounded

HARMLESS = [
    "a+b+",
    r"(\w+\s)*",
    r"(?:(?!x).){0,1024}?y",
    r'"(?:[^"\\]|\\.)*"',
    ".*.*.*",
    "((a*)b)*",
    r"(?:ab|ac|ad)*",
    r"(a)?(?(1)b|c)*",
]
CATASTROPHIC = [
    ("(a+)+", "aa"),
    (r"(\w+\s?)*", "aa"),
    (r"(?:[A-Z]+(?:=\S*)? ?)*", "AA"),
    ("(x+x+)+y", "xx"),
    ("(.*)*", "aa"),
    ("(a{2,5})+", "aa"),
    ("(a|a)*", ""),
    ("(a|ab?)*b", ""),
]


@pytest.mark.parametrize("expression", HARMLESS)
def test_harmless_expressions_are_let_be(expression: str) -> None:
    """No loop reads a text in two ways."""
    assert ambiguous(expression) is None
    assert ambiguous(expression.encode()) is None


@pytest.mark.parametrize(("expression", "text"), CATASTROPHIC)
def test_catastrophic_expressions_are_found(expression: str, text: str) -> None:
    """The text that is read in two ways is named; many of it before a wrong end take for ever."""
    assert ambiguous(expression) == text
    assert ambiguous(expression.encode()) == text


@pytest.mark.parametrize("expression", ["(a+)+", r"(\w+\s?)*", "(x+x+)+y"])
def test_what_is_found_is_real(expression: str) -> None:
    """Python's own engine does not end on it within the bound."""
    text = ambiguous(expression) or ""
    with bounded() as guard:
        guard.at = 1
        with pytest.raises(TooSlow):
            re.fullmatch(expression, text * 30 + "\N{EM DASH}")


pieces = st.sampled_from(["a", "b", "[ab]", "a?", "b*", "a+", "(?:ab)*", "(?:a|b)", "(?:a|)", "[^a]"])
expressions = st.lists(pieces, min_size=1, max_size=4).map("".join)
loops = st.tuples(expressions, st.sampled_from(["*", "+", "{1,9}"])).map(
    lambda each: f"(?:{each[0]}){each[1]}c"
)


@given(loops, st.sampled_from(["ab", "a", "b", "ba"]))
@settings(max_examples=200, deadline=None)
def test_what_is_called_harmless_ends(expression: str, text: str) -> None:
    """Whatever the loop: if nothing is found in it, 24 turns of a text end in the blink of an eye."""
    if ambiguous(expression) is None:
        began = time.process_time()
        assert re.fullmatch(expression, text * 24 + "!") is None
        assert time.process_time() - began < 1


def test_what_is_too_large_to_be_looked_at_says_so() -> None:
    """There is an end to the looking."""
    with pytest.raises(TooLarge):
        ambiguous("a" * 30_000)
