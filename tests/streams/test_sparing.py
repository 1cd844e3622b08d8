"""Whom a command spares is not counted, by what stands in the event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventlog.contract import Message
from schemas.codec import encode_frame
from schemas.records import Ban
from schemas.rules import Jail, Rules
from schemas.sparing import command_id
from streams.decider import Decider
from streams.fold import Fold
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, Oracle, failure, restarted, rules

OURS, THEIRS = ("/bin/ours", "<ip>"), ("/bin/theirs", "<ip>")
SPARED = (command_id(OURS),)


def decided(some: Rules, told: list[tuple[str, tuple[str, ...]]], restart: int = -1) -> list[Ban]:
    """The bans for failures, a second apart: of whom, and what spares him."""
    fold, bans = Fold(Decider(some, tracking=True)), list[Ban]()
    for nth, (ip, spared) in enumerate(told):
        if nth == restart:
            fold.decider = restarted(fold.decider)
        event = failure(ip, T0 + nth * SECOND, nth, spared=spared)
        taken, _ = fold.take(Message(0, nth, None, encode_frame([event]), event.at_ms))
        bans += [each for each in taken if isinstance(each, Ban)]
    return bans


def test_a_jail_goes_by_its_own_command() -> None:
    """Not by another's, and one without a command by none."""
    told = [(ALICE, SPARED), (BOB, ())] * 3
    for command, whom in ((OURS, [BOB]), (THEIRS, [ALICE, BOB]), ((), [ALICE, BOB])):
        assert [each.prefix for each in decided(rules(ignorecommand=command), told)] == whom
    (jail,) = rules(ignorecommand=OURS).jails
    other = Jail(name="other", filters=("sshd",), maxretry=3)
    both = decided(Rules(jails=(jail, other)), told)
    assert [(each.jail, each.prefix) for each in both] == [("other", ALICE), ("sshd", BOB), ("other", BOB)]


@given(
    st.lists(
        st.tuples(st.sampled_from([ALICE, BOB]), st.sampled_from([(), SPARED, ("other",)])), max_size=40
    ),
    st.integers(1, 4),
    st.integers(-1, 39),
)
def test_a_command_is_a_sieve_before_the_count(
    told: list[tuple[str, tuple[str, ...]]], maxretry: int, restart: int
) -> None:
    """A jail with one bans as one without that is not shown what it spares; through a restart."""
    some = rules(ignorecommand=OURS, maxretry=maxretry)
    oracle = Oracle(maxretry, 10 * MINUTE, 20 * MINUTE)
    sieved = [("failed", T0 + nth * SECOND, ip) for nth, (ip, spared) in enumerate(told) if spared != SPARED]
    assert [(each.prefix, each.at_ms) for each in decided(some, told, restart)] == oracle.bans(sieved)


def test_what_spares_somebody_over_and_over_is_one_route() -> None:
    """A shipper may write it a thousand times, in any order: what is remembered of it stays small."""
    other = command_id(THEIRS)
    jails = [
        Jail(name=name, filters=("sshd",), ignorecommand=asked)
        for name, asked in (("a", OURS), ("b", THEIRS))
    ]
    regions = Decider(Rules(jails=tuple(jails))).routes.regions
    said = regions.of(None, None, (*SPARED, other))
    assert regions.of(None, None, (other, *SPARED) * 1_000) == said
