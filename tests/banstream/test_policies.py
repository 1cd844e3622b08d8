"""What a jail can say, from lines in a log to packets that are dropped; and the same again from the log."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime

import pytest

from schemas.behaviours import Alert
from schemas.records import Prolong
from schemas.topics import DECISIONS
from tests.banstream.service import Service, eventually
from tests.namespaces import Fleet, Host

pytestmark = pytest.mark.real("nftables")

FOUR, SIX = "203.0.113.", "2001:db8:1:2::"


def reaches(net: Fleet, source: str) -> bool:
    """Whether a packet from an address comes through to the server."""
    server: Host = net["server"]
    return net["attacker"].reaches(server.ip6 if ":" in source else server.ip4, source=source)


def replays_the_same(up: Service) -> None:
    """A replay of the log decides what was decided."""
    replayed = [each for each in up.json("replay", str(up.log)) if each["kind"] == "ban"]
    assert [(each["prefix"], each["jail"], each["until_ms"]) for each in replayed] == [
        (each.prefix, each.jail, each.until_ms) for each in up.bans()
    ]


def test_a_64_is_one_attacker(up: Service, net: Fleet) -> None:
    """Three of its addresses fail once each: a fourth is dropped, another /64 is not; one word frees it."""
    for last in range(1, 5):
        net["attacker"].add(f"{SIX}{last}")
    net["attacker"].add("2001:db8:1:3::1")
    up.configure("maxretry = 3\nipv6_prefix = 64")
    up.start()
    for last in range(1, 4):
        up.fail(f"{SIX}{last}")
    eventually(lambda: up.elements() == {f"{SIX}/64"}, "the network is banned")
    assert not reaches(net, f"{SIX}4")
    assert reaches(net, "2001:db8:1:3::1")
    config = ("--config", str(up.config))
    explained = up.run("explain", f"{SIX}4", *config).stdout
    assert explained.startswith(f"{SIX}4: banned inside {SIX}/64, by jail sshd")
    assert explained.count("  failure  ") == 3
    assert "Counts and bans: by IPv6 /64" in up.run("status", "sshd", *config).stdout
    replays_the_same(up)
    up.run("unban", f"{SIX}2", *config)
    eventually(lambda: up.elements() == set(), "free again")
    assert reaches(net, f"{SIX}4")
    up.fail(f"{SIX}9", 2)
    eventually(
        lambda: "so far   2 of 3" in up.run("explain", f"{SIX}4", *config, code=None).stdout, "counted"
    )
    assert up.stop() == 0


def test_a_network_is_banned_for_its_addresses(up: Service, net: Fleet) -> None:
    """Above their bans, through a kill; let go early it leaves them; never over an allowed address."""
    for last in (1, 200):
        net["attacker"].add(f"{FOUR}{last}")
    escalate = "[jail.sshd.escalate]\naddresses = 3\nbantime = -1"
    up.configure('maxretry = 1\nbantime = "1h"', more=escalate)
    up.start()
    up.fail(f"{FOUR}1")
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned")
    up.stop(signal.SIGKILL)
    up.start()
    for last in (2, 3):
        up.fail(f"{FOUR}{last}")
    singles = {f"{FOUR}{last}" for last in range(1, 4)}
    eventually(lambda: up.elements() == {*singles, f"{FOUR}0/24"}, "the network is banned")
    assert not reaches(net, f"{FOUR}200")
    config = ("--config", str(up.config))
    explained = up.run("explain", f"{FOUR}200", *config).stdout
    assert f"{FOUR}200: banned inside {FOUR}0/24, by jail sshd for ever" in explained
    assert "3 banned addresses of a network within 1d ban for ever" in explained
    assert (
        "Networks: 3 banned of a /24 or IPv6 /48 within 1d ban for ever"
        in up.run("status", "sshd", *config).stdout
    )
    assert f"[sshd] Ban {FOUR}0/24 addresses=3 within=1d" in up.errors
    replays_the_same(up)
    said = up.run("unban", f"{FOUR}0/24", *config).stdout
    assert f"STILL BANNED: {FOUR}1, {FOUR}2, {FOUR}3 inside {FOUR}0/24, by bans of their own" in said
    eventually(lambda: up.elements() == singles, "the addresses stay banned")
    assert reaches(net, f"{FOUR}200")
    assert not reaches(net, f"{FOUR}1")
    up.run("allow", "198.51.100.7", *config)
    for last in range(1, 4):
        up.fail(f"198.51.100.{last}")
    eventually(lambda: len(up.elements()) == 6, "the addresses are banned")
    said = up.run("explain", "198.51.100.3", *config).stdout
    assert "its network 198.51.100.0/24 is full, and not banned: 198.51.100.7 is never banned" in said
    assert up.stop() == 0


def test_a_network_is_banned_but_for_whom_is_spared(up: Service, net: Fleet) -> None:
    """All around him is dropped, he is not; one word frees it, and the addresses stay banned."""
    for last in (77, 78, 100):
        net["attacker"].add(f"{FOUR}{last}")
    escalate = '[jail.sshd.escalate]\naddresses = 3\nspared = "parts"'
    up.configure(f'maxretry = 1\nignoreip = "{FOUR}77"', more=escalate)
    up.start()
    for last in range(1, 4):
        up.fail(f"{FOUR}{last}")
    eventually(lambda: len(up.elements()) == 10, "seven parts and three addresses")
    assert [reaches(net, f"{FOUR}{last}") for last in (77, 78, 100)] == [True, False, False]
    said = up.run("explain", f"{FOUR}100", "--config", str(up.config)).stdout
    assert f"of its network {FOUR}0/24 all but {FOUR}77, who is never banned" in said
    replays_the_same(up)
    up.stop(signal.SIGKILL)
    up.start()
    up.run("unban", f"{FOUR}0/24", "--config", str(up.config))
    eventually(lambda: up.elements() == {f"{FOUR}{last}" for last in range(1, 4)}, "the parts are free")
    assert reaches(net, f"{FOUR}100")
    assert up.stop() == 0


def test_a_leaky_bucket(up: Service, net: Fleet) -> None:
    """CrowdSec's words: the fourth failure at once bans, through a kill; one now and then does not."""
    for last in (1, 2):
        net["attacker"].add(f"{FOUR}{last}")
    up.configure('window = "leaky"\ncapacity = 3\nleakspeed = "2s"')
    up.start()
    up.fail(f"{FOUR}1", 3)
    up.fail(f"{FOUR}2")
    config = ("--config", str(up.config))
    rule = "4 failures, of which one leaks every 2s, ban for 10m"
    eventually(lambda: rule in up.run("status", "sshd", *config).stdout, "the rule is said")
    eventually(lambda: len(up.events()) == 4, "they are read")
    time.sleep(2.1)
    up.stop(signal.SIGKILL)
    up.start()
    up.fail(f"{FOUR}1")
    up.fail(f"{FOUR}2")
    eventually(lambda: len(up.events()) == 6, "they are read")
    assert up.elements() == set(), "one has leaked"
    up.fail(f"{FOUR}1", 3)
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "the bucket overflows")
    assert [reaches(net, f"{FOUR}{last}") for last in (1, 2)] == [False, True]
    assert "4 failures within 6s" in up.run("explain", f"{FOUR}1", *config).stdout
    replays_the_same(up)
    assert up.stop() == 0


def test_what_is_unusual_is_alerted_and_tightens(up: Service, net: Fleet) -> None:
    """An hour of one failure a minute, then thirty: two of an address ban in place of four."""
    net["attacker"].add(f"{FOUR}1")
    up.configure('maxretry = 4\nfindtime = "3h"', more="[jail.sshd.behaviour]\nleast = 9\ntighten = true")
    now = int(time.time()) // 60 * 60 - 120
    with up.log.open("a", encoding="utf-8") as log:
        for minute in range(70):
            log.write(line(now - (70 - minute) * 60, f"198.51.100.{minute}", minute))
        log.writelines(line(now + nth, f"192.0.2.{nth}", 100 + nth) for nth in range(11))
        log.writelines(line(now + 20 + nth, f"{FOUR}1", 200 + nth) for nth in range(2))
    up.start()
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "two are enough")
    assert not reaches(net, f"{FOUR}1")
    config = ("--config", str(up.config))
    told = [each for each in up.kept(DECISIONS) if isinstance(each, Alert)]
    assert [(each.measure, each.count, each.usual, each.limit) for each in told] == [
        ("failures", 10, 1, 9),
        ("addresses", 10, 1, 9),
    ]
    assert "[sshd] Alert failures count=10 limit=9 usual=1" in up.errors
    assert (
        "maxretry is halved while the jail's minutes are unusual"
        in up.run("explain", f"{FOUR}1", *config).stdout
    )
    assert "2 alerts so far" in up.run("status", "sshd", *config).stdout
    replays_the_same(up)
    up.stop(signal.SIGKILL)
    up.start()
    assert up.elements() == {f"{FOUR}1"}
    assert up.stop() == 0


def line(at_s: int, ip: str, nth: int) -> str:
    """A failed login at an instant."""
    at = datetime.fromtimestamp(at_s, UTC).isoformat()
    return f"{at} server sshd[{nth + 1}]: Failed password for root from {ip} port {40_000 + nth} ssh2\n"


def test_a_jail_has_several_thresholds(up: Service) -> None:
    """The second counts what the first has banned for, through a restart; the ban says which it was."""
    steps = (
        '[[jail.sshd.step]]\nmaxretry = 2\nbantime = "2s"\n[[jail.sshd.step]]\nmaxretry = 4\nbantime = "1h"'
    )
    up.configure("", more=steps)
    up.start()
    up.fail(f"{FOUR}1", 2)
    eventually(lambda: len(up.bans()) == 1, "banned by the first step")
    eventually(lambda: up.elements() == set(), "free again")
    up.stop(signal.SIGKILL)
    up.start()
    up.fail(f"{FOUR}1")
    config = ("--config", str(up.config))

    def told() -> str:
        return up.run("explain", f"{FOUR}1", *config).stdout

    eventually(lambda: "so far   3 of 4 in jail sshd" in told(), "the failures count for the second")
    up.fail(f"{FOUR}1")
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned by the second step")
    first, second = up.bans()
    assert [(each.step, each.count) for each in (first, second)] == [(1, 2), (2, 4)]
    assert "4 failures within 10m ban for 1h" in told()
    assert "2 failures within 10m ban for 2s, 4 within 10m ban for 1h" in up.run("status", *config).stdout
    replays_the_same(up)
    assert up.stop() == 0


def test_who_goes_on_stays_banned(up: Service) -> None:
    """Where a jail prolongs: his ban ends later, also in the firewall."""
    up.configure('maxretry = 2\nbantime = "4s"\nprolong = true')
    up.start()
    up.fail(f"{FOUR}1", 2)
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned")
    time.sleep(2)
    up.fail(f"{FOUR}1", 2)
    eventually(lambda: any(isinstance(each, Prolong) for each in up.kept(DECISIONS)), "prolonged")
    (prolonged,) = (each for each in up.kept(DECISIONS) if isinstance(each, Prolong))
    (ban,) = up.bans()
    assert prolonged.until_ms is not None
    assert ban.until_ms is not None
    assert prolonged.until_ms > ban.until_ms
    assert prolonged.why == "2 more within the ban"
    time.sleep(max(0.0, ban.until_ms / 1_000 + 0.5 - time.time()))
    assert up.elements() == {f"{FOUR}1"}
    eventually(lambda: up.elements() == set(), "free again")
    assert up.stop() == 0


def test_fail2bans_window_bans_by_a_rate(up: Service) -> None:
    """Through a restart; the exact one would not: a replay with either says so."""
    up.configure('maxretry = 5\nbantime = "1h"\nwindow = "fail2ban"')
    now = time.time()
    lines = [
        f"{datetime.fromtimestamp(now - ago_s, UTC).isoformat()} server sshd[{ago_s + 1}]: "
        f"Failed password for root from {FOUR}1 port 4{ago_s:04} ssh2\n"
        for ago_s in (640, 480, 320, 160, 0)
    ]
    up.log.write_text("".join(lines[:4]), encoding="utf-8")
    up.start()
    eventually(lambda: len(up.events()) == 4, "read")
    up.stop(signal.SIGKILL)
    up.start()
    with up.log.open("a", encoding="utf-8") as log:
        log.writelines(lines[4:])
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned for its rate")
    replays_the_same(up)
    exact = up.json("replay", "--window", "exact", str(up.log), code=1)
    assert [each for each in exact if each["kind"] == "ban"] == []
    assert up.stop() == 0


def test_different_users_ban_and_one_user_again_does_not(up: Service) -> None:
    """Who mistypes his own password is let be, through a kill; who tries three users is not."""
    up.configure('maxretry = 3\nbantime = "1h"\ndistinct = "user"')
    up.start()
    up.fail(f"{FOUR}1", 6)
    for user in ("ann", "bob"):
        up.fail(f"{FOUR}2", user=user)
    eventually(lambda: len(up.events()) == 8, "read")
    up.stop(signal.SIGKILL)
    up.start()
    config = ("--config", str(up.config))
    assert "so far   2 of 3" in up.run("explain", f"{FOUR}2", *config, code=None).stdout
    up.fail(f"{FOUR}2", user="root")
    eventually(lambda: up.elements() == {f"{FOUR}2"}, "banned")
    (ban,) = up.bans()
    assert (ban.count, ban.counted) == (3, "different users")
    assert "3 different users within 10m ban for 1h" in up.run("explain", f"{FOUR}2", *config).stdout
    assert "3 failures with a different user each within 10m" in up.run("status", *config).stdout
    assert f"[sshd] Ban {FOUR}2 different_users=3 within=10m" in up.errors
    replays_the_same(up)
    assert up.stop() == 0


def test_who_tries_one_user_from_everywhere_is_banned_together(up: Service, net: Fleet) -> None:
    """Four addresses fail once each as one user, a kill between; who failed as another is let be."""
    for last in (1, 9):
        net["attacker"].add(f"{FOUR}{last}")
    up.configure('maxretry = 4\nbantime = "1h"\ncount = "user"\ndistinct = "address"')
    up.start()
    for last in (1, 1, 1, 2, 3):
        up.fail(f"{FOUR}{last}")
    up.fail(f"{FOUR}9", user="ann")
    eventually(lambda: len(up.events()) == 6, "read")
    up.stop(signal.SIGKILL)
    up.start()
    config = ("--config", str(up.config))
    assert 'jail sshd counts users, wherever they are tried from: as "root"' in (
        up.run("explain", f"{FOUR}1", *config, code=None).stdout
    )
    assert reaches(net, f"{FOUR}1")
    up.fail(f"{FOUR}4")
    taking_part = {f"{FOUR}{last}" for last in range(1, 5)}
    eventually(lambda: up.elements() == taking_part, "all who took part are banned")
    assert not reaches(net, f"{FOUR}1")
    assert reaches(net, f"{FOUR}9")
    counted = {(each.count, each.counted, each.user) for each in up.bans()}
    assert counted == {(4, "different addresses", "root")}
    explained = up.run("explain", f"{FOUR}2", *config).stdout
    assert '4 different addresses as user "root" within 10m ban for 1h' in explained
    assert f"Failed password for root from {FOUR}4" in explained
    assert '4 different addresses as user "root"' in up.run("bans", *config).stdout
    assert "Failing now: 1 user below that" in up.run("status", "sshd", *config).stdout
    said = "4 failures as one user, wherever from, with a different address each within 10m ban for 1h"
    assert said in up.run("status", *config).stdout
    replays_the_same(up)
    assert up.stop() == 0


def test_one_address_with_one_user(up: Service) -> None:
    """Many users once each ban nobody; the same one three times does, also after a kill."""
    up.configure('maxretry = 3\nbantime = "1h"\ncount = "address and user"')
    up.start()
    for user in ("ann", "bob", "eve", "ann"):
        up.fail(f"{FOUR}1", user=user)
    eventually(lambda: len(up.events()) == 4, "read")
    up.stop(signal.SIGKILL)
    up.start()
    up.fail(f"{FOUR}1", user="ann")
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned")
    (ban,) = up.bans()
    assert (ban.count, ban.user) == (3, "ann")
    replays_the_same(up)
    assert up.stop() == 0
