"""Attackers who write log text, and addresses that are never banned, whatever any log says."""

from __future__ import annotations

import os
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.records import Enforcement
from schemas.topics import ENFORCEMENTS
from tests.banstream.service import Service, eventually, service, stamp
from tests.banstream.test_real_sshd import PORT, sshd
from tests.namespaces import Fleet, Host, fleet

pytestmark = pytest.mark.real("nftables")

ATTACKER, VICTIM, LAST = "203.0.113.66", "192.0.2.99", "203.0.113.250"
FORGED = f"Failed password for root from {VICTIM} port 5 ssh2"
USERS = (
    f"root from {VICTIM} port 5 ssh2",
    f"root from {VICTIM} port 5 ssh2: RSA SHA256:abc",
    rf"x\n{FORGED}\n",
    f"x#012{FORGED}#012",
    f"x from {VICTIM}",
    f"invalid user root from {VICTIM} port 22 ssh2",
    "\x1b[2J\x1b]0;owned\x07\x1b[31m",
    "x\r\x08\x08\x7f",
    "csi\u009b2Jcsi \u202etxt\u2066 \u2028",
    "nul\x00nul",
    "a" * 65_536,
    f"{'b' * 65_000} from {VICTIM} port 5 ssh2 {'b' * 900}",
    f"{' ' * 2_000}from {VICTIM} port 5 ssh2",
    "",
    "sshd[1]: " + FORGED,
)
OTHERS = (
    f"app[77]: {FORGED}",
    f"sshd-fake[77]: {FORGED}",
    f"xsshd[77]: {FORGED}",
    f"sshd: {FORGED} (said by nobody)",
    f"sudo: sshd[77]: {FORGED}",
    f"kernel: [ 1.0] sshd[77]: {FORGED}",
    f"app[77]: said \x1b[2K\rsshd[77]: {FORGED}",
    f"CRON[77]: (root) CMD (sshd[77]: {FORGED})",
    FORGED,
)
LOOKS = (
    ("match", "{log}"),
    ("replay", "{log}"),
    ("events",),
    ("explain", ATTACKER),
    ("explain", "{ban}"),
    ("status",),
    ("bans",),
)


@pytest.fixture
def net() -> Iterator[Fleet]:
    """A server, its gateway and an attacker."""
    with fleet("server", "gateway", "attacker") as made:
        yield made


@pytest.fixture
def up(net: Fleet, tmp_path: Path) -> Iterator[Service]:
    """A service on the server that bans at the first failure; not running yet."""
    with service(tmp_path, net["server"]) as made:
        made.configure("maxretry = 1")
        yield made


def write(up: Service, *messages: str) -> None:
    """Append lines as they are, whatever is in them."""
    with up.log.open("ab") as log:
        log.writelines(f"{stamp()} server {message}\n".encode() for message in messages)


def finish(up: Service) -> None:
    """Wait until all that was written has been read and enforced."""
    up.fail(LAST)
    eventually(lambda: LAST in up.elements(), "the last line is read")


def test_nobody_else_is_banned_by_what_an_attacker_writes(up: Service) -> None:
    """User names that look like log text, and other programs' lines, count for nobody but their author."""
    up.start()
    for number, user in enumerate(USERS):
        write(
            up,
            f"sshd[{100 + number}]: Failed password for invalid user {user} from {ATTACKER} port 4000 ssh2",
            f"sshd[{300 + number}]: Invalid user {user} from {ATTACKER} port 4000",
            f"sshd[{500 + number}]: Connection closed by invalid user {user} {ATTACKER} port 4000 [preauth]",
            f"sshd[{700 + number}]: User {user} from {ATTACKER} not allowed because not listed in AllowUsers",
        )
    write(up, *OTHERS)
    finish(up)
    assert {event.ip for event in up.events()} == {ATTACKER, LAST}
    assert {ban.prefix for ban in up.bans()} == up.elements() == {ATTACKER, LAST}


def test_nothing_that_was_logged_steers_a_terminal(up: Service) -> None:
    """No look prints a control, format or line separator character, for people or as JSON."""
    up.start()
    for number, user in enumerate(USERS):
        write(up, f"sshd[{100 + number}]: Failed password for {user} from {ATTACKER} port 4000 ssh2")
    finish(up)
    up.run("ban", "192.0.2.1", "--why", USERS[6] + USERS[8], "--config", str(up.config))
    places = {"log": str(up.log), "ban": up.bans()[0].id}
    for form in ([], ["--json"]):
        for look in (*LOOKS, ("explain", "192.0.2.1")):
            words = [word.format(**places) for word in look]
            config = [] if words[0] == "match" else ["--config", str(up.config)]
            said = up.run(*words, *form, *config).stdout
            assert said
            assert dangerous(said) == set(), words
        assert dangerous(watched(up, *form)) == set()
    assert dangerous(up.errors) == set()


def dangerous(text: str) -> set[str]:
    """The characters of a text that could steer a terminal."""
    return {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}} - {"\n"}


def watched(up: Service, *form: str) -> str:
    """What watch prints of a hostile line and an operator's hostile reason."""
    output = up.folder / "watch.out"
    with (
        output.open("wb") as stdout,
        up.popen("watch", *form, "--config", str(up.config), stdout=stdout, stderr=stdout) as watch,
    ):
        eventually(lambda: b"Watching" in output.read_bytes(), "watch is there")
        write(up, f"sshd[9]: Failed password for {USERS[6]}{USERS[8]} from {ATTACKER} port 4000 ssh2")
        up.run("ban", "192.0.2.0/24", "--why", USERS[6] + USERS[8], "--config", str(up.config))
        up.run("unban", "192.0.2.0/24", "--why", USERS[6] + USERS[8], "--config", str(up.config))
        eventually(lambda: b"unban" in output.read_bytes().lower(), "the unban is shown")
        watch.terminate()
    return output.read_text(encoding="utf-8")


def test_what_is_never_banned_is_never_in_the_firewall_and_the_attempt_is_on_record(
    net: Fleet, up: Service
) -> None:
    """Own addresses (where they count), gateways, loopback, never_ban: refused; ignoreip is not counted."""
    server, gateway = net["server"], net["gateway"]
    for family, network, via in (("-4", "172.16.0.0/12", gateway.ip4), ("-6", "fd99::/16", gateway.ip6)):
        server.run(["ip", family, "route", "add", network, "via", via])
    up.configure(
        'maxretry = 1\nignoreself = false\nipv6_prefix = 128\nignoreip = ["192.0.2.0/24"]',
        enforcer='never_ban = ["198.51.100.0/24", "2001:db8:5::/48"]',
    )
    kept = {
        **dict.fromkeys((server.ip4, server.ip6), "own address"),
        **dict.fromkeys((gateway.ip4, gateway.ip6), "gateway"),
        **dict.fromkeys(("127.0.0.1", "127.9.9.9", "::1"), "loopback"),
        **dict.fromkeys(("198.51.100.7", "2001:db8:5::7"), "operator"),
    }
    monitored = monitor(server, up.folder / "nft.out")
    up.start()
    for ip in (*kept, VICTIM, f"::ffff:{server.ip4}"):
        up.fail(ip, 2)
    finish(up)
    enforced = {each.prefix: each for each in up.kept(ENFORCEMENTS) if isinstance(each, Enforcement)}
    assert set(enforced) == {*kept, LAST}
    for prefix, why in kept.items():
        assert enforced[prefix].outcome == "refused"
        assert f"({why})" in (enforced[prefix].detail or "")
    assert {event.ip for event in up.events()} == {*kept, VICTIM, LAST}

    def ignored() -> object:
        return up.json("status", "sshd")[0]["decider"]["jails"]["sshd"]["ignored"]

    eventually(lambda: ignored() == 2, "they are counted")
    assert up.elements() == {LAST}
    eventually(lambda: LAST in monitored.read_text(encoding="utf-8"), "the monitor has seen the last ban")
    added = [line for line in monitored.read_text(encoding="utf-8").splitlines() if "add element" in line]
    assert [line for line in added if LAST not in line] == []


def monitor(host: Host, output: Path) -> Path:
    """Record every change of a host's nftables from here on."""
    with output.open("w", encoding="utf-8") as stdout:
        host.popen(["nft", "monitor", "new"], stdout=stdout)

    def seen() -> bool:
        host.run(["nft", "add table inet probe; delete table inet probe"])
        return "probe" in output.read_text(encoding="utf-8")

    eventually(seen, "nft monitor is there")
    return output


@pytest.mark.real("sshd")
def test_a_real_sshd_with_forged_user_names_bans_only_who_connects(net: Fleet, up: Service) -> None:
    """Whatever user name a real client sends to a real server, only its own address is banned."""
    server, attacker = net["server"], net["attacker"]
    with sshd(server, up.folder) as log:
        up.configure("maxretry = 1", source=f"file:{log}", enforcer='never_ban = ["10.77.0.0/16"]')
        up.start()
        clients = [knock(attacker, server.ip4, user) for user in USERS if user and len(user) < 3_000]
        for client in clients:
            client.communicate(timeout=60)
        eventually(lambda: len(up.events()) >= len(clients) - 3, "the attempts are read")
        assert VICTIM in log.read_text(encoding="utf-8", errors="replace")
        assert {event.ip for event in up.events()} == {attacker.ip4}
        assert {ban.prefix for ban in up.bans()} == {attacker.ip4}
        assert up.elements() == set()


def knock(host: Host, target: str, user: str) -> subprocess.Popen[str]:
    """Start to log in with a wrong password as a user of this name."""
    options = [
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no"),
        *("-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=10", "-p", str(PORT)),
    ]
    return host.popen(
        ["sshpass", "-p", "wrong", "ssh", *options, "-l", user.replace("\0", ""), target, "true"],
        stderr=subprocess.PIPE,
        env={**os.environ, "HOME": "/nonexistent"},
    )
