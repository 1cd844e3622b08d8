"""`banstream rules` on the real broker: what is pushed holds from then on, for workers and for any replay."""

from __future__ import annotations

import json
import subprocess
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from banstream.reading import rules_in_force
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from schemas import topics
from schemas.bounds import MOST_RETRY
from schemas.codec import encode
from schemas.records import Ban, RulesChanged
from schemas.rules import Jail, Rules
from schemas.signatures import new_private, public_text
from schemas.topics import COMMANDS
from tests.banstream.service import BANSTREAM, eventually, service
from tests.broker import Cluster
from tests.streams.fleet import RULES, Fleet, fleet, now_ms, records
from tests.streams.folding import failure

ALICE, BOB = "192.0.2.1", "198.51.100.2"
STRICTER = RULES.replace("maxretry = 3", "maxretry = 2")


def ask(made: Fleet, *arguments: str, code: int | None = 0) -> list[dict[str, Any]]:
    """Run a command with --json; the objects that it prints."""
    command = [*BANSTREAM, *arguments, "--json", "--config", str(made.folder / "banstream.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert code in {None, done.returncode}, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def changes(made: Fleet, number: int) -> list[str]:
    """The versions put in force in a partition, in order; two workers at once may tell one twice."""
    found = records(made.log, COMMANDS.name, number)
    told = [each.version for each in found if isinstance(each, RulesChanged)]
    return [version for version, _ in groupby(told)]


@pytest.mark.real("kafka")
def test_a_push_changes_what_workers_decide_from_then_on(broker: Cluster, tmp_path: Path) -> None:
    """Two failures are no ban before the push and one after it, on each partition; a replay says the same."""
    with fleet(broker.url(2), tmp_path) as made:
        made.start("--workers", "2")
        made.governed()
        (first,) = ask(made, "rules", "list")
        assert (first["in_force"], first["own"]) == (True, True)
        at_ms = now_ms()
        made.send(
            [[failure(ip, at_ms, nth * 10 + n) for n in range(2)] for nth, ip in enumerate((ALICE, BOB))]
        )
        made.configure(STRICTER)
        (pushed,) = ask(made, "rules", "push")
        assert pushed["was"] == first["version"] != pushed["version"]
        assert pushed["changes"] == ["jail sshd: maxretry = 2, was 3"]
        made.send([[failure(ip, at_ms, nth * 10 + 5)] for nth, ip in enumerate((ALICE, BOB), start=2)])
        eventually(lambda: len(made.decisions()) == 2, f"both are banned; {made.said[-2000:]}")
        made.settled()
        for ban in made.decisions():
            assert isinstance(ban, Ban)
            assert (ban.rules, ban.count) == (pushed["version"], 2)
        (diff,) = ask(made, "rules", "diff", first["version"][:6], "config", code=1)
        assert diff["changes"] == pushed["changes"]
        (again,) = ask(made, "rules", "push")
        assert (again["pushed"], again["version"]) == (False, pushed["version"])
        for number in (0, 1):
            assert changes(made, number) == [first["version"], pushed["version"]]
        listed = ask(made, "rules", "list")
        assert [(each["version"], each["in_force"]) for each in listed] == [
            (pushed["version"], True),
            (first["version"], False),
        ]
        assert [bool(each["who"]) for each in listed] == [True, False], "the worker put the first in force"
        (back,) = ask(made, "rules", "roll-back", first["version"][:6])
        assert (back["pushed"], back["version"]) == (True, first["version"])
        assert back["changes"] == ["jail sshd: maxretry = 3, was 2"]
        assert changes(made, 0)[-1] == ask(made, "rules", "list")[0]["version"] == first["version"]
        assert ask(made, "rules", "roll-back", first["version"])[0]["pushed"] is False
        assert ask(made, "rules", "roll-back", "nosuch", code=2) == []
        ask(made, "rules", "push")
        made.configure(RULES)
        made.start()
        said = f"own={first['version']} in_force={pushed['version']}"
        eventually(lambda: said in made.said, "a worker with another file says so")
        assert "banstream rules push" in made.said
        ask(made, "rules", "push")
        assert changes(made, 0)[-1] == ask(made, "rules", "list")[0]["version"] == first["version"]


def test_rules_of_one_machine_are_compared(tmp_path: Path) -> None:
    """Versions by their beginning, the configuration on disk, other files; exit code 1 where they differ."""
    with service(tmp_path) as made:
        made.configure(enforcer='backend = "null"')
        made.start()
        made.configure("maxretry = 4\nincrement = {}", enforcer='backend = "null"')
        made.json("reload")
        new, old = (each["version"] for each in made.json("rules", "list"))
        grown = "increment = { factor = 1, forget = 30d }, was none"
        changes = ["jail sshd: maxretry = 4, was 3", f"jail sshd: {grown}"]
        expected = {"old": old, "new": new, "same": False, "changes": changes}
        assert made.json("rules", "diff", old[:5], new, code=1) == [expected]
        for same in (("config", "-"), ("-", new), (new, str(made.config)), (old, old)):
            (found,) = made.json("rules", "diff", *same)
            assert (found["same"], found["changes"]) == (True, [])
        other = tmp_path / "other.toml"
        other.write_text(made.config.read_text().replace("maxretry = 4", "bantime = -1"), encoding="utf-8")
        text = made.run("rules", "diff", "config", str(other), "--config", str(made.config), code=1).stdout
        assert text == "jail sshd: maxretry = 5, was 4\njail sshd: bantime = for ever, was 10m\n"
        said = made.run("rules", "diff", new, new, "--config", str(made.config)).stdout
        assert said == f"The same rules, {new}.\n"
        missing = made.run("rules", "diff", "nosuch", "-", "--config", str(made.config), code=2).stderr
        assert "no version begins with 'nosuch'; `banstream rules list` shows them" in missing
        other.write_text("[jail.sshd]\nmaxretry = 0\n", encoding="utf-8")
        wrong = made.run("rules", "diff", "-", str(other), "--config", str(made.config), code=2).stderr
        assert f"{other}: jail.sshd.maxretry = 0: expected" in wrong


@pytest.mark.real("kafka")
def test_rules_may_be_pushed_before_the_first_worker(broker: Cluster, tmp_path: Path) -> None:
    """Then they hold, whatever the first worker's own file says; a log that never had any lists none."""
    with fleet(broker.url(1), tmp_path) as made:
        assert ask(made, "rules", "list", code=1) == []
        made.configure(STRICTER)
        (pushed,) = ask(made, "rules", "push")
        assert (pushed["pushed"], pushed["was"]) == (True, None)
        made.configure(RULES)
        made.start()
        made.send([[failure(ALICE, now_ms(), n) for n in range(2)]])
        assert len(made.settled()) == 1
        assert changes(made, 0) == [pushed["version"]]


@pytest.mark.real("kafka")
def test_rules_of_before_let_anybody_count_until_others_are_pushed(broker: Cluster, tmp_path: Path) -> None:
    """What is in force stays so, and whoever looks says it; pushing shows that it changes."""
    with fleet(broker.url(1), tmp_path) as made:
        config = str(made.folder / "banstream.toml")
        (old,) = ask(made, "rules", "push")
        made.signed = True
        made.configure()
        warned = run("status", "--fleet", "--config", config).stderr
        assert "WARNING: decider.require_enrolled is false in the rules in force: anybody" in warned
        found = {each["found"]: each["verdict"] for each in ask(made, "doctor", code=None)}
        assert [said for said in found if "rules in force: anybody" in said]
        made.start()
        eventually(lambda: "Not only enrolled hosts count" in made.said, "the worker says so")
        (pushed,) = ask(made, "rules", "push")
        assert (pushed["was"], pushed["changes"]) == (
            old["version"],
            ["require_enrolled = True, was False"],
        )
        assert "no host is enrolled: no event counts" in run("rules", "push", "--config", config).stderr
        assert "no host is enrolled: no event counts" in run("status", "--fleet", "--config", config).stderr
        key = public_text(new_private())
        assert run("hosts", "enroll", "web1", "--public-key", key, "--config", config).returncode == 0
        for arguments in (("status", "--fleet"), ("rules", "push")):
            assert "WARNING" not in run(*arguments, "--config", config).stderr
        made.signed = False
        made.configure()
        assert (
            "WARNING: decider.require_enrolled is false in the rules in force: anybody"
            in run("rules", "push", "--config", config).stderr
        )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command, whatever its exit code."""
    return subprocess.run([*BANSTREAM, *arguments], capture_output=True, text=True, check=False)


def test_rules_are_pushed_to_a_fleet_only(tmp_path: Path) -> None:
    """On an embedded log `up` puts its own file in force, and the error says so; no jail is no rules."""
    with service(tmp_path) as made:
        said = made.run("rules", "push", "--config", str(made.config), code=2).stderr
        assert "`banstream up` puts its own file's rules in force" in said
        made.config.write_text('[log]\nurl = "kafka://localhost:1"\n[jail.sshd]\nenabled = false\n')
        assert "no jail is enabled" in made.run("rules", "push", "--config", str(made.config), code=2).stderr


def test_rules_of_before_do_not_keep_others_from_being_pushed() -> None:
    """Whatever bounds were broken by what is in force: it is compared with, and replaced."""
    old = Rules(jails=(Jail(name="sshd", filters=("sshd",), maxretry=2**62),))
    log = MemoryLog()
    record = encode(RulesChanged(version="0", at_ms=0, rules=old.to_wire()))
    log.append([Append(topics.RULES.name, record, key="0")])
    found = rules_in_force(log)
    assert found is not None
    assert found.jails[0].maxretry == MOST_RETRY
