"""The library as a whole: every filter proves itself, and a line finds its filter among all of them."""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.filters import NativeFilter, every_filter
from producers.filters.candidates import line_starts
from producers.filters.native.lint import dangers
from producers.filters.native.matcher import NativeMatcher
from producers.filters.plan import Plan
from producers.filters.rows import EventRow
from producers.filters.samples import CLOCK, FORMS, written, wrong
from producers.stamps import Stamps

LIBRARY = every_filter()
LINES = sorted(
    {
        line
        for each in LIBRARY
        for sample in each.samples
        for line in "\n".join(written(each, sample).values()).split("\n")
    }
)
NATIVE = [each for each in LIBRARY if each.engine is None]
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "filters.md"
TAKEN_BY_ANOTHER = {
    ("sshd", "pam"),
    ("postfix-ddos", "postfix"),
    ("apache-overflows", "apache"),
    ("nginx-bad-request", "web-auth"),
    ("nginx-bad-request", "web-scan"),
    ("nginx-forbidden", "nginx"),
    ("nginx-limit-req", "nginx"),
    ("web-attack", "web-scan"),
}
"""Whose lines, or such as are nothing to it, another filter takes before it is asked."""


def name_of(value: NativeFilter) -> str:
    """How pytest calls a case."""
    return value.name


def routed(lines: str) -> list[tuple[str, EventRow]]:
    """Which filters the lines are for, and their events, with the whole library at hand."""
    plan = Plan(LIBRARY, 0)
    found = plan.scan(f"{lines}\n".encode(), CLOCK)
    return [(each.name, row) for each, rows in zip(plan.filters, found, strict=True) for row in rows]


@pytest.mark.parametrize("filter_", LIBRARY, ids=name_of)
def test_a_filter_proves_itself(filter_: NativeFilter) -> None:
    """Its samples are read as they should be, in every form; some are events, some are none."""
    assert list(wrong(filter_)) == []
    assert {bool(sample.says) for sample in filter_.samples} == {True, False}
    assert filter_.definition.title
    assert filter_.definition.service


@pytest.mark.parametrize("filter_", NATIVE, ids=name_of)
def test_a_filter_cannot_be_fooled_as_far_as_its_expressions_tell(filter_: NativeFilter) -> None:
    """Every expression compiles and has needles; none leaves an address to a client or may last for ever."""
    assert list(dangers(filter_.definition)) == []
    assert filter_.needles


@pytest.mark.parametrize("filter_", LIBRARY, ids=name_of)
def test_its_lines_find_a_filter(filter_: NativeFilter) -> None:
    """Routed by the whole library, a sample is what its filter says; one that is nothing is nothing."""
    wrongly = []
    for sample in filter_.samples:
        form, lines = next(iter(written(filter_, sample).items()))
        rows = routed(lines)
        if any((filter_.name, name) in TAKEN_BY_ANOTHER for name, _ in rows):
            continue
        found = [(row[0], row[2]) for _, row in rows]
        expected = [(say.kind, say.ip) for say in sample.says]
        if found != expected:
            wrongly.append((form, lines, f"is {found}, not {expected}"))
    assert wrongly == []


@pytest.mark.parametrize("filter_", LIBRARY, ids=name_of)
def test_no_service_is_heard_in_a_foreign_programs_name(filter_: NativeFilter) -> None:
    """A shop that logs what a client wrote says nothing in another service's name, wherever `auto` reads."""
    for sample in filter_.samples:
        for form in ("rfc 3164", "rfc 5424") if sample.says and not sample.whole else ():
            lines = [FORMS[form].format(program="shop", line=line) for line in sample.text.split("\n")]
            assert (lines, routed("\n".join(lines))) == (lines, [])


@pytest.mark.parametrize(
    ("said", "listed"),
    [
        ("It believes a header: ", r"which any client may send: ([\w, ]+), in some of their"),
        ("source is not public", r"The source of ([\w, ]+) is not public"),
    ],
)
def test_the_documentation_lists_the_filters_that_say_so_themselves(said: str, listed: str) -> None:
    """docs/filters.md names exactly the filters whose first lines say what it says of them."""
    text = " ".join(DOCUMENTATION.read_text(encoding="utf-8").split())
    found = re.search(listed, text)
    assert found is not None
    names = re.split(r", | and ", found[1])
    assert names == [each.name for each in LIBRARY if said in " ".join(each.text.split("\n# "))]


@given(
    st.sampled_from(NATIVE),
    st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=12),
    st.data(),
)
@settings(deadline=None, max_examples=300)
def test_the_plan_equals_line_at_a_time(filter_: NativeFilter, lines: list[str], data: st.DataObject) -> None:
    """Whatever the buffer and its cut: a plan of several filters gives what each gives line by line."""
    others = data.draw(st.lists(st.sampled_from(NATIVE), max_size=4, unique_by=lambda each: each.name))
    filters = [filter_, *(each for each in others if each is not filter_)]
    text = "".join(line.replace("\n", " ") + "\n" for line in lines).encode("utf-8", "replace")
    matcher = filter_.matcher(Stamps(UTC))
    assert isinstance(matcher, NativeMatcher)
    expected = matcher.scan(text, CLOCK, list(line_starts(text)))
    cut = data.draw(st.sampled_from([0, *line_starts(text)]))
    plan = Plan(filters)
    first = plan.scan(text[:cut], CLOCK)[0]
    moved = [(*row[:3], row[3] + cut, row[4] + cut, *row[5:]) for row in plan.scan(text[cut:], CLOCK)[0]]
    assert [*first, *moved] == expected
