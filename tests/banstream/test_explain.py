"""What `banstream explain` answers: the newest first, why, why not, and no more than the decider knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banstream.chains import chain_of, decided_about, decisions_about
from banstream.commands import explain
from banstream.commands.explain import explain_command, show_chain
from banstream.explaining import MOST_EVENTS, explained, first_ms, seen_of
from banstream.looking import Look
from banstream.show import instant
from banstream.so_far import Asked, Counted, deciding
from eventlog.contract import Append, EventLog
from eventlog.index import Index
from eventlog.memory import MemoryLog
from eventlog.sqlite import SqliteLog
from schemas.codec import encode, encode_frame
from schemas.records import Ban, Command, Enforcement, Unban
from schemas.rules import Jail, Rules, Threshold
from schemas.topics import COMMANDS, ENFORCEMENTS, EVENTS
from streams.decider import Decider
from streams.embedded import EmbeddedDecider
from streams.partition import Partition
from streams.runs import Run
from streams.window import reference
from tests.eventlog.subjects import FixedClock
from tests.streams.folding import ALICE, BOB, MINUTE, T0, failure

NETWORK = "192.0.2.0/24"
CAROL = "192.0.2.3"


class Decided:
    """A machine's log and its decider, at an instant."""

    def __init__(self, log: EventLog, clock: FixedClock, *jails: Jail) -> None:
        self.log, self.clock = log, clock
        self.decider = EmbeddedDecider(log, now_ms=clock)
        self.decider.catch_up()
        self.position = 0
        if jails:
            self.govern(*jails)

    def govern(self, *jails: Jail) -> None:
        """Put rules in force."""
        self.decider.govern(Rules(jails=jails))
        self.decider.catch_up()

    def fail(self, ip: str, times: int = 1, **fields: Any) -> None:
        """So many failures now, each in a message of its own."""
        for _ in range(times):
            self.position += 1
            fields.setdefault("at_ms", self.clock.now_ms)
            event = failure(ip, position=self.position, **fields)
            self.log.append([Append(EVENTS.name, encode(event))])

    def say(self, verb: str, prefix: str, **fields: Any) -> None:
        """An operator's word."""
        word = Command(
            id=str(self.clock.now_ms),
            verb=verb,  # type: ignore[arg-type]
            at_ms=self.clock.now_ms,
            who="ann",
            prefix=prefix,
            **fields,
        )
        self.log.append([Append(COMMANDS.name, encode(word))])
        self.turn()

    def turn(self, minutes: float = 0) -> None:
        """Decide all there is, keep the state, and let time pass."""
        self.decider.catch_up()
        self.decider.checkpoint()
        self.clock.now_ms += int(minutes * MINUTE)
        self.decider.tick()

    def log_decision(self, prefix: str) -> str:
        """The id of the last decision about a prefix."""
        return decisions_about(self.log, prefix)[-1].id

    def enforce(self, decision: str, outcome: str, host: str = "server", detail: str | None = None) -> None:
        """An enforcer's word about a ban."""
        record = Enforcement(
            decision=decision,
            prefix=ALICE,
            verb="ban",
            host=host,
            backend="null",
            outcome=outcome,  # type: ignore[arg-type]
            at_ms=self.clock.now_ms,
            detail=detail,
        )
        self.log.append([Append(ENFORCEMENTS.name, encode(record))])


SSHD = Jail(name="sshd", filters=("sshd",), maxretry=3, findtime_ms=10 * MINUTE, bantime_ms=20 * MINUTE)
WEB = Jail(
    name="web",
    filters=("nginx",),
    maxretry=3,
    kinds=("failed",),
    ignoreip=("198.51.100.0/24", "192.0.2.128/25"),
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    """The instant that everybody goes by."""
    made = FixedClock(T0)
    monkeypatch.setattr("banstream.explaining.now_ms", made)
    monkeypatch.setattr("banstream.commands.explain.now_ms", made)
    return made


@pytest.fixture
def made(tmp_path: Path, clock: FixedClock) -> Iterator[Decided]:
    """A log in a file, decided under two jails."""
    (tmp_path / "banstream.toml").write_text(
        f'[log]\nurl = "sqlite://{tmp_path}/log.db"\n[jail.sshd]\n', encoding="utf-8"
    )
    (tmp_path / "banstream.toml").chmod(0o600)
    with closing(SqliteLog.open(tmp_path / "log.db", now_ms=clock)) as log:
        yield Decided(log, clock, SSHD, WEB)


Say = Callable[..., str]


@pytest.fixture
def said(tmp_path: Path, made: Decided, capfd: pytest.CaptureFixture[str]) -> Say:
    """What `banstream explain` prints."""

    def run(*arguments: str, code: int = 0) -> str:
        made.decider.catch_up()
        got = explain_command.main(
            [*arguments, "--config", str(tmp_path / "banstream.toml")], standalone_mode=False
        )
        assert got == code
        return capfd.readouterr().out

    return run


def test_below_the_threshold_it_says_how_many_and_until_when(made: Decided, said: Say) -> None:
    """Two of three; one more bans; after the oldest is too old it is one."""
    made.fail(ALICE)
    made.turn(4)
    made.fail(ALICE)
    made.turn()
    text = said(ALICE, code=1)
    assert "not banned" in text
    until = explain._clock(T0 + 10 * MINUTE)  # noqa: SLF001 - as it writes instants
    assert f"2 of 3 in jail sshd, until {until}" in text
    assert "why not" not in text
    made.turn(7)
    assert "1 of 3 in jail sshd" in (text := said(ALICE, code=1))
    assert "why not  1 event, last" in text
    assert "jail sshd counts 3 within 10m: too long ago" in text
    made.turn(7)
    assert "of 3 in jail" not in said(ALICE, code=1)


def test_a_failure_counts_for_findtime_to_the_millisecond(made: Decided, said: Say) -> None:
    """As for the decider, which takes first and last that far apart for within it."""
    made.fail(ALICE)
    made.turn()
    made.clock.now_ms += 10 * MINUTE
    assert "1 of 3 in jail sshd" in said(ALICE, code=1)
    made.clock.now_ms += 1
    assert "of 3 in jail" not in said(ALICE, code=1)


def test_a_ban_whose_end_nobody_noticed_hides_nothing(made: Decided, said: Say) -> None:
    """What it used up is told, as after the unban that the decider will make of it."""
    made.fail(ALICE, 3)
    made.decider.catch_up()
    made.clock.now_ms += 21 * MINUTE
    assert "(that is past, and nobody has decided so yet)" in said(ALICE)


def test_it_names_the_entry_that_ignores_or_allows(made: Decided, said: Say) -> None:
    """Of the jail's ignoreip, or an operator's word with its reason; also before any event."""
    made.fail("198.51.100.7", 4, filter="nginx")
    made.turn()
    assert "4 events, last" in (text := said("198.51.100.7", code=1))
    assert "jail web ignores it: 198.51.100.0/24 is in its ignoreip" in text
    assert "jail web ignores it: 192.0.2.128/25 is in its ignoreip" in said("192.0.2.200", code=1)
    made.say("allow", "192.0.2.0/28", why="our office")
    made.fail(ALICE, 4)
    made.turn()
    assert "192.0.2.0/28 is allowed by ann: our office" in said(ALICE, code=1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "probed"}, "jail sshd does not count what was probed (its kinds: failed)"),
        ({"kind": "succeeded"}, "a login that succeeded is no failure"),
        ({"filter": "vsftpd"}, "no jail has their filter, vsftpd"),
        ({"filter": "dovecot", "host": "mx2"}, "jail mail takes only hosts mx1, and they are of mx2"),
        (
            {"filter": "dovecot", "host": "mx1", "labels": {"site": "ber"}},
            "jail mail takes only labels site=fra, and theirs are site=ber",
        ),
        (
            {"filter": "exim", "source": "file:/other"},
            "jail exim takes only sources file:/var/log/exim*, and they are of file:/other",
        ),
        ({"at_ms": T0 - 60 * MINUTE}, "too long ago"),
    ],
)
def test_it_says_why_events_do_not_count(
    made: Decided, said: Say, fields: dict[str, Any], reason: str
) -> None:
    """By kind, filter, host, labels, source, age."""
    mail = Jail(name="mail", filters=("dovecot",), hosts=("mx1",), labels={"site": "fra"})
    exim = Jail(name="exim", filters=("exim",), sources=("file:/var/log/exim*",))
    made.govern(SSHD, WEB, mail, exim)
    made.fail(ALICE, 2, **fields)
    made.turn()
    text = said(ALICE, code=1)
    assert reason in text
    assert "2 events" in text
    assert "so far" not in text


def test_it_says_what_is_not_decided_yet(
    made: Decided, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """How many messages wait, and that nobody decides; without rules, that events wait for them."""
    made.fail(ALICE)
    made.turn()
    made.decider.close()
    made.fail(ALICE, 5)
    made.fail(BOB)
    with closing(SqliteLog.open(tmp_path / "log.db", read_only=True)) as log, closing(Index(log)) as index:
        url = f"sqlite://{tmp_path}/log.db"
        answer = explained(Look(log, index, url), ALICE, last=3, shared=False)
    assert answer.deciding is not None
    assert answer.deciding.behind == 6
    assert [(each.jail.name, each.failures) for each in answer.counted] == [("sshd", 1)]
    assert [(each.text, each.events) for each in answer.reasons] == [("not decided yet", 5)]
    explain._show(answer, whole=False, by_id=False)  # noqa: SLF001 - while its decider stands still
    text = capfd.readouterr().out
    assert "partition 0 is 6 messages behind: what they tell is not decided yet" in text
    assert "1 of 3 in jail sshd" in text
    assert "`banstream up` is not running" in text


def test_without_rules_events_wait(clock: FixedClock, capfd: pytest.CaptureFixture[str]) -> None:
    """It says so."""
    log = MemoryLog(now_ms=clock)
    made = Decided(log, clock)
    made.fail(ALICE, 5)
    made.turn()
    with closing(Index(log)) as index:
        explain._show(  # noqa: SLF001 - a log that no url names
            explained(Look(log, index), ALICE, last=3, shared=True), whole=False, by_id=False
        )
    text = capfd.readouterr().out
    assert "partition 0 is 5 messages behind" in text
    assert "there are no rules in force yet" in text


def test_who_did_not_sign_is_named_with_the_reason(
    clock: FixedClock, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where all have to."""
    log = MemoryLog(now_ms=clock)
    made = Decided(log, clock)
    made.decider.govern(Rules(jails=(SSHD,), require_enrolled=True))
    made.fail(ALICE, 5, host="web1")
    made.turn()
    with closing(Index(log)) as index:
        explain._show(  # noqa: SLF001 - a log that no url names
            explained(Look(log, index), ALICE, last=3, shared=True), whole=False, by_id=False
        )
    assert "5 events, last" in (text := capfd.readouterr().out)
    assert "their sender, web1: nobody has signed it" in text


def test_an_address_inside_a_banned_network_is_banned(made: Decided, said: Say) -> None:
    """And a network says who inside it is banned."""
    made.fail(ALICE, 3)
    made.say("ban", NETWORK, duration_ms=60 * MINUTE, why="all of them")
    text = said(BOB)
    assert f"{BOB}: banned inside {NETWORK}, by jail manual until" in text
    assert "by ann: all of them" in text
    assert "by jail sshd" not in text
    made.say("unban", NETWORK)
    made.fail(CAROL, 3)
    made.turn()
    text = said(NETWORK)
    assert f"{NETWORK}: not banned" in text
    assert f"inside   {CAROL} is banned until" in text
    assert "BAN" in text


def test_the_newest_come_first_and_the_totals_before_all(made: Decided, said: Say) -> None:
    """Twelve bans: three decisions of 24 by default, all with --all, so many with --last."""
    for _ in range(12):
        made.fail(ALICE, 3)
        made.turn(21)
    text = said(ALICE, code=0)
    assert text.splitlines()[0] == f"{ALICE}: not banned"
    assert f"banned   12 times since {instant(T0)}" in text
    assert "the last 3 of 24 decisions, newest first" in text
    assert len(text.splitlines()) < 40
    kinds = [line.split()[2] for line in said(ALICE, "--last", "4").splitlines() if "(decision" in line]
    assert kinds == ["UNBAN", "BAN", "UNBAN", "BAN"]
    assert said(ALICE, "--all").count("(decision") == 24
    wires = [orjson.loads(line) for line in said(ALICE, "--json").splitlines()]
    assert [each["decision"]["type"] for each in wires] == ["ban", "unban"] * 12
    instants = [each["decision"]["at_ms"] for each in wires]
    assert instants == sorted(instants)
    assert wires[0]["about"]["bans"] == 12


def test_of_many_failures_the_first_and_the_last_are_shown(made: Decided, said: Say) -> None:
    """All of them with --all, or by the decision's id; a line that repeats is printed once."""
    made.govern(Jail(name="sshd", filters=("sshd",), maxretry=9, findtime_ms=10 * MINUTE))
    made.fail(ALICE, 9, line="the same line")
    made.turn()
    text = said(ALICE)
    assert text.count("  failure  ") == 3
    assert "and 6 failures between; --all shows them" in text
    assert text.count("the same line") == 1
    decision = made.log_decision(ALICE)
    for whole in (said(ALICE, "--all"), said(decision)):
        assert whole.count("  failure  ") == 9
        assert whole.count("the same line") == 1


def test_the_cause_of_an_expiry_is_time(made: Decided, said: Say) -> None:
    """Never the command at which it was noticed."""
    made.fail(ALICE, 3)
    made.decider.catch_up()
    made.clock.now_ms += 30 * MINUTE
    made.say("ban", "203.0.113.5")
    text = said(ALICE, "--last", "1")
    assert "UNBAN" in text
    assert "cause    its time was over" in text
    assert "203.0.113.5" not in text
    (wire,) = [orjson.loads(line) for line in said(ALICE, "--last", "1", "--json").splitlines()]
    assert wire["cause"] is None
    assert wire["decision"]["reason"] == "expired"


def test_it_says_which_host_does_not_enforce_it_and_where_it_failed(made: Decided, said: Say) -> None:
    """The last word of each host counts; each failure has the host that saw it."""
    made.fail(ALICE, 2, host="web1")
    made.fail(ALICE, 1, host="web2")
    made.turn()
    ban = made.log_decision(ALICE)
    made.enforce(ban, "refused", "edge1", "never banned: 192.0.2.1 is its own")
    made.enforce(ban, "failed", "edge2", "no such table")
    made.enforce(ban, "applied", "edge2")
    text = said(ALICE)
    assert "BUT      refused by edge1 null ban refused: never banned" in text
    assert "BUT      failed" not in text
    assert text.count("  web1  file:") == 2
    assert text.count("  web2  file:") == 1


def test_many_hosts_are_one_line_and_those_that_did_not_are_named(made: Decided, said: Say) -> None:
    """A fleet of fifty."""
    made.fail(ALICE, 3)
    made.turn()
    ban = made.log_decision(ALICE)
    for number in range(50):
        made.enforce(ban, "failed" if number == 7 else "applied", f"edge{number}")
    text = said(ALICE)
    assert "by 49 hosts, the last at" in text
    assert text.count("  enforced ") == 2
    assert "edge7 null ban failed" in text


def test_of_many_events_the_last_are_shown_and_the_same_line_once(made: Decided, said: Say) -> None:
    """Ninety thousand are not gone through; what is said of their number is true."""
    made.govern(WEB)
    frame = [failure(ALICE, T0, number) for number in range(MOST_EVENTS + 50)]
    made.log.append([Append(EVENTS.name, encode_frame(frame))])
    made.turn()
    text = said(ALICE, code=1)
    assert f"Its last events, of more than {MOST_EVENTS}:" in text
    assert f"({MOST_EVENTS} times)" in text
    assert text.count("failed    192.0.2.1") == 1
    assert f"banstream events {ALICE}" in text


def test_nothing_is_known_of_nobody(made: Decided, said: Say) -> None:
    """Whatever else the log has."""
    made.fail(ALICE, 3)
    made.turn()
    for subject in ("203.0.113.9", "203.0.113.0/24", "2001:db8::9", "0-99-0-0"):
        assert f"Nothing is known about {subject}: no decision, no event." in said(subject, code=1)
        assert said(subject, "--json", code=1) == ""


def test_what_the_demonstration_shows_is_the_same(made: Decided, capfd: pytest.CaptureFixture[str]) -> None:
    """Without an index that is kept."""
    made.fail(ALICE, 3)
    made.turn(21)
    decisions = decisions_about(made.log, ALICE)
    assert [type(each) for each in decisions] == [Ban, Unban]
    for decision in decisions:
        show_chain(chain_of(made.log, decision))
    text = capfd.readouterr().out
    assert text.count("  failure  ") == 3
    assert "cause    its time was over" in text


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("fail"), st.sampled_from([ALICE, BOB]), st.integers(-30, 30)),
        st.tuples(st.just("pass"), st.just(""), st.integers(0, 8)),
        st.tuples(st.just("forgive"), st.just(ALICE), st.just(0)),
        st.tuples(st.just("unban"), st.just(ALICE), st.just(0)),
        st.tuples(st.just("checkpoint"), st.just(""), st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(
    ACTIONS,
    st.builds(
        Jail,
        name=st.just("sshd"),
        filters=st.just(("sshd",)),
        maxretry=st.integers(1, 5),
        findtime_ms=st.just(10 * MINUTE),
        ipv4_prefix=st.sampled_from([24, 32]),
        prolong=st.booleans(),
        steps=st.sampled_from([(), (Threshold(maxretry=7, findtime_ms=60 * MINUTE, bantime_ms=MINUTE),)]),
    ),
    st.integers(0, 90),
)
def test_what_is_counted_so_far_is_what_the_decider_has(
    actions: list[tuple[str, str, int]], jail: Jail, later: int
) -> None:
    """One more failure bans exactly where as many as it says, and one, are maxretry; and until when."""
    clock = FixedClock(T0)
    log = MemoryLog(now_ms=clock)
    made = Decided(log, clock, jail)
    for verb, ip, number in actions:
        match verb:
            case "fail":
                made.fail(ip, at_ms=clock.now_ms + number * MINUTE // 10)
            case "pass":
                made.turn(number)
            case "checkpoint":
                made.decider.catch_up()
                made.decider.checkpoint()
            case "wait":
                made.decider.catch_up()
            case _:
                made.say(verb, ip)
    live, state = made.decider.partitions[0].decider, Partition.load(log).decider
    with closing(Index(log)) as index:
        look = Look(log, index)
        for decider, is_live in ((state, False), (live, True)):
            if is_live:
                made.decider.catch_up()
            now_ms = max(clock.now_ms, decider.now_ms) + later * MINUTE // 3
            decider.advance(now_ms)
            said = made.position if is_live else None
            since_ms = first_ms(seen_of(look, ALICE), decided_about(look, [ALICE]))
            asked = Asked(ALICE, now_ms, since_ms)
            known = deciding(look, asked, shared=False, said=said)
            assert known.trouble is None
            mine, its = known.partition.decider.jails["sshd"], decider.jails["sshd"]
            subject = its.subject_of(ALICE)
            assert mine.subjects.get(subject) == its.subjects.get(subject)
            assert mine.history.get(subject) == its.history.get(subject)
            check_counted(decider, known.counted(now_ms), now_ms)


def check_counted(decider: Decider, found: list[Counted], now_ms: int) -> None:
    """As many as it says and one more are a ban where they are maxretry; until then, and not longer."""
    jail = decider.jails["sshd"]
    if jail.held_by(jail.subject_of(ALICE)) is not None:
        return
    assert all(each.failures < each.maxretry for each in found)
    near = [each for each in found if each.failures == each.maxretry - 1]
    for each in near:
        assert each.until_ms is not None
        assert each.until_ms >= now_ms
        assert bans_with_one_more(deepcopy(decider), each.until_ms)
    assert bans_with_one_more(deepcopy(decider), now_ms) == (bool(near) or jail.maxretry == 1)


def bans_with_one_more(decider: Decider, at_ms: int) -> bool:
    """Whether a failure of ALICE at an instant is the deciding one."""
    row = ("failed", at_ms, ALICE, 0)
    decided = decider.fold(Run(reference(1 << 30), "sshd", [row]), lambda _: None)
    subject = decider.jails["sshd"].subject_of(ALICE)
    return any(isinstance(each, Ban) and each.prefix == subject for each in decided)
