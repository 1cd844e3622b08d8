"""What fail2ban's own code finds in lines, banstream's finds: the same lines, addresses, users and times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.filters.fail2ban import Fail2banFilter, load
from producers.filters.fail2ban.identity import HIDDEN
from producers.filters.fail2ban.matcher import BufferedMatcher, Fail2banMatcher
from producers.filters.rows import EventRow, contains
from producers.stamps import LineClock
from schemas.addresses import canonical_prefix
from schemas.errors import ConfigError, InvalidMessage
from tests.producers.filters.fail2ban.customs import CUSTOM
from tests.producers.filters.fail2ban.lines import NOW_S, Lines
from tests.producers.filters.fail2ban.oracle import FILTERS, Oracle

pytestmark = pytest.mark.real("fail2ban")

ZONE: Final = "Europe/Zurich"
CLOCK: Final = LineClock(NOW_S * 1_000, "offline")
LONE_COLON: Final = re.compile(r":(?!:)")
"""What fail2ban 1.1 takes for the beginning of an IPv6 address; 1.0 does not, nor does banstream."""
PARTS: Final = frozenset(path.stem for path in FILTERS.glob("*common.conf"))
INSTALLED: Final = sorted(path.stem for path in FILTERS.glob("*.conf") if path.stem not in PARTS)
WITH_OPTIONS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    *(
        ("sshd", {"mode": mode, "publickey": publickey})
        for mode in ("normal", "ddos", "extra", "aggressive")
        for publickey in ("nofail", "invalid", "any", "ignore")
    ),
    *(
        ("postfix", {"mode": mode})
        for mode in ("normal", "auth", "rbl", "ddos", "extra", "errors", "aggressive")
    ),
    *(("dovecot", {"mode": mode}) for mode in ("normal", "aggressive")),
    *(("exim", {"mode": mode}) for mode in ("normal", "aggressive")),
    *(("apache-auth", {"mode": mode}) for mode in ("normal", "aggressive")),
    *(
        (name, {"mode": "aggressive"})
        for name in ("proftpd", "slapd", "drupal-auth", "sendmail-reject", "haproxy-http-auth")
    ),
    ("nginx-http-auth", {"mode": "fallback"}),
    ("nginx-http-auth", {"mode": "aggressive"}),
    ("guacamole", {"logging": "webapp"}),
    ("named-refused", {"logtype": "journal"}),
    *(("sshd", {"logtype": logtype}) for logtype in ("short", "journal", "rfc5424")),
    *(("pam-generic", {"usedns": usedns}) for usedns in ("no", "raw", "YES", "maybe")),
    *(("sshd", {"logtimezone": zone}) for zone in ("UTC+0530", "EST", "-03")),
    ("recidive", {"_jailname": "x", "maxlines": "2"}),
)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """fail2ban's own code, at work in another process."""
    made = Oracle(ZONE)
    yield made
    made.close()


def spec_of(path: Path, options: Mapping[str, str]) -> str:
    """A filter with options as a jail names it."""
    listed = ", ".join(f'{key}="{value}"' for key, value in options.items())
    return f"{path}[{listed}]" if listed else str(path)


def found_in(filter_: Fail2banFilter, lines: Sequence[str]) -> list[list[Any]]:
    """(line, id, milliseconds, user, captured) of each failure that banstream finds."""
    zone = ZoneInfo(ZONE)
    made = BufferedMatcher if filter_.compiled.maxlines > 1 else Fail2banMatcher
    data = b"".join(line.encode() + b"\n" for line in lines)
    rows = made(filter_.compiled, zone).scan(data, CLOCK)
    return [as_failure(row, data.count(b"\n", 0, row[3])) for row in rows if row[0] == "failed"]


def as_failure(row: EventRow, line: int) -> list[Any]:
    """A row as the oracle writes failures."""
    fields = {key: value for key, value in (row[10] or {}).items() if key not in {*HIDDEN, "ip", "user"}}
    return [line, row[2], row[1], row[5], fields]


def expected(answer: Mapping[str, Any]) -> list[list[Any]]:
    """The oracle's failures; an address is canonical, and what is a tuple there is in its texts only."""
    return [
        [line, canonical(fid), round(at * 1_000), data.get("user"), captured(data)]
        for line, fid, at, data in answer["failures"]
    ]


def captured(data: Mapping[str, str]) -> dict[str, str]:
    """What a failure captured besides its identity and user."""
    hidden = {*HIDDEN, "user"}
    return {key: text for key, text in data.items() if key not in hidden and not key.startswith("skiplines")}


def canonical(text: str) -> str:
    """An address or a network in canonical form, any other text as it is."""
    try:
        return canonical_prefix(text)
    except InvalidMessage:
        return text


def as_in_1_0(expression: str) -> str:
    """An expression of fail2ban 1.1's, whose IPv6 addresses may begin with a lone colon, as 1.0 has it."""
    return expression.replace("{1,4}::?|:){1,7}", "{1,4}::?|::){1,7}")


def compare(oracle: Oracle, path: Path, lines: list[str], options: Mapping[str, str]) -> int:
    """Both read the lines; how many failures both found. A line that fail2ban dies of is left out."""
    filter_ = load(spec_of(path, options))
    answer = oracle.ask(path, lines, NOW_S, options)
    while answer.get("errors"):
        lost = set(answer["errors"])
        lines = [line for at, line in enumerate(lines) if at not in lost]
        answer = oracle.ask(path, lines, NOW_S, options)
    assert "error" not in answer, answer
    rules, prefix = filter_.compiled.rules, answer["prefregex"]
    assert [each.source for each in rules.failures] == [as_in_1_0(each) for each in answer["failregex"]]
    assert [each.source for each in rules.ignored] == [as_in_1_0(each) for each in answer["ignoreregex"]]
    assert (rules.prefix.source if rules.prefix else None) == (prefix and as_in_1_0(prefix))
    forms = sorted(each.expression.pattern for each in filter_.compiled.templates)
    assert forms == sorted(answer["templates"])
    odd = {line for line, fid, *_ in answer["failures"] if LONE_COLON.match(fid)}
    theirs, ours = (
        [failure for failure in found if failure[0] not in odd]
        for found in (expected(answer), found_in(filter_, lines))
    )
    for line, *_ in ours:
        assert filter_.needles is None or contains(lines[line].encode(), filter_.needles), lines[line]
    for their, our in zip(theirs, ours, strict=False):
        assert our == their, lines[their[0]]
    assert ours == theirs
    return len(theirs)


@pytest.mark.parametrize("name", INSTALLED)
def test_an_installed_filter_finds_what_fail2ban_finds(oracle: Oracle, name: str) -> None:
    """Lines written from each filter's expressions, in many dates' forms, are failures of the same users."""
    path = FILTERS / f"{name}.conf"
    plan = load(str(path)).compiled
    lines = Lines(plan, seed=len(name)).stream(max(8, 60 // len(plan.rules.failures)))
    assert compare(oracle, path, lines, {}) > 0


@pytest.mark.parametrize("case", WITH_OPTIONS, ids=lambda case: spec_of(Path(case[0]), case[1]))
def test_options_mean_the_same(oracle: Oracle, case: tuple[str, Mapping[str, str]]) -> None:
    """With the options that the filters offer, and those that every jail has, both find the same."""
    name, options = case
    path = FILTERS / f"{name}.conf"
    lines = Lines(load(spec_of(path, options)).compiled, seed=3).stream(6)
    compare(oracle, path, lines, options)


@pytest.mark.parametrize("name", CUSTOM)
def test_a_users_own_filter_is_read_as_fail2ban_reads_it(oracle: Oracle, name: str, tmp_path: Path) -> None:
    """What the language offers and no installed filter uses: the same expressions, and the same failures."""
    files, options, lines = CUSTOM[name]
    for file, text in files.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    main = tmp_path / next(iter(files))
    assert compare(oracle, main, list(lines), options) > 0
    written = Lines(load(spec_of(main, options)).compiled, seed=5).stream(12)
    compare(oracle, main, written, options)


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_of_filters_is_no_filter(name: str) -> None:
    """A file that others include has no failregex of its own: the error says which file."""
    with pytest.raises(ConfigError, match=f"{name}.conf: .*failregex"):
        load(name)


@given(st.data())
@settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
def test_mutated_lines_are_read_alike(oracle: Oracle, data: st.DataObject) -> None:
    """Lines of a filter, cut, joined and with foreign text in them: both find the same failures."""
    path = FILTERS / f"{data.draw(st.sampled_from(INSTALLED))}.conf"
    made = Lines(load(str(path)).compiled, data.draw(st.integers(0, 9))).stream(6)
    lines = [mutated(data, line) for line in made[:40]]
    compare(oracle, path, [line for line in lines if line], {})


def mutated(data: st.DataObject, line: str) -> str:
    """A line with a piece taken out and another put in."""
    start = data.draw(st.integers(0, len(line)))
    length = data.draw(st.integers(0, 4))
    piece = data.draw(
        st.sampled_from(("", " ", "  ", "[", "from ", "192.0.2.99", "::1", "\u00e9", "0", ":", '"'))
    )
    return line[:start] + piece + line[start + length :]
