"""The operator's commands and the looks, while `up` runs and while it does not."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Ban, Command, Enforcement, Unban
from schemas.topics import COMMANDS, DECISIONS, ENFORCEMENTS
from tests.banstream.service import Service, eventually, say, service
from tests.namespaces import fleet

pytestmark = pytest.mark.real("nftables")

ATTACKER, OTHER = "203.0.113.66", "198.51.100.7"


@pytest.fixture
def off(tmp_path: Path) -> Iterator[Service]:
    """A configured service in a namespace of its own, asked for by ann; not running."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        made.env["SUDO_USER"] = "ann"
        yield made


@pytest.fixture
def up(off: Service) -> Service:
    """The same, running."""
    off.start()
    return off


def bans_of(up: Service, ip: str) -> list[Ban]:
    """The bans ever decided of an address."""
    return [ban for ban in up.bans() if ban.prefix == ip]


def wait_for_events(up: Service, count: int) -> None:
    """Wait until as many events are in the log."""
    eventually(lambda: len(up.events()) >= count, f"{count} events")


def test_ban_and_unban_are_in_force_within_a_second(up: Service) -> None:
    """The answer comes when the firewall has it: `applied`; the record has the operator and the reason."""
    for prefix in ("192.0.2.7", "198.51.100.0/24", "2001:db8:7::/64"):
        assert "applied" in say(up, "ban", prefix, "--for", "1h", "--why", "ticket 4711")
        assert prefix in up.elements()
    ban = up.bans()[0]
    assert (ban.prefix, ban.jail, ban.count, ban.who, ban.why) == (
        *("192.0.2.7", "manual", 0, "ann"),
        "ticket 4711",
    )
    assert ban.until_ms == ban.at_ms + 3_600_000
    assert "applied" in say(up, "unban", "192.0.2.7", "--why", "a mistake")
    assert up.elements() == {"198.51.100.0/24", "2001:db8:7::/64"}
    (unban,) = [each for each in up.kept(DECISIONS) if isinstance(each, Unban)]
    assert (unban.reason, unban.who, unban.why, unban.ban) == ("operator", "ann", "a mistake", ban.id)
    given = [each.at_ms for each in up.kept(COMMANDS) if isinstance(each, Command)]
    enforced = [each.at_ms for each in up.kept(ENFORCEMENTS) if isinstance(each, Enforcement)]
    assert all(0 <= done - asked < 1_000 for asked, done in zip(given, enforced, strict=True))


def test_what_changes_nothing_says_so(up: Service) -> None:
    """A second ban for ever changes nothing and is no failure; an unban of nobody is exit code 1."""
    say(up, "ban", OTHER)
    assert "nothing to change" in say(up, "ban", OTHER)
    (again,) = up.json("ban", OTHER)
    assert (again["outcome"], again["command"]["who"]) == ("unchanged", "ann")
    (prolonged,) = up.json("ban", OTHER, "--for", "1h")
    assert (prolonged["outcome"], prolonged["decision"]["type"]) == ("applied", "prolong")
    assert "nothing to change" in say(up, "unban", "192.0.2.99", code=1)
    assert up.elements() == {OTHER}


def test_a_refused_ban_says_why_and_never_reaches_the_firewall(up: Service) -> None:
    """Loopback, the host's own address, and a network around it: exit code 1, `refused`, the reason."""
    assert up.host is not None
    for prefix in ("127.0.0.1", up.host.ip4, "10.77.0.0/16"):
        (answer,) = up.json("ban", prefix, code=1)
        assert answer["outcome"] == answer["enforcement"]["outcome"] == "refused"
        assert "never banned" in answer["enforcement"]["detail"]
    assert "refused: never banned" in say(up, "ban", "::1", code=1)
    assert up.elements() == set()


def test_unban_all_frees_everyone(up: Service) -> None:
    """Bans of jails and of operators, addresses and networks; an answer for each."""
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "the ban")
    say(up, "ban", "192.0.2.0/24")
    answers = up.json("unban", "--all", "--why", "new rules")
    assert {(each["decision"]["prefix"], each["outcome"]) for each in answers} == {
        (ATTACKER, "applied"),
        ("192.0.2.0/24", "applied"),
    }
    assert up.elements() == set()
    assert say(up, "bans", code=1) == "No bans in force.\n"


def test_unban_of_a_network_frees_all_inside_and_nobody_else(up: Service) -> None:
    """An address inside it is freed, a neighbour outside is not."""
    for ip in ("192.0.2.1", "192.0.2.200", OTHER):
        say(up, "ban", ip)
    assert say(up, "unban", "192.0.2.0/24").count("applied") == 2
    assert up.elements() == {OTHER}


def test_forgive_forgets_the_failures_so_far(up: Service) -> None:
    """Two failures forgiven, two more do not ban, the third after does, for three."""
    up.fail(ATTACKER, 2)
    wait_for_events(up, 2)
    assert say(up, "forgive", ATTACKER) == "done: failures forgotten: 2 in jail sshd\n"
    assert say(up, "forgive", ATTACKER) == f"done: no failure of {ATTACKER} was counted\n"
    up.fail(ATTACKER, 2)
    wait_for_events(up, 4)
    assert up.elements() == set()
    up.fail(ATTACKER)
    eventually(lambda: up.elements() == {ATTACKER}, "the ban")
    assert [ban.count for ban in bans_of(up, ATTACKER)] == [3]


def test_allow_frees_and_protects_until_it_is_taken_back(up: Service) -> None:
    """A ban inside the allowed network ends, failures there ban nobody; `--remove` takes it back."""
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "the ban")
    (answer,) = up.json("allow", "203.0.113.0/24")
    assert (answer["decision"]["reason"], answer["outcome"]) == ("allowed", "applied")
    assert up.elements() == set()
    up.fail(ATTACKER, 5)
    up.fail(OTHER, 3)
    eventually(lambda: up.elements() == {OTHER}, "the other's ban")
    assert len(bans_of(up, ATTACKER)) == 1
    assert say(up, "allow", "203.0.113.0/24", "--remove") == "done\n"
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {OTHER, ATTACKER}, "the ban after the allow")


def test_who_is_allowed_is_listed(up: Service) -> None:
    """By whom, why, until when; what was taken back or has ended no more; the configuration's besides."""
    say(up, "allow", ATTACKER, "--for", "1h", "--why", "the auditors")
    say(up, "allow", OTHER)
    say(up, "allow", OTHER, "--remove")
    say(up, "allow", "192.0.2.9", "--for", "1s")
    eventually(lambda: len(up.json("allow", "--list")) < 4, "the last one has ended")
    word, *others = up.json("allow", "--list")
    assert (word["prefix"], word["who"], word["why"]) == (ATTACKER, "ann", "the auditors")
    assert word["until_ms"] == word["at_ms"] + 3_600_000
    assert {each["where"] for each in others} == {"ignoreip of every jail"}
    text = say(up, "allow", "--list")
    assert text.startswith("1 prefix allowed by operators\n")
    assert "127.0.0.0/8" in text
    assert "--list stands alone" in up.run("allow", ATTACKER, "--list", code=2).stderr
    assert "an address or prefix is needed" in up.run("allow", code=2).stderr


def test_an_allow_for_a_while_ends_by_itself(up: Service) -> None:
    """`allow --for 1s` protects for a second and no longer."""
    say(up, "allow", ATTACKER, "--for", "1s")

    def attacked() -> bool:
        up.fail(ATTACKER, 3)
        return ATTACKER in up.elements()

    eventually(attacked, "the ban after the allow")
    (allowed,) = [each for each in up.kept(COMMANDS) if isinstance(each, Command)]
    assert bans_of(up, ATTACKER)[0].at_ms >= allowed.at_ms + 1_000


def test_commands_while_up_is_down_are_applied_at_its_start_before_anything_else(off: Service) -> None:
    """They are recorded; at the start bans are in force at once, and allows hold for the backlog."""
    off.start()
    assert off.stop() == 0
    assert "recorded" in say(off, "ban", "192.0.2.7", "--why", "while down")
    (answer,) = off.json("allow", ATTACKER)
    assert (answer["outcome"], answer["command"]["verb"]) == ("recorded", "allow")
    off.fail(ATTACKER, 5)
    off.fail(OTHER, 3)
    off.start()
    assert "192.0.2.7" in off.elements()
    assert off.errors.splitlines()[-1].endswith("in_force=1") or "in_force=1\n" in off.errors
    eventually(lambda: OTHER in off.elements(), "the ban of the backlog")
    assert off.elements() == {"192.0.2.7", OTHER}


def test_a_ban_before_the_first_start_is_in_force_from_the_start(off: Service) -> None:
    """Also one in a jail's name, which no rule in the log knows yet: it is the operator's then."""
    for jail in ("manual", "sshd"):
        assert "recorded" in say(off, "ban", f"192.0.2.{len(jail)}", "--jail", jail)
    off.start()
    assert off.elements() == {"192.0.2.6", "192.0.2.4"}
    assert {ban.jail for ban in off.bans()} == {"manual"}


def test_commands_after_a_crash_are_recorded_and_say_so(up: Service) -> None:
    """Right after `kill -9`, when `up` seemed to run a moment ago, nobody is told it is applied."""
    assert up.process is not None
    up.process.kill()
    up.process.wait()
    assert "recorded" in say(up, "ban", "192.0.2.7")
    assert not up.json("status", code=1)[0]["running"]
    up.start()
    assert up.elements() == {"192.0.2.7"}


def test_status_shows_jails_sources_and_the_firewall(up: Service) -> None:
    """For people and as JSON; of one jail when it is named; exit code 1 when `up` is down."""
    up.fail(ATTACKER, 3)
    up.fail(OTHER)
    wait_for_events(up, 4)
    eventually(lambda: jail_of(up)["banned"] == 1, "the status knows the ban")
    assert {key: jail_of(up)[key] for key in ("failing", "failures", "bans")} == {
        "failing": 1,
        "failures": 4,
        "bans": 1,
    }
    (facts,) = up.json("status", "manual")
    assert set(facts["decider"]["jails"]) == {"manual"}
    assert (facts["running"], facts["enforcer"]["backend"]) == (True, "nftables")
    assert facts["enforcer"]["in_force"] == 1
    text = say(up, "status")
    for said in ("running (process", "sshd", f"file:{up.log} with filter sshd", "nftables", "(own address)"):
        assert said in text
    assert (
        "there is no jail 'nosuch'; known are"
        in up.run("status", "nosuch", "--config", str(up.config), code=2).stderr
    )
    assert up.stop() == 0
    assert "not running" in say(up, "status", code=1)


def jail_of(up: Service) -> dict[str, Any]:
    """The counts of the sshd jail, as status has them."""
    counts: dict[str, Any] = up.json("status", "sshd")[0]["decider"]["jails"]["sshd"]
    return counts


def test_bans_and_events_list_what_is_there(up: Service) -> None:
    """`bans` has every hold, `events` every line that counted, of one address, since an instant, the last."""
    up.fail(ATTACKER, 3)
    up.fail(OTHER, 2)
    wait_for_events(up, 5)
    say(up, "ban", "192.0.2.0/24")
    text = say(up, "bans")
    assert "2 bans in force" in text
    assert "for ever" in text
    assert {each["prefix"]: each["holds"][0]["jail"] for each in up.json("bans")} == {
        ATTACKER: "sshd",
        "192.0.2.0/24": "manual",
    }
    assert [each["ip"] for each in up.json("events", OTHER)] == [OTHER, OTHER]
    assert say(up, "events", OTHER).count(f"failed    {OTHER}  sshd user=root") == 2
    assert [each["type"] for each in up.json("events", "--last", "1")] == ["auth"]
    assert len(up.json("events", "--since", "1h")) == 5
    assert up.json("events", "--since", "2099-01-01", code=1) == []
    assert up.json("events", "192.0.2.99", code=1) == []


def test_watch_shows_events_and_decisions_as_they_come(up: Service) -> None:
    """For people and as JSON, from its start on; Ctrl-C ends it with exit code 0."""
    up.fail(OTHER)
    wait_for_events(up, 1)
    text = [line.split() for line in watched(up, ATTACKER)]
    assert [(words[2], words[3]) for words in text] == [*([("failed", ATTACKER)] * 3), ("BAN", ATTACKER)]
    wire = [json.loads(line) for line in watched(up, "203.0.113.2", "--json")]
    assert [(each["type"], each.get("ip") or each["prefix"]) for each in wire] == [
        *([("auth", "203.0.113.2")] * 3),
        ("ban", "203.0.113.2"),
    ]


def watched(up: Service, attacker: str, *form: str) -> list[str]:
    """What watch prints while an address is banned."""
    output, errors = up.folder / f"{attacker}.out", up.folder / f"{attacker}.err"
    with output.open("w", encoding="utf-8") as stdout, errors.open("w", encoding="utf-8") as stderr:
        watch = up.popen("watch", *form, "--config", str(up.config), stdout=stdout, stderr=stderr)
        with watch:
            eventually(lambda: "Watching" in errors.read_text(encoding="utf-8"), "watch is there")
            up.fail(attacker, 3)
            eventually(lambda: "ban" in output.read_text(encoding="utf-8").lower(), "the ban is shown")
            watch.send_signal(signal.SIGINT)
        assert watch.returncode == 0
    return output.read_text(encoding="utf-8").splitlines()


def test_explain_has_the_whole_chain(up: Service) -> None:
    """The lines, the rule, the decision, the enforcement; by address and by decision; then the unban."""
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "the ban")
    (chain,) = up.json("explain", ATTACKER)
    assert [each["event"]["ip"] for each in chain["evidence"]] == [ATTACKER] * 3
    assert (chain["jail"]["name"], chain["jail"]["maxretry"]) == ("sshd", 3)
    assert [(each["verb"], each["outcome"]) for each in chain["enforcements"]] == [("ban", "applied")]
    assert up.json("explain", chain["decision"]["id"]) == [chain]
    text = say(up, "explain", ATTACKER)
    lines = up.log.read_text(encoding="utf-8").splitlines()
    for said in (*lines, "sshd: 3 failures within 10m ban for 10m", "nftables ban applied"):
        assert said in text
    say(up, "unban", ATTACKER, "--why", "he called")
    _, unbanned = up.json("explain", ATTACKER)
    assert (unbanned["decision"]["type"], unbanned["cause"]["who"]) == ("unban", "ann")
    assert [(each["verb"], each["outcome"]) for each in unbanned["enforcements"]] == [("unban", "applied")]
    text = say(up, "explain", ATTACKER)
    assert "nftables unban applied" in text
    assert "ann" in text
    assert "he called" in text


def test_explain_of_a_command_and_of_nothing(up: Service) -> None:
    """An operator's ban names who and why; without a decision the events are told; exit code 1 then."""
    say(up, "ban", "192.0.2.7", "--why", "ticket 4711")
    text = say(up, "explain", "192.0.2.7")
    for said in ("by ann", "ticket 4711", "(before any event)", "nftables ban applied"):
        assert said in text
    up.fail(OTHER)
    wait_for_events(up, 1)
    assert f"No decision about {OTHER}. Its last events, of 1:" in say(up, "explain", OTHER, code=1)
    (known,) = up.json("explain", OTHER, code=1)
    assert known["event"]["ip"] == OTHER
    assert "Nothing is known about 192.0.2.99" in say(up, "explain", "192.0.2.99", code=1)
    assert "Nothing is known about 0-99999-0-0" in say(up, "explain", "0-99999-0-0", code=1)
    assert up.json("explain", "192.0.2.99", code=1) == []


def test_several_at_once_and_a_jails_own_bantime(up: Service) -> None:
    """With --jail the bantime of the rules in force, whatever the file says meanwhile; -1 is for ever."""
    up.configure("maxretry = 3\nbantime = 'broken'")
    said = say(up, "ban", "192.0.2.1", "192.0.2.2", "192.0.2.1", "--jail", "sshd").splitlines()
    assert [line.split()[1] for line in said] == ["192.0.2.1", "192.0.2.2"]
    assert up.elements() == {"192.0.2.1", "192.0.2.2"}
    say(up, "ban", "192.0.2.3", "--jail", "sshd", "--for", "-1")
    assert [None if ban.until_ms is None else ban.until_ms - ban.at_ms for ban in up.bans()] == [
        *(600_000, 600_000, None)
    ]
    assert "no such jail" in up.run("ban", OTHER, "--jail", "web", "--config", str(up.config), code=2).stderr
    assert say(up, "unban", "192.0.2.1", "192.0.2.9", "192.0.2.2", code=1).count("applied") == 2
    assert up.elements() == {"192.0.2.3"}


def test_a_ban_of_whom_a_jail_ignores_or_an_operator_allows_says_so(up: Service) -> None:
    """He is banned all the same; another is banned without a word."""
    up.configure('maxretry = 3\nignoreip = ["192.0.2.0/24"]')
    up.send(signal.SIGHUP)
    eventually(lambda: "Configuration reloaded" in up.errors, "the rules are taken")
    said = say(up, "ban", "192.0.2.5")
    assert "192.0.2.5 lies in 192.0.2.0/24 (ignoreip of sshd)" in said
    say(up, "allow", OTHER)
    (answer,) = up.json("ban", OTHER, "--for", "1h")
    assert [each["by"] for each in answer["notes"]] == ["`banstream allow` by ann"]
    assert "NOTE" not in say(up, "ban", ATTACKER)
    assert up.elements() == {"192.0.2.5", OTHER, ATTACKER}


def test_an_unban_says_which_wider_prefix_holds_the_address_still(up: Service) -> None:
    """Exit code 1, whether or not the address itself was banned; and how to lift it."""
    say(up, "ban", "192.0.2.0/24", "2001:db8::/32")
    said = say(up, "unban", "192.0.2.22", code=1)
    assert "192.0.2.22 lies inside 192.0.2.0/24 (manual, for ever)" in said
    assert "`banstream unban 192.0.2.0/24`" in said
    say(up, "ban", "2001:db8::7")
    (answer,) = up.json("unban", "2001:db8::7", code=1)
    assert (answer["outcome"], answer["notes"][0]["by"]) == ("applied", "2001:db8::/32")
    assert "STILL" not in say(up, "unban", "192.0.2.0/24")


def test_who_only_observes_says_that_a_ban_is_observed(off: Service) -> None:
    """It is decided, nothing is enforced, and why: exit code 1."""
    off.configure(enforcer='backend = "null"')
    off.start()
    said = say(off, "ban", ATTACKER, code=1)
    assert "decided, and only observed: nothing is enforced here (the null backend is configured" in said


def test_an_unban_in_one_jails_name_says_which_others_hold(up: Service) -> None:
    """Exit code 1: the address is banned still; a jail that is gone may let go of what it holds."""
    say(up, "ban", ATTACKER)
    say(up, "ban", ATTACKER, "--jail", "sshd")
    said = say(up, "unban", ATTACKER, "--jail", "manual", code=1)
    assert f"STILL BANNED: {ATTACKER} is held by other jails (sshd, until " in said
    up.config.write_text(
        up.config.read_text(encoding="utf-8").replace("[jail.sshd]", '[jail.new]\nfilter = "sshd"')
    )
    say(up, "reload")
    assert "no such jail" in up.run("ban", OTHER, "--jail", "sshd", "--config", str(up.config), code=2).stderr
    assert "applied" in say(up, "unban", ATTACKER, "--jail", "sshd")
    assert up.elements() == set()
