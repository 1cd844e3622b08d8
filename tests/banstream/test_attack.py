"""`banstream attack`: a real sshd, a real ban, and nothing left of it."""

from __future__ import annotations

import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import pytest

from tests.banstream.service import service
from tests.banstream.test_real_sshd import PORT, sshd
from tests.namespaces import fleet

NOBODYS: Final = ip_network("198.18.0.0/15")


def namespaces() -> set[str]:
    """The named network namespaces that attacks have made."""
    said = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line for line in said.splitlines() if "banstream-attack" in line}


@pytest.mark.real("nftables", "sshd")
def test_it_is_banned_shown_and_taken_away_again(tmp_path: Path) -> None:
    """By default this machine's sshd; by a name another namespace's, and the ban may be kept."""
    with fleet("server", "attacker") as net, sshd(net["server"], tmp_path) as log:
        server, attacker = net["server"], net["attacker"]
        with service(tmp_path, server) as up:
            up.configure("maxretry = 3", source=f"file:{log}")
            up.start()
            said = up.run("attack", "--config", str(up.config)).stdout
            (ban,) = up.bans()
            assert ip_address(ban.prefix) in NOBODYS
            assert f"BAN       {ban.prefix.partition('/')[0]}" in said
            assert "packets of" in said
            assert up.elements() == set()
            before = namespaces()
            name = f"banstream-test-{server.mac.replace(':', '')}-{up.process.pid if up.process else 0}"
            Path("/run/netns", name).touch()
            subprocess.run(["mount", "--bind", server.path, f"/run/netns/{name}"], check=True)
            try:
                up.run("attack", "--target", name, "--keep", "--config", str(up.config))
            finally:
                subprocess.run(["ip", "netns", "delete", name], check=True)
            assert len(up.bans()) == 2
            assert up.elements() == {up.bans()[1].prefix.partition("/")[0]}
            assert namespaces() <= before
            assert "bsa" not in server.run(["ip", "-brief", "link"]).stdout
            (tmp_path / "far").mkdir()
            with service(tmp_path / "far", attacker) as far:
                said = far.run("attack", "--target", f"{server.ip4}:{PORT}").stdout
                assert "are dropped" in said
                assert len(up.bans()) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "192.0.2.1.example:22"), "no such host"),
        (("--target", "nowhere"), "expected HOST:PORT, or a network namespace"),
        (("--target", "8.8.8.8:22"), "a public address"),
        (("--target", "[2606:4700::1]:22"), "a public address"),
        (("--target", "-oProxyCommand=reboot:22"), "no such host"),
    ],
)
def test_only_what_is_ones_own_is_attacked(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """A public address needs a word more, and no name becomes an option of ssh(1)."""
    with service(tmp_path) as made:
        done = made.run("attack", *words, code=2)
        assert said in done.stderr


def test_where_nothing_listens_it_says_so(tmp_path: Path) -> None:
    """And what to look at."""
    with service(tmp_path) as made:
        assert "nothing listens" in made.run("attack", "--target", "127.0.0.1:1", code=3).stderr
