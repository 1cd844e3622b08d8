"""Decoys: a failure as a user whom nobody has bans at once, and everything else counts as ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.contract import Message
from schemas.codec import encode_frame
from schemas.errors import InvalidMessage
from schemas.records import AuthEvent, Ban, Command, Decision, Prolong, Unban
from schemas.rules import Escalation, Jail, Rules, Threshold
from streams.decider import Decider
from streams.fold import Fold
from streams.inputs import read_frame
from streams.runs import Columns, Run
from streams.state import dump_buckets, dump_whole, load_bucket, load_whole
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, failure, rules

DECOYS = ("admin", "oracle")
Try = tuple[str, float, str | None]
"""Who tried, so many seconds after T0, as which user."""


def trapped(**jail: object) -> Rules:
    """Rules with one jail: 3 failures within 10 minutes ban for 20, one as a decoy at once."""
    return rules(**{"decoy_users": DECOYS, **jail})


def event(each: Try, position: int, **fields: object) -> AuthEvent:
    """A failed login."""
    ip, at_s, user = each
    line = f"Failed password for {user} from {ip}"
    return failure(ip, T0 + int(at_s * SECOND), position, **{"user": user, "line": line, **fields})


def decided(
    under: Rules | Fold, tries: Sequence[Try], *, frame: int = 100, **fields: object
) -> list[Decision]:
    """What is decided of these, in frames of so many, from a log."""
    fold = under if isinstance(under, Fold) else Fold(Decider(under, tracking=True))
    found: list[Decision] = []
    for start in range(0, len(tries), frame):
        events = [event(each, nth, **fields) for nth, each in enumerate(tries[start : start + frame], start)]
        at_ms = max(each.at_ms for each in events)
        found += fold.take(Message(0, start, None, encode_frame(events), at_ms))[0]
    return found


def bans(decisions: Sequence[Decision]) -> list[tuple[str, float, int, bool]]:
    """Of each ban whom, when, for how many failures, and whether it was a decoy's."""
    return [
        (each.prefix, (each.at_ms - T0) / SECOND, each.count, each.why is not None)
        for each in decisions
        if isinstance(each, Ban)
    ]


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        ([(ALICE, 0, "admin")], [(ALICE, 0, 1, True)]),
        ([(ALICE, 0, "root")], []),
        ([(ALICE, 0, None)], []),
        ([(ALICE, 0, "Admin"), (ALICE, 1, "admin ")], []),
        ([(ALICE, 0, "root"), (ALICE, 1, "oracle")], [(ALICE, 1, 1, True)]),
        ([(ALICE, 0, "root"), (ALICE, 1, "root"), (ALICE, 2, "root")], [(ALICE, 2, 3, False)]),
        ([(ALICE, 0, "admin"), (ALICE, 1, "admin"), (ALICE, 2, "root")], [(ALICE, 0, 1, True)]),
        ([(ALICE, 0, "admin"), (BOB, 1, "admin")], [(ALICE, 0, 1, True), (BOB, 1, 1, True)]),
        ([(ALICE, 0, "admin"), (ALICE, 1_300, "admin")], [(ALICE, 0, 1, True), (ALICE, 1_300, 1, True)]),
        ([("127.0.0.1", 0, "admin")], []),
        ([(ALICE, 5, "admin"), (ALICE, 1, "oracle"), (ALICE, 2, "root")], [(ALICE, 5, 1, True)]),
    ],
)
def test_whom_a_decoy_bans(tries: list[Try], expected: list[tuple[str, float, int, bool]]) -> None:
    """Exactly the name that the service wrote; once, at the failure itself; nobody who is ignored."""
    assert bans(decided(trapped(ignoreip=("127.0.0.0/8",)), tries)) == expected


def test_a_ban_says_the_decoy_and_has_its_line() -> None:
    """And its evidence; the jail's bantime holds."""
    ban, unban = decided(trapped(), [(BOB, 0, "root"), (ALICE, 1, "admin"), (BOB, 2_000, "root")])
    assert isinstance(ban, Ban)
    assert (ban.why, ban.lines) == ('decoy user "admin"', (f"Failed password for admin from {ALICE}",))
    assert (ban.evidence, ban.id) == (("0-0-1",), "0-0-1-0")
    assert ban.until_ms == T0 + SECOND + 20 * MINUTE
    assert isinstance(unban, Unban)


def test_other_jails_count_the_same_failure() -> None:
    """One has the decoy, one has another, one none; their jail on bans takes the decoy's ban, too."""
    (jail,) = trapped(name="trap", maxretry=9).jails
    others = (
        replace(jail, name="plain", decoy_users=(), maxretry=2),
        replace(jail, name="else", decoy_users=("guest",), maxretry=9),
        Jail(name="recidive", filters=(), on="bans", maxretry=1),
    )
    made = decided(Rules(jails=(jail, *others)), [(ALICE, 0, "admin"), (ALICE, 1, "root")])
    assert [(each.jail, each.at_ms - T0) for each in made if isinstance(each, Ban)] == [
        ("trap", 0),
        ("recidive", 0),
        ("plain", SECOND),
    ]


@pytest.mark.parametrize("kind", ["succeeded", "probed"])
def test_what_is_no_failure_springs_nothing(kind: str) -> None:
    """A success, whether or not it counts; a probe where the jail counts none."""
    kinds = ("failed", "succeeded") if kind == "succeeded" else ("failed",)
    assert decided(trapped(kinds=kinds), [(ALICE, 0, "admin")], kind=kind) == []


def test_selective_jails_have_decoys_of_their_own() -> None:
    """Only events that the jail selects."""
    under = trapped(hosts=("web1",))
    assert bans(decided(under, [(ALICE, 0, "admin")], host="web2")) == []
    assert bans(decided(under, [(ALICE, 0, "admin")], host="web1")) == [(ALICE, 0, 1, True)]


def test_a_network_is_banned_where_that_is_counted() -> None:
    """By its /64; and many of a network ban it."""
    found = decided(trapped(ipv6_prefix=64), [("2001:db8::5", 0, "admin")])
    assert bans(found) == [("2001:db8::/64", 0, 1, True)]
    escalate = Escalation(addresses=2)
    made = decided(
        trapped(escalate=escalate), [(ALICE, 0, "admin"), (BOB, 1, "admin"), ("192.0.2.9", 2, "admin")]
    )
    assert [each.prefix for each in made if isinstance(each, Ban)] == [ALICE, BOB, "192.0.2.0/24"]


def test_a_decoy_leaves_the_failures_to_later_thresholds() -> None:
    """It bans as the first does; no step is named."""
    step = Threshold(findtime_ms=10 * MINUTE, maxretry=4, bantime_ms=None)
    under = trapped(steps=(step,), bantime_ms=SECOND)
    tries: list[Try] = [(ALICE, 0, "root"), (ALICE, 1, "admin"), (ALICE, 3, "root"), (ALICE, 4, "root")]
    first, last = (each for each in decided(under, tries) if isinstance(each, Ban))
    assert (first.step, first.count, first.until_ms) == (None, 1, T0 + 2 * SECOND)
    assert (last.step, last.count, last.until_ms) == (2, 4, None)


def test_a_jail_that_prolongs_does_so_for_a_decoy() -> None:
    """From then on it is as if banned anew."""
    ban, prolonged = decided(trapped(prolong=True), [(ALICE, 0, "admin"), (ALICE, 60, "oracle")])
    assert isinstance(ban, Ban)
    assert isinstance(prolonged, Prolong)
    assert prolonged.until_ms == T0 + 60 * SECOND + 20 * MINUTE


def test_a_decoy_bans_whichever_the_window() -> None:
    """What fail2ban's estimate was is used up; who goes on as a decoy is banned for longer."""
    tries: list[Try] = [(ALICE, 0, "root"), (ALICE, 1, "admin"), (ALICE, 60, "oracle"), (BOB, 61, "root")]
    found = decided(trapped(window="fail2ban"), tries)
    assert bans(found) == [(ALICE, 1, 1, True)]
    (prolonged,) = (each for each in found if isinstance(each, Prolong))
    assert prolonged.until_ms == T0 + 60 * SECOND + 20 * MINUTE


def test_whom_an_operator_allows_no_decoy_bans() -> None:
    """He may try."""
    fold = Fold(Decider(trapped()))
    word = Command(id="1", verb="allow", at_ms=T0, who="root", prefix=ALICE)
    fold.decider.apply(0, word)
    assert decided(fold, [(ALICE, 1, "admin")]) == []


def test_where_no_jail_asks_nobody_looks_at_users() -> None:
    """A frame stays columns; where one asks, so does every frame that names no decoy."""
    message = Message(0, 0, None, encode_frame([event((ALICE, 0, "admin"), 0)]), T0)
    for decoys in (frozenset[str](), frozenset({"oracle"})):
        frame = read_frame(message, {}, selective=False, not_after_ms=T0, decoys=decoys)
        (run,) = frame.runs
        assert isinstance(run, Run)
        assert isinstance(run.rows, Columns)


@pytest.mark.parametrize("decoys", [("",), ("x" * 300,), tuple(map(str, range(1_001)))])
def test_decoys_in_a_record_are_bounded(decoys: tuple[str, ...]) -> None:
    """As every name."""
    wire = trapped().to_wire()
    wire["jails"][0]["decoy_users"] = decoys
    if decoys == ("",):
        assert Rules.from_wire(wire).jails[0].decoy_users == decoys
        assert decided(Rules.from_wire(wire), [(ALICE, 0, ""), (ALICE, 1, None)]) == []
    else:
        with pytest.raises(InvalidMessage, match="decoy_users"):
            Rules.from_wire(wire)


def plainly(tries: Sequence[Try]) -> list[tuple[str, float, int, bool]]:
    """The same counted the plain way, of tries in the order of time."""
    found: list[tuple[str, float, int, bool]] = []
    times: dict[str, list[float]] = {}
    until: dict[str, float] = {}
    for ip, at_s, user in tries:
        if at_s < until.get(ip, 0):
            continue
        mine = [each for each in times.get(ip, []) if at_s - each <= 600] + [at_s]
        times[ip] = mine
        if user in DECOYS or len(mine) >= 3:
            found.append((ip, at_s, 1 if user in DECOYS else 3, user in DECOYS))
            until[ip], times[ip] = at_s + 1_200, []
    return found


TRIES = st.lists(
    st.tuples(
        st.sampled_from([ALICE, BOB, "198.51.100.7"]),
        st.integers(0, 400),
        st.sampled_from(["root", "git", None, "Admin", "admin", "oracle"]),
    ),
    max_size=40,
).map(lambda steps: [(ip, at_s * 10.0, user) for ip, at_s, user in sorted(steps, key=lambda each: each[1])])


@given(TRIES, st.integers(1, 9), st.integers(0, 40))
def test_it_is_as_counted_plainly_in_whatever_frames_and_through_a_restart(
    tries: list[Try], frame: int, cut: int
) -> None:
    """Whom it bans, when and for what; no frame, and no restart in between, changes it."""
    expected = plainly(tries)
    assert bans(decided(trapped(), tries)) == expected
    fold = Fold(Decider(trapped(), tracking=True))
    first = decided(fold, tries[:cut], frame=frame)
    loaded, _, marks = load_whole(dump_whole(fold.decider, {}, fold.marks), 0)
    for bucket in dump_buckets(fold.decider, fold.decider.touched).values():
        if bucket:
            load_bucket(loaded, bucket)
    loaded.resume()
    after = Fold(loaded, marks=marks)
    second: list[Decision] = []
    for start in range(cut, len(tries), frame):
        events = [event(each, nth) for nth, each in enumerate(tries[start : start + frame], start)]
        second += after.take(Message(0, start, None, encode_frame(events), events[-1].at_ms))[0]
    assert bans([*first, *second]) == expected
