"""Whatever a jail can say: a restart anywhere changes no decision, to the byte."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.behaviours import Behaviour
from schemas.codec import encode
from schemas.records import Decision
from schemas.rules import Escalation, Increment, Jail, Rules, Threshold
from schemas.whereabouts import Region, Scope
from streams.decider import Decider
from streams.window import reference
from tests.streams.folding import MINUTE, SECOND, T0, failed, fold, restarted, tick
from tests.streams.test_networks import command

FOUR = [f"192.0.{net}.{last}" for net in (2, 3) for last in (1, 2, 3)]
SIX = [f"2001:db8:1:{net}::{last}" for net in (2, 3) for last in (1, 2)]
STEP = Threshold(maxretry=5, findtime_ms=10 * MINUTE, bantime_ms=MINUTE)
WHERE_XA, UNLESS_XB = Scope(where=Region(country=("XA",))), Scope(unless=Region(country=("XB",)))
COUNTRIES = {"192.0.2.": "XA", "192.0.3.": "XB", "2001:db8:1:2:": "XA"}
"""Where who begins so is from."""
JAILS = st.builds(
    Jail,
    name=st.just("sshd"),
    filters=st.just(("sshd",)),
    maxretry=st.integers(1, 3),
    findtime_ms=st.sampled_from([5 * SECOND, MINUTE, 10 * MINUTE]),
    bantime_ms=st.sampled_from([7 * SECOND, 2 * MINUTE, None]),
    ignoreip=st.sampled_from([(), ("192.0.2.3",), ("2001:db8:1:2::2",)]),
    ipv4_prefix=st.sampled_from([24, 32]),
    ipv6_prefix=st.sampled_from([48, 64, 128]),
    forgive=st.booleans(),
    halve=st.booleans(),
    known_good_ms=st.sampled_from([None, MINUTE]),
    prolong=st.booleans(),
    steps=st.sampled_from([(), (STEP,), (replace(STEP, scope=WHERE_XA),)]),
    increment=st.sampled_from([None, Increment(rndtime_ms=MINUTE), Increment(overalljails=True)]),
    escalate=st.sampled_from(
        [
            None,
            Escalation(addresses=2, findtime_ms=10 * MINUTE, bantime_ms=MINUTE, ipv6=56),
            Escalation(addresses=2, bantime_ms=MINUTE, spared="parts"),
        ]
    ),
    scope=st.sampled_from([None, UNLESS_XB]),
    first_scope=st.sampled_from([None, WHERE_XA]),
)
OTHERS = (
    Jail(
        name="rate",
        filters=("sshd",),
        window="fail2ban",
        maxretry=2,
        findtime_ms=MINUTE,
        increment=Increment(),
    ),
    Jail(name="leaky", filters=("sshd",), window="leaky", maxretry=2, findtime_ms=MINUTE, bantime_ms=MINUTE),
    Jail(name="ports", filters=("sshd",), distinct="address", ipv4_prefix=24, maxretry=2),
    Jail(
        name="web", filters=("sshd",), kinds=("request",), maxretry=20, findtime_ms=2 * MINUTE, ipv4_prefix=24
    ),
    Jail(name="traps", filters=("sshd",), kinds=(), decoy_paths=("/.env*",), increment=Increment()),
    Jail(name="again", filters=(), on="bans", maxretry=2, bantime_ms=MINUTE, ipv6_prefix=64),
)
KINDS = ["failed"] * 6 + ["succeeded", "request", "request", "decoy"]
WATCHED = (
    Jail(
        name="watched",
        filters=("sshd",),
        maxretry=4,
        bantime_ms=MINUTE,
        behaviour=Behaviour(least=1, deviations=1, tighten=True),
    ),
)
ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(KINDS),
            st.sampled_from(FOUR + SIX),
            st.integers(0, 20),
        ),
        st.tuples(
            st.sampled_from(["unban", "allow", "disallow", "forgive"]),
            st.sampled_from(FOUR + SIX),
            st.just(0),
        ),
        st.tuples(st.just("tick"), st.just(""), st.integers(1, 120)),
    ),
    max_size=60,
)


def decided(some: Rules, acts: list[tuple[str, str, int]], restarts: set[int]) -> list[Decision]:
    """What is decided of these acts, `restarts` before which of them."""
    decider, at_s, decisions = Decider(some, tracking=True), 0, list[Decision]()
    checkpoint: dict[str, bytes] = {}
    for place, (act, whom, seconds) in enumerate(acts):
        if place in restarts:
            decider = restarted(decider, checkpoint)
        at_s += seconds
        decider._reference = reference(place)  # noqa: SLF001 - each act has a place of its own, as in a log
        match act:
            case "request" | "decoy":
                asked = (1, "/.env") if act == "decoy" else (seconds + 1, "/")
                decisions += fold(decider, [failed(whom, at_s, "request")], asked=asked)
            case "failed" | "succeeded":
                country = next((code for start, code in COUNTRIES.items() if whom.startswith(start)), None)
                decisions += fold(decider, [failed(whom, at_s, act)], country=country)
            case "tick":
                decisions += tick(decider, T0 + at_s * SECOND)
            case _:
                decisions += command(decider, act, whom)
    return decisions


@settings(max_examples=400, deadline=None)
@example(
    Jail(
        name="sshd",
        filters=("sshd",),
        maxretry=2,
        bantime_ms=MINUTE,
        escalate=Escalation(addresses=2, bantime_ms=MINUTE),
    ),
    (),
    [
        *(("failed", f"192.0.2.{last}", 0) for last in (3, 1, 1, 2, 2, 3)),
        *(("failed", "192.0.3.1", 1), ("tick", "", 120)),
    ],
    {5, 6},
)
@example(
    Jail(name="sshd", filters=("sshd",), maxretry=2, findtime_ms=5 * SECOND, bantime_ms=7 * SECOND),
    (),
    [
        *(("failed", "192.0.2.1", 0), ("failed", "192.0.2.1", 0), ("unban", "192.0.2.1", 0)),
        *(("failed", "192.0.2.1", 0), ("failed", "192.0.2.1", 2), ("unban", "192.0.2.1", 0)),
        *(("tick", "", 1), ("failed", "192.0.2.1", 4), ("failed", "192.0.2.1", 0)),
    ],
    {3},
)
@example(
    Jail(name="sshd", filters=("sshd",), maxretry=2, known_good_ms=10 * MINUTE),
    (),
    [("succeeded", "192.0.2.1", 0), *[("failed", "192.0.2.1", 1)] * 4],
    {1, 3},
)
@example(
    Jail(name="sshd", filters=("sshd",), scope=WHERE_XA, first_scope=WHERE_XA),
    OTHERS,
    [("request", "192.0.2.1", 9), ("request", "192.0.2.2", 10), ("decoy", "192.0.3.1", 1)],
    {1, 2},
)
@given(JAILS, st.sampled_from([(), OTHERS, WATCHED]), ACTS, st.sets(st.integers(0, 59), max_size=6))
def test_a_restart_changes_nothing(
    jail: Jail, others: tuple[Jail, ...], acts: list[tuple[str, str, int]], restarts: set[int]
) -> None:
    """Of any policies together, by any acts: the same decisions, with what they count and why."""
    some = Rules(jails=(jail, *others))
    whole = [encode(each) for each in decided(some, acts, set())]
    assert [encode(each) for each in decided(some, acts, restarts)] == whole


def test_a_restart_makes_no_more_room_than_there_was() -> None:
    """Whom a flood drives out is the same: after a restart no more are remembered than without one."""
    some = Rules(jails=(Jail(name="sshd", filters=("sshd",)),), max_subjects=10)
    left = []
    for restarts in (set[int](), {8, 15}):
        decider = Decider(some, tracking=True)
        checkpoint: dict[str, bytes] = {}
        for nth in range(30):
            if nth in restarts:
                decider = restarted(decider, checkpoint)
            fold(decider, [failed(f"192.0.2.{nth}", nth)])
        left.append(sorted(decider.jails["sshd"].subjects))
    assert left[0] == left[1]
    assert len(left[0]) <= 10
