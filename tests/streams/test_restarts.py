"""Whatever a jail can say: a restart anywhere changes no decision, to the byte."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.behaviours import Behaviour
from schemas.codec import encode
from schemas.records import Decision
from schemas.rules import Escalation, Increment, Jail, Rules, Threshold
from streams.decider import Decider
from tests.streams.folding import MINUTE, SECOND, T0, failed, fold, restarted, tick
from tests.streams.test_networks import command

FOUR = [f"192.0.{net}.{last}" for net in (2, 3) for last in (1, 2, 3)]
SIX = [f"2001:db8:1:{net}::{last}" for net in (2, 3) for last in (1, 2)]
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
    prolong=st.booleans(),
    steps=st.sampled_from([(), (Threshold(maxretry=5, findtime_ms=10 * MINUTE, bantime_ms=MINUTE),)]),
    increment=st.sampled_from([None, Increment(rndtime_ms=MINUTE), Increment(overalljails=True)]),
    escalate=st.sampled_from(
        [
            None,
            Escalation(addresses=2, findtime_ms=10 * MINUTE, bantime_ms=MINUTE, ipv6=56),
            Escalation(addresses=2, bantime_ms=MINUTE, spared="parts"),
        ]
    ),
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
    Jail(name="again", filters=(), on="bans", maxretry=2, bantime_ms=MINUTE, ipv6_prefix=64),
)
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
            st.sampled_from(["failed"] * 6 + ["succeeded"]), st.sampled_from(FOUR + SIX), st.integers(0, 20)
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
        match act:
            case "failed" | "succeeded":
                decisions += fold(decider, [failed(whom, at_s, act)])
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
@given(JAILS, st.sampled_from([(), OTHERS, WATCHED]), ACTS, st.sets(st.integers(0, 59), max_size=6))
def test_a_restart_changes_nothing(
    jail: Jail, others: tuple[Jail, ...], acts: list[tuple[str, str, int]], restarts: set[int]
) -> None:
    """Of any policies together, by any acts: the same decisions, with what they count and why."""
    some = Rules(jails=(jail, *others))
    whole = [encode(each) for each in decided(some, acts, set())]
    assert [encode(each) for each in decided(some, acts, restarts)] == whole
