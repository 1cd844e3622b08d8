"""Bans that grow from one to the next: as long as fail2ban's, in event time, and the same on every replay."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.bounds import LONGEST_MS
from schemas.errors import InvalidMessage
from schemas.formulas import parse_formula
from schemas.records import Ban, Command, Decision
from schemas.rules import Increment, Jail, Rules
from streams.decider import Decider
from streams.growth import lasting_ms
from streams.runs import Run
from streams.state import dump_buckets, dump_whole, load_bucket, load_whole
from streams.window import reference
from tests.producers.filters.fail2ban.oracle import PYTHON
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, failed, fold, restarted, rules, tick

GROWING = Increment()


def bans(decisions: list[Decision]) -> list[Ban]:
    """The bans among decisions."""
    return [each for each in decisions if isinstance(each, Ban)]


def banned_again(decider: Decider, at_s: float, ip: str = ALICE) -> Ban:
    """Three failures within a second ban."""
    (ban,) = bans(fold(decider, [failed(ip, at_s + each / 10) for each in range(3)]))
    return ban


def lasted_s(ban: Ban) -> float:
    """How long a ban lasts, in seconds."""
    assert ban.until_ms is not None
    return (ban.until_ms - ban.at_ms) / SECOND


def in_a_row(increment: Increment | None, times: int = 6) -> list[float]:
    """How long an address' bans last, in minutes, each a minute after the last was over."""
    decider, at_s, lasted = Decider(rules(increment=increment)), 0.0, []
    for _ in range(times):
        ban = banned_again(decider, at_s)
        lasted.append(lasted_s(ban) / 60)
        assert ban.until_ms is not None
        at_s = (ban.until_ms - T0) / SECOND + 60
    return lasted


@pytest.mark.parametrize(
    ("increment", "minutes"),
    [
        (None, [20, 20, 20, 20, 20, 20]),
        (GROWING, [20, 40, 80, 160, 320, 640]),
        (Increment(factor=2), [20, 80, 160, 320, 640, 1_280]),
        (Increment(factor=0.1), [20, 20, 20, 20, 32, 64]),
        (Increment(multipliers=(1, 5, 30)), [20, 100, 600, 600, 600, 600]),
        (Increment(multipliers=(1, 0.5)), [20, 10, 10, 10, 10, 10]),
        (Increment(maxtime_ms=100 * MINUTE), [20, 40, 80, 100, 100, 100]),
    ],
)
def test_bans_grow_as_the_jail_says(increment: Increment | None, minutes: list[float]) -> None:
    """The first lasts bantime, whatever grows."""
    assert in_a_row(increment) == minutes


def test_whoever_stays_away_begins_anew() -> None:
    """After `forget` from the end of his last ban on, to the millisecond; others are others."""
    for waited_ms, minutes in ((3_600_000, 40), (3_600_001, 20)):
        decider = Decider(rules(increment=Increment(forget_ms=3_600_000)))
        first = banned_again(decider, 0)
        assert first.until_ms is not None
        again = banned_again(decider, (first.until_ms + waited_ms - 200 - T0) / SECOND)
        assert (lasted_s(again), again.ban_count) == (minutes * 60, minutes // 20)
        assert lasted_s(banned_again(decider, (again.at_ms - T0) / SECOND + 1, BOB)) == 20 * 60


def test_whom_an_operator_lets_go_begins_anew() -> None:
    """His ban was a mistake: the next is a first one."""
    decider = Decider(rules(increment=GROWING))
    banned_again(decider, 0)
    word = Command(id="1", verb="unban", at_ms=T0 + MINUTE, who="root", prefix=ALICE)
    decider.apply(10 << 20, word)
    assert lasted_s(banned_again(decider, 120)) == 20 * 60


def test_a_ban_for_ever_does_not_grow() -> None:
    """Nor does an operator's, which lasts as long as he says."""
    decider = Decider(rules(increment=GROWING, bantime_ms=None))
    assert banned_again(decider, 0).until_ms is None


def test_a_share_of_rndtime_is_added_and_is_the_same_on_a_replay() -> None:
    """It differs from address to address, and may go beyond maxtime."""
    increment = Increment(maxtime_ms=20 * MINUTE, rndtime_ms=10 * MINUTE)
    first, second = in_a_row(increment), in_a_row(increment)
    assert first == second
    assert first[0] == 20
    assert all(20 <= each < 30 for each in first[1:])
    assert len(set(first[1:])) == 5


def test_a_restart_and_other_rules_keep_the_count() -> None:
    """State that is saved and loaded grows on; a jail that stops growing has its plain length again."""
    decider = Decider(rules(increment=GROWING))
    banned_again(decider, 0)
    tick(decider, T0 + 30 * MINUTE)
    loaded, _, _ = load_whole(dump_whole(decider, {}, {}), 0)
    for bucket in dump_buckets(decider, [ALICE]).values():
        load_bucket(loaded, bucket)
    loaded.resume()
    assert lasted_s(banned_again(loaded, 3_600)) == 40 * 60
    tick(loaded, T0 + 180 * MINUTE)
    loaded.adopt(rules())
    assert lasted_s(banned_again(loaded, 14_400)) == 20 * 60


def test_the_bans_of_all_jails_count_where_a_jail_says_so() -> None:
    """As fail2ban's sum over its table: one ban elsewhere makes 2, 8, 32, 128 times of bantime."""
    for overall, minutes in ((True, [40, 160, 640, 2_560]), (False, [20, 40, 80, 160])):
        increment = Increment(overalljails=overall)
        other = Jail(name="other", filters=("other",), maxretry=1)
        decider, at_s = Decider(Rules(jails=(*rules(increment=increment).jails, other))), 100.0
        decider.fold(Run(reference(0), "other", [("failed", T0, ALICE, 0)]), lambda _: None)
        lasted = []
        for _ in minutes:
            ban = banned_again(decider, at_s)
            lasted.append(lasted_s(ban) / 60)
            at_s = ((ban.until_ms or 0) - T0) / SECOND + 60
        assert lasted == minutes


@pytest.mark.parametrize(
    "text",
    [
        *("", "ban.Tim", "ban", "x", "__import__('os')", "().__class__", "open('/etc/passwd')", "'a' * 9"),
        *("[1][0]", "lambda: 1", "(ban.Time", "1 if 2", "exit()", "math.gamma(3)", "min()", "min(1, key=2)"),
        *("1 < 2 < 3", "ban.Time.__class__", "x := 1", "1;2", "f(1)", "min(*[1])", "(" * 300, "1+" * 400),
        *("pow(1)", "ban.Time = 1", "\x00", "await x"),
    ],
)
def test_what_is_no_formula_is_refused_as_it_is_read(text: str) -> None:
    """Names, calls and forms that no formula has; in rules from whoever wrote them, too."""
    with pytest.raises(ValueError, match=r".+"):
        parse_formula(text)
    if text:
        with pytest.raises(InvalidMessage, match="formula"):
            Rules.from_wire(rules(increment=Increment(formula=text)).to_wire())


@pytest.mark.parametrize(
    ("formula", "minutes"),
    [
        ("ban.Time * (1 << 10 ** 9)", LONGEST_MS // MINUTE),
        ("9 ** 9 ** 9 ** 9", LONGEST_MS // MINUTE),
        ("exp(ban.Time)", LONGEST_MS // MINUTE),
        ("ban.Time / (ban.Count - 1)", 20),
        ("log(0)", 20),
        ("1 << -1", 20),
        ("float(ban.Count) % 0", 20),
        ("5", 20),
        ("not ban.Count or 3600", 60),
        ("ban.Count == 1 and ban.Time * 9", 180),
        ("-(-3600) if ban.Count >= 1 else 0", 60),
    ],
)
def test_a_formula_without_bounds_has_bounds(formula: str, minutes: int) -> None:
    """What is too long is as long as may be; what is no number, or shorter than bantime, is bantime."""
    assert in_a_row(Increment(formula=formula), times=2) == [20, minutes]


@given(st.text("ban.TimeCountFactor()+-*/%<>=0123456789 ,minmaxexplog", max_size=60))
def test_whatever_is_read_as_a_formula_gives_a_length(text: str) -> None:
    """At once, and without an error."""
    try:
        formula = parse_formula(text)
    except ValueError:
        return
    length_s = formula.lasting_s(600, 3, 1.5)
    assert length_s is None or isinstance(length_s, float)


def test_rules_that_do_not_grow_have_the_version_they_had() -> None:
    """No fleet sees other rules for an upgrade alone; those that grow travel whole."""
    plain = Rules(jails=(Jail(name="sshd", filters=("sshd",)),))
    assert "increment" not in plain.to_wire()["jails"][0]
    growing = rules(
        increment=Increment(factor=2, multipliers=(1, 2), maxtime_ms=1, rndtime_ms=2, forget_ms=3)
    )
    assert Rules.from_wire(growing.to_wire()) == growing
    assert growing.version != rules().version


@given(
    bantime_s=st.integers(1, 10**9),
    factor=st.floats(0.001, 1_000_000),
    multipliers=st.lists(st.floats(0.001, 1_000_000), max_size=5),
    earlier=st.integers(1, 10**9),
)
def test_a_length_is_within_bounds_whatever_grows(
    bantime_s: int, factor: float, multipliers: list[float], earlier: int
) -> None:
    """A thousand years at most: an instant can be told of it."""
    jail = Jail(
        name="x",
        filters=(),
        bantime_ms=bantime_s * SECOND,
        increment=Increment(factor=factor, multipliers=tuple(multipliers), rndtime_ms=MINUTE),
    )
    length_ms = lasting_ms(jail.bantime_ms, jail.increment, earlier, "0-1-192.0.2.1")
    assert length_ms is not None
    assert 0 <= length_ms <= 1_000 * 31_557_600_000


FAIL2BANS = """
import json, sys
from fail2ban.server.jail import Jail
from fail2ban.server.observer import ObserverThread
jail = Jail("test", backend=None)
extra, times, counts = json.loads(sys.argv[1])
for name, value in {"increment": "true", **extra}.items():
    jail.setBanTimeExtra(name, value)
formula = jail.getBanTimeExtra()["evformula"]
print(json.dumps([[formula(ObserverThread.BanTimeIncr(time, count)) for count in counts] for time in times]))
"""
"""Asks fail2ban's own code how long bans last."""


@pytest.mark.real("fail2ban")
@pytest.mark.parametrize(
    ("increment", "extra"),
    [
        (Increment(), {}),
        (Increment(factor=2.5), {"factor": "2.5"}),
        (Increment(factor=0.25), {"factor": "0.25"}),
        (Increment(multipliers=(1, 2, 4, 8, 16)), {"multipliers": "1 2 4 8 16"}),
        (Increment(multipliers=(1, 5, 30), factor=3), {"multipliers": "1 5 30", "factor": "3"}),
        (Increment(maxtime_ms=5 * 3_600_000), {"maxtime": "5h"}),
        *(
            (Increment(factor=factor, formula=formula), {"factor": str(factor), "formula": formula})
            for factor in (1, 2.5)
            for formula in (
                "ban.Time * (1<<(ban.Count if ban.Count<20 else 20)) * banFactor",
                "ban.Time * math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)",
                "ban.Time * max(1, math.log(ban.Count, 2)) // 3 + ban.Count ** 2 % 7",
                "60 * ban.Count",
            )
        ),
        (Increment(multipliers=(1, 9, 99), maxtime_ms=3_600_000), {"multipliers": "1 9 99", "maxtime": "1h"}),
    ],
)
def test_a_length_is_fail2bans(increment: Increment, extra: dict[str, str]) -> None:
    """For every number of earlier bans up to beyond where either stops growing; a thousand years at most."""
    times, counts = [1, 600, 3_600], [*range(1, 26)]
    asked = [PYTHON, "-c", FAIL2BANS, json.dumps([extra, times, counts])]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    for bantime_s, theirs in zip(times, json.loads(answer.stdout), strict=True):
        jail = Jail(name="x", filters=(), bantime_ms=bantime_s * SECOND, increment=increment)
        ours = [lasting_ms(jail.bantime_ms, jail.increment, earlier, "") for earlier in counts]
        assert ours == [min(int(each * SECOND), LONGEST_MS) for each in theirs]


def test_what_another_program_has_counted_goes_on() -> None:
    """Who is remembered as banned three times is banned as for the fourth; a ban in force is its last."""
    decider = Decider(rules(increment=GROWING), tracking=True)
    remember = Command(
        id="x",
        verb="remember",
        at_ms=T0,
        who="import",
        prefix=ALICE,
        jail="sshd",
        bans=3,
        since_ms=T0 - SECOND,
    )
    assert decider.apply(1, remember, kind="c") == []
    decider = restarted(decider)
    ban = banned_again(decider, 10)
    assert (ban.ban_count, lasted_s(ban)) == (4, 8 * 1_200)
    for bans_before, number in ((2, 4), (9, 9)):
        decider.apply(5, replace(remember, bans=bans_before, since_ms=None), kind="c")
        held = decider.jails["sshd"].held_by(ALICE)
        assert held is not None
        assert held.ban_count == number


def test_who_is_remembered_is_not_counted_for_what_was_before() -> None:
    """Failures older than the end of that ban belong to it."""
    decider = Decider(rules())
    decider.apply(
        1,
        Command(
            id="x",
            verb="remember",
            at_ms=T0,
            who="import",
            prefix=ALICE,
            jail="sshd",
            bans=1,
            since_ms=T0 - 1,
        ),
        kind="c",
    )
    assert fold(decider, [failed(ALICE, -each) for each in (3, 2, 1)]) == []
    assert len(fold(decider, [failed(ALICE, each) for each in (1, 2, 3)], frame=9)) == 1
