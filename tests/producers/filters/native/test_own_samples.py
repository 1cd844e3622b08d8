"""A filter's samples: what is wrong in them, and what they find wrong in a filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.filters import load_filter
from producers.filters.native.definition import parse_definition
from producers.filters.native.filter import NativeFilter
from producers.filters.samples import SaidEvent, Sample, parse_samples, written, wrong
from schemas.errors import ConfigError

HEAD = """programs = ["app"]
headers = ['{time} ']
[[failed]]
line = 'bad {user} at {ip} by (?P<method>\\w+)'
"""


def filter_of(samples: str, head: str = HEAD) -> NativeFilter:
    """A filter with some samples."""
    text = head + samples
    return NativeFilter(parse_definition("x", text, "x.toml"), text, "x.toml")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("[]", ()),
        ('["failed", "192.0.2.7"]', (SaidEvent("failed", "192.0.2.7"),)),
        ('["failed", "192.0.2.7", "bob", 5]', (SaidEvent("failed", "192.0.2.7", "bob", 5),)),
        ('[["failed", "a"], ["probed", "b"]]', (SaidEvent("failed", "a"), SaidEvent("probed", "b"))),
        (
            '{ kind = "failed", ip = "a", fields = { x = "y" } }',
            (SaidEvent("failed", "a", fields={"x": "y"}),),
        ),
        ('[{ kind = "failed", ip = "a" }]', (SaidEvent("failed", "a"),)),
    ],
)
def test_a_sample_says_what_it_says(says: str, expected: tuple[SaidEvent, ...]) -> None:
    """No event, one, or several; as lists or as tables."""
    text = f"{HEAD}\n[[sample]]\nline = 'x'\nsays = {says}\n"
    assert parse_samples(text, "x.toml") == (Sample("x", False, expected),)  # noqa: FBT003 - a message


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ("line = 'x'", r"x\.toml: \[\[sample\]\] 1: 'says'"),
        ("says = []", r"x\.toml: \[\[sample\]\] 1: 'line'"),
        ("line = 7\nsays = []", r"x\.toml: \[\[sample\]\] 1: wants line or log"),
        ("line = 'x'\nlog = 'x'\nsays = []\nnosuch = 1", r"x\.toml: \[\[sample\]\] 1: wants line or log"),
        ("line = 'x'\nsays = ['failed']", r"x\.toml: \[\[sample\]\] 1: .*ip"),
        ("line = 'x'\nsays = { kind = 'failed', nosuch = 1 }", r"x\.toml: \[\[sample\]\] 1: .*nosuch"),
        ("line = 'x'\nsays = []\n[[sample]]\nline = 7\nsays = []", r"x\.toml: \[\[sample\]\] 2: wants"),
        ("line = ", r"x\.toml, in its samples: Invalid value"),
        ("line = 'x'\nsays = []\n[[failed]]\nline = 'y {ip}'", r"x\.toml: failed: .*samples come last"),
    ],
)
def test_what_is_wrong_in_a_sample_is_named_with_its_file_and_number(sample: str, message: str) -> None:
    """A key that is missing or unknown, a type, and what stands behind the samples and would not be read."""
    with pytest.raises(ConfigError, match=message):
        parse_samples(f"{HEAD}\n[[sample]]\n{sample}", "x.toml")


def test_a_users_own_filter_with_a_table_behind_its_samples_is_refused(tmp_path: Path) -> None:
    """It would never be read."""
    path = tmp_path / "x.toml"
    text = f"{HEAD}\n[[sample]]\nline = 'x'\nsays = []\n[[failed]]\nline = 'y {{ip}}'\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="samples come last"):
        load_filter(str(path))


GOOD = "bad bob at 192.0.2.7 by x"


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        ("", "x: has no samples; a filter has to prove itself"),
        (
            f"\n[[sample]]\nline = '{GOOD}'\nsays = ['failed', '192.0.2.8', 'bob']",
            "not [SaidEvent(kind='failed', ip='192.0.2.8'",
        ),
        (
            f"\n[[sample]]\nline = '{GOOD}'\nsays = ['failed', '192.0.2.7']",
            "not [SaidEvent(kind='failed', ip='192.0.2.7', user=None",
        ),
        (f"\n[[sample]]\nline = '{GOOD}'\nsays = []", "not []"),
        ("\n[[sample]]\nline = 'good'\nsays = ['failed', '192.0.2.7']", "gives [], not"),
        (
            f"\n[[sample]]\nlog = '2026-11-22 10:00:00 {GOOD}'\nsays = ['failed', '192.0.2.7', 'bob']",
            "x, its own log: '2026-11-22 10:00:00 bad bob at 192.0.2.7 by x' is taken for another time",
        ),
        (
            f"\n[[sample]]\nline = '{GOOD}'\nsays = {{ kind = 'failed', ip = '192.0.2.7', fields = {{}} }}",
            "fields={'method': 'x'}",
        ),
    ],
)
def test_a_filter_that_reads_a_sample_otherwise_is_wrong(samples: str, problem: str) -> None:
    """In which form, what it gives, and what it should."""
    found = list(wrong(filter_of(samples)))
    assert found
    assert any(problem in each for each in found), found


def test_a_sample_may_state_fields_and_bear_no_time() -> None:
    """In every form: a message behind every header, a line of the own log in every envelope."""
    one = filter_of(
        f"\n[[sample]]\nline = '{GOOD}'\nsays = {{ kind = 'failed', ip = '192.0.2.7', user = 'bob', "
        "fields = { method = 'x' } }\n"
        f"\n[[sample]]\nlog = '{GOOD}'\nsays = ['failed', '192.0.2.7', 'bob']\ntimeless = true\n",
        HEAD.replace("headers", "bare = true\nheaders"),
    )
    assert list(wrong(one)) == []
    message, log = one.samples
    assert {"rfc 3164", "rfc 5424", "journal", "docker", "containerd"} <= written(one, message).keys()
    assert {"its own log", "rfc 3164", "docker", "containerd"} <= written(one, log).keys()
    assert "its own log" not in written(one, message)
