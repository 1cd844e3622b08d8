"""Expressions that look ahead for what their conditionals need."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.filters.fail2ban.expressions import pruned

TAILED = r"^F (?P<user>(?P<one>\S+)|.*?) from (?P<ip>\d+)(?: p \d+)?(?(one): |$)"


def test_a_group_looks_for_what_its_conditional_needs() -> None:
    """The text that must follow is asked for where the group begins."""
    assert pruned(TAILED) == TAILED.replace("(?P<one>", r"(?P<one>(?=[\s\S]*:\ )")


@pytest.mark.parametrize(
    "expression",
    [
        r"(?P<one>a)?(?(one)\d|b)",  # no literal
        r"(?P<one>a)?b(?:(?(one)x|y))?",  # a conditional that a match may go around
        r"(?:(?P<one>a)|b)*(?(one)x|y)",  # a group within a repeat
        r"(?!(?P<one>a))b(?(one)x|y)",  # a group within an assertion
        r"(?i)(?-i:(?P<one>a)|b)(?(one)x|y)",  # a group with flags of its own
        r"(a)?(?(1)x|y)",  # a group without a name
    ],
)
def test_an_expression_stays_where_the_conditional_proves_nothing(expression: str) -> None:
    """Only what every match by way of the group ends with is asked for."""
    assert pruned(expression) == expression


@given(st.text("F from:12 pux\n", max_size=40))
def test_the_same_texts_match_in_the_same_way(rest: str) -> None:
    """Every group holds what it held."""
    for text in (rest, f"F {rest}", f"F u from 1{rest}", f"F {rest} from 22: "):
        one, other = (re.match(expression, text) for expression in (TAILED, pruned(TAILED)))
        assert (one and (one.span(), one.groups())) == (other and (other.span(), other.groups()))
