"""Rules on trial: whom they must not ban, what each of many settings would do, where two differ."""

from __future__ import annotations

import lzma
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from banstream.known_good import KnownGood
from banstream.sweeping import settings_of
from banstream.trial import ReplayCounts, over_files
from banstream.weighing import Weighing
from producers.filters import load_filter
from producers.offline import match_files
from schemas.errors import ConfigError
from schemas.records import Ban
from schemas.rules import Escalation, Jail, Rules
from tests.banstream.service import Service, service
from tests.banstream.test_timeline import Page

GOOD = "198.51.100.4"
BAD = "203.0.113.9"


def line(second: int, ip: str, word: str = "Failed", user: str = "root") -> str:
    """A line of sshd so many seconds into a day."""
    clock = f"2026-11-23T{second // 3_600:02d}:{second // 60 % 60:02d}:{second % 60:02d}+00:00"
    return f"{clock} host sshd[{second}]: {word} password for {user} from {ip} port 4000 ssh2\n"


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Service]:
    """Nothing runs: who logs in fails four times before, an attacker six times."""
    with service(tmp_path) as made:
        made.configure("maxretry = 3")
        good = [line(60 + nth, GOOD, user="bob") for nth in range(4)] + [line(70, GOOD, "Accepted", "bob")]
        bad = [line(1_000 + 30 * nth, BAD) for nth in range(6)]
        made.log.write_text("".join(good + bad), encoding="utf-8")
        yield made


def test_a_change_that_would_ban_a_known_good_is_refused(quiet: Service) -> None:
    """By whoever logged in, and by a file; rules that spare him pass, and those on trial count alone."""
    said = quiet.run(
        "replay", "--known-good", "successes", "--config", str(quiet.config), str(quiet.log), code=1
    )
    assert f"KNOWN GOOD  {GOOD} would be banned by sshd" in said.stdout
    good = quiet.folder / "good.txt"
    good.write_text("# the office\n198.51.100.0/24  # all of it\n", encoding="utf-8")
    told = quiet.json("replay", "--known-good", str(good), str(quiet.log), code=1)[-1]
    assert (told["kind"], told["good"], told["prefix"]) == ("known_good", "198.51.100.0/24", GOOD)
    assert told["why"] == f"{good}, line 2"
    laxer = quiet.folder / "laxer.toml"
    laxer.write_text(quiet.config.read_text().replace("maxretry = 3", "maxretry = 5"), encoding="utf-8")
    quiet.json("replay", "--diff", str(laxer), "--known-good", str(good), str(quiet.log), code=0)
    good.write_text("198.51.100.4\nbob.example.org\n", encoding="utf-8")
    wrong = quiet.run(
        "replay", "--known-good", str(good), "--config", str(quiet.config), str(quiet.log), code=2
    )
    assert "line 2: 'bob.example.org': expected an address or prefix" in wrong.stderr


def test_a_sweep_shows_every_setting_and_which_nobody_should_choose(quiet: Service) -> None:
    """As a table and in JSON; what makes no sense is refused with what would."""
    found = quiet.json("replay", "--sweep", "maxretry=3..6", "--sweep", "findtime=1m,1h", str(quiet.log))
    assert len(found) == 8
    by_setting = {(each["settings"]["maxretry"], each["settings"]["findtime_ms"]): each for each in found}
    assert by_setting[3, 3_600_000] == {
        "kind": "sweep",
        "settings": {"maxretry": 3, "findtime_ms": 3_600_000},
        "bans": 2,
        "attackers": 1,
        "caught": 1,
        "false_bans": 1,
        "let_through": 3,
        "dominated": False,
    }
    best = by_setting[5, 3_600_000]
    assert (best["caught"], best["false_bans"], best["let_through"], best["dominated"]) == (1, 0, 5, False)
    assert by_setting[6, 3_600_000]["dominated"]
    assert by_setting[6, 60_000]["caught"] == 0
    command = ("replay", "--config", str(quiet.config), "--sweep", "maxretry=3..6", str(quiet.log))
    assert "dominated" in quiet.run(*command).stdout


def test_a_difference_is_told_by_the_failures_that_make_it(quiet: Service) -> None:
    """Sooner and later, longer, by one alone; in files that are packed, too, and in what people read."""
    other = quiet.folder / "other.toml"
    text = quiet.config.read_text().replace("maxretry = 3", 'maxretry = 5\nbantime = "1h"')
    other.write_text(text, encoding="utf-8")
    packed = quiet.folder / "auth.log.xz"
    packed.write_bytes(lzma.compress(quiet.log.read_bytes()))
    found = {each["prefix"]: each for each in quiet.json("replay", "--diff", str(other), str(packed))}
    assert (found[GOOD]["how"], found[GOOD]["change"]) == (["old only"], "removed")
    assert found[BAD]["how"] == ["later", "longer"]
    assert found[BAD]["other_first_ms"] - found[BAD]["first_ms"] == 60_000
    lines = quiet.log.read_text().splitlines()
    assert [each["line"] for each in found[BAD]["failures"]] == lines[5:8]
    assert {each["source"] for each in found[BAD]["failures"]} == {str(packed)}
    command = ("replay", "--config", str(other), "--diff", str(quiet.config), str(quiet.log))
    said = quiet.run(*command).stdout
    assert f"added    {GOOD}  sshd  banned 0 times, then 1: new only" in said
    assert "sooner by 1m, shorter by" in said
    assert lines[2] in said


def test_a_replay_tells_alerts(quiet: Service) -> None:
    """Of a minute that is not as the two hours before it."""
    quiet.configure("maxretry = 9\n[jail.sshd.behaviour]\nleast = 20")
    usual = [line(60 * nth, f"192.0.2.{nth}") for nth in range(120)]
    flood = [line(7_200 + nth, f"198.51.100.{nth}") for nth in range(40)]
    quiet.log.write_text("".join(usual + flood), encoding="utf-8")
    told = [each for each in quiet.json("replay", str(quiet.log), code=1) if each["kind"] == "alert"]
    assert {(each["jail"], each["measure"]) for each in told} >= {("sshd", "addresses")}
    assert (
        "ALERT     sshd" in quiet.run("replay", "--config", str(quiet.config), str(quiet.log), code=1).stdout
    )


def test_a_replay_of_some_events_alone(quiet: Service) -> None:
    """Of a host or a filter; of none that any jail counts it says so."""
    assert len(quiet.json("replay", "--host", "host", "--filter", "sshd", str(quiet.log))) == 3
    assert not quiet.json("replay", "--host", "web9", str(quiet.log), code=1)
    command = ("replay", "--config", str(quiet.config), str(quiet.log))
    assert "no jail counts events of nginx" in quiet.run(*command, "--filter", "nginx", code=2).stderr
    assert "--source is of the event log" in quiet.run(*command, "--source", "file:/x", code=2).stderr


def test_a_report_is_a_page_that_loads_nothing(quiet: Service) -> None:
    """Of a difference and of a sweep; a line of hostile text stays text."""
    hostile = '</td><img src=x onerror=alert(1)>"\x1b[2J'
    lines = [line(20_000 + nth, "192.0.2.66", user=hostile) for nth in range(3)]
    with quiet.log.open("a", encoding="utf-8") as log:
        log.writelines(lines)
    other = quiet.folder / "other.toml"
    other.write_text(quiet.config.read_text().replace("maxretry = 3", "maxretry = 4"), encoding="utf-8")
    report = quiet.folder / "report.html"
    quiet.json("replay", "--diff", str(other), "--report", str(report), str(quiet.log))
    page = Page(report.read_text(encoding="utf-8"))
    assert not page.loads
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert any("onerror=alert(1)" in each for each in page.text)
    assert "rect" in {tag for tag, _ in page.tags}
    (policy,) = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    swept = ("--sweep", "maxretry=3..5", "--sweep", "findtime=1m,1h")
    quiet.json("replay", *swept, "--report", str(report), str(quiet.log))
    page = Page(report.read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.tags].count("polyline") == 6
    assert not page.loads


def test_what_cannot_be_swept_is_refused() -> None:
    """With what would do."""
    rules = Rules(jails=(Jail(name="sshd", filters=("sshd",)),))
    for wrong, told in (
        ("maxtry=3", "keys are maxretry, findtime, bantime"),
        ("maxretry=6..3", "expected FIRST..LAST"),
        ("maxretry=three", "expected a whole number"),
        ("nginx.maxretry=3", "no such jail"),
        ("maxretry=1..999", "at most 400 of them"),
    ):
        with pytest.raises(ConfigError, match=told):
            settings_of(rules, [wrong])
    with pytest.raises(ConfigError, match="900 settings"):
        settings_of(rules, ["maxretry=1..30", "sshd.maxretry=1..30"])


@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_says_what_each_setting_alone_would(tmp_path: Path, seed: int) -> None:
    """Whatever the lines, with networks banned too: each figure is counted again from single replays."""
    chance = random.Random(seed)
    seconds = sorted(chance.randrange(20_000) for _ in range(600))
    rows = [
        (second, f"203.0.{chance.randrange(3)}.{chance.randrange(12)}", chance.random() < 0.02)
        for second in seconds
    ]
    log = tmp_path / "auth.log"
    log.write_text("".join(line(at, ip, "Accepted" if good else "Failed") for at, ip, good in rows))
    jail = Jail(name="sshd", filters=("sshd",), escalate=Escalation(addresses=3))
    grid = settings_of(Rules(jails=(jail,)), ["maxretry=2..5", "findtime=1m,10m,1h"])
    weighing = Weighing([each.rules for each in grid], KnownGood())
    replayed = list(_replayed([each.rules for each in grid], log, weighing))
    good = {ip for _, ip, is_good in rows if is_good}
    expected = [_counted(bans, rows, good) for bans in replayed]
    attackers = set[str]().union(*(met for _, _, met in expected))
    failed = Counter(ip for _, ip, is_good in rows if not is_good)
    for outcome, (bans, wrong, met), setting in zip(weighing.outcomes(), expected, grid, strict=True):
        (alone,) = _replayed([setting.rules], log, None)
        assert outcome.bans == bans == len(alone)
        assert outcome.false_bans == wrong
        assert (outcome.caught, outcome.attackers) == (len(met), len(attackers))
        assert outcome.let_through == sum(met.get(ip, failed[ip]) for ip in attackers)


def _replayed(rules: list[Rules], log: Path, weighing: Weighing | None) -> Iterator[list[Ban]]:
    """The bans under each of some rules."""
    streams = [match_files([str(log)], [load_filter("sshd")], batch_bytes=3_000)]
    watch = None if weighing is None else weighing.see
    found: list[list[Ban]] = [[] for _ in rules]
    for decided in over_files(rules, [load_filter("sshd")], streams, ReplayCounts(), watch=watch):
        for bans, decisions in zip(found, decided, strict=True):
            bans += [each for each in decisions if isinstance(each, Ban)]
    yield from found


def _counted(
    bans: list[Ban], rows: list[tuple[int, str, bool]], good: set[str]
) -> tuple[int, int, dict[str, int]]:
    """Bans, false ones, and of each attacker how often he had failed by his first: by the lines' places."""
    starts, at = [], 0
    for second, ip, is_good in rows:
        starts.append(at)
        at += len(line(second, ip, "Accepted" if is_good else "Failed"))
    wrong, met = 0, dict[str, int]()
    for ban in bans:
        inside = [
            ip for _, ip, _ in rows if ip == ban.prefix or f"{ip.rpartition('.')[0]}.0/24" == ban.prefix
        ]
        wrong += any(ip in good for ip in inside)
        place = int(ban.id.split("-")[1]) << 20 | int(ban.id.split("-")[2])
        for ip in {each for each in inside if each not in good}:
            so_far = sum(
                each == ip and not is_good and start <= place
                for start, (_, each, is_good) in zip(starts, rows, strict=True)
            )
            met.setdefault(ip, so_far)
    return len(bans), wrong, met
