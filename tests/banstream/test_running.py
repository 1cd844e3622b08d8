"""Commands that work when it burns: flush, reload, stop, and the words of fail2ban."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from banstream.running import send
from schemas.errors import LogError
from schemas.records import Enforcement
from schemas.topics import ENFORCEMENTS
from tests.banstream.service import Service, eventually, say, service
from tests.namespaces import fleet

ATTACKER, OTHER = "203.0.113.66", "198.51.100.7"


@pytest.fixture
def off(tmp_path: Path) -> Iterator[Service]:
    """A configured service in a namespace of its own; not running."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        yield made


@pytest.fixture
def up(off: Service) -> Service:
    """The same, running."""
    off.start()
    return off


def table(up: Service) -> bool:
    """Whether the firewall has the table."""
    assert up.host is not None
    return up.host.run(["nft", "list", "table", "inet", "banstream"], check=False).returncode == 0


@pytest.mark.real("nftables")
def test_a_flush_empties_the_firewall_until_a_reload(up: Service) -> None:
    """Also for who is banned meanwhile, and whatever others do; the log keeps all, `status` says it."""
    say(up, "ban", ATTACKER)
    assert "flushed: 1 ban is out" in say(up, "flush")
    assert not table(up)
    say(up, "ban", OTHER)
    assert up.host is not None
    up.host.run(["nft", "add", "table", "inet", "other"])
    say(up, "breaker", "--reset")
    assert not table(up)
    (facts,) = up.json("status")
    assert "an operator flushed the firewall" in facts["enforcer"]["observing"]
    assert say(up, "bans").count("for ever") == 2
    assert "nothing has changed" in say(up, "reload")
    eventually(lambda: table(up) and up.elements() == {ATTACKER, OTHER}, "all are back")
    told = [
        (each.prefix, each.verb, each.detail)
        for each in up.kept(ENFORCEMENTS)
        if isinstance(each, Enforcement)
    ]
    assert (ATTACKER, "unban", "flushed by an operator") in told
    assert up.errors.count(f"[manual] Restore Ban {ATTACKER}") == 1


@pytest.mark.real("nftables")
def test_a_flush_without_a_role_removes_the_table(up: Service) -> None:
    """A stop leaves the bans in place, as configured; the next start puts them back."""
    say(up, "ban", ATTACKER)
    assert "has ended" in say(up, "stop")
    assert up.process is not None
    assert up.process.wait(10) == 0
    assert up.elements() == {ATTACKER}
    assert "its table is gone" in say(up, "flush")
    assert not table(up)
    assert "no role to stop" in up.run("stop", "--config", str(up.config), code=3).stderr
    up.start()
    assert up.elements() == {ATTACKER}


@pytest.mark.real("nftables")
def test_a_reload_says_what_changed_or_why_it_was_refused(up: Service) -> None:
    """In the command, in the role's log, and in `status` until a good one is taken."""
    up.configure("maxretry = 5\nbantime = '1h'", enforcer='never_ban = ["192.0.2.0/24"]')
    said = say(up, "reload").splitlines()
    assert "up: jail sshd: maxretry = 5, was 3" in said
    assert "up: enforcer.never_ban = 192.0.2.0/24, was none" in said
    assert 'Changed what="jail sshd: maxretry = 5, was 3"' in up.errors
    up.configure("maxretry = 'three'")
    refused = say(up, "reload", code=2)
    assert "refused, the old one goes on: " in refused
    assert "jail.sshd.maxretry" in refused
    warned = say(up, "status")
    assert "was refused at the last reload" in " ".join(warned.split())
    assert up.errors.count("Noticed") == 0
    up.configure("maxretry = 5")
    (answer,) = up.json("reload")
    assert (answer["taken"], answer["count"]) == (True, 3)
    assert "refused at the last reload" not in " ".join(say(up, "status").split())


@pytest.mark.parametrize(
    "word", ["banip", "unbanip", "banned", "start", "restart", "ping", "get", "set", "version"]
)
def test_fail2bans_words_get_a_hint(tmp_path: Path, word: str) -> None:
    """Wrong usage, and what does that here; so does a slip of the finger."""
    with service(tmp_path) as quiet:
        said = quiet.run(word, "sshd", code=2).stderr
        assert f"No such command '{word}'; " in said
        assert "`banstream " in said
        assert "did you mean `banstream unban`?" in quiet.run("unbann", code=2).stderr


def test_a_signal_goes_to_no_other_program() -> None:
    """A number may have been given to another process since."""
    with subprocess.Popen(["sleep", "60"]) as other:
        with pytest.raises(LogError, match="no banstream any more"):
            send(other.pid, signal.SIGTERM)
        assert other.poll() is None
        other.kill()
    with pytest.raises(LogError, match="is gone"):
        send(other.pid, signal.SIGTERM)
