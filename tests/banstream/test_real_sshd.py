"""A real sshd, real failing logins, real packets."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.banstream.service import Service, eventually, service
from tests.namespaces import Host, fleet

PORT = 22
BANTIME_S = 8


@contextmanager
def sshd(host: Host, folder: Path) -> Iterator[Path]:
    """The machine's OpenSSH server in a namespace; yields the file it logs to."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    key, log = folder / "host_key", folder / "sshd.log"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {PORT}\nHostKey {key}\nPidFile none\nUsePAM no\nUseDNS no\nPermitRootLogin yes\n"
        "PasswordAuthentication yes\nKbdInteractiveAuthentication no\nMaxStartups 100\n",
        encoding="utf-8",
    )
    log.touch()
    server = host.popen(["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(log)])
    try:
        eventually(lambda: "Server listening" in log.read_text(encoding="utf-8"), "sshd listens")
        yield log
    finally:
        server.terminate()
        server.wait()


def log_in(host: Host, target: str, *, user: str) -> subprocess.Popen[str]:
    """Start to log in with a wrong password."""
    options = [
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no"),
        *("-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=3", "-p", str(PORT)),
    ]
    return host.popen(
        ["sshpass", "-p", "wrong", "ssh", *options, f"{user}@{target}", "true"],
        stderr=subprocess.PIPE,
        env={**os.environ, "HOME": "/nonexistent"},
    )


def fail_to_log_in(host: Host, target: str, *, user: str) -> None:
    """Log in with a wrong password and be told so."""
    _, said = log_in(host, target, user=user).communicate(timeout=30)
    assert "Permission denied" in said


@pytest.mark.real("nftables", "sshd")
@pytest.mark.parametrize("user", ["root", "nosuchuser"])
def test_failing_logins_ban_at_maxretry_over_both_families_and_packets_pass_again(
    tmp_path: Path, user: str
) -> None:
    """The third failing login bans, not the second; only that address; and it ends after bantime."""
    with fleet("server", "attacker") as net, sshd(net["server"], tmp_path) as log:
        server, attacker = net["server"], net["attacker"]
        neighbour = attacker.add("10.77.9.9")
        server.run(["ip", "route", "add", "10.77.9.0/24", "dev", "eth0"])
        with service(tmp_path, server) as up:
            up.configure(f'maxretry = 3\nbantime = "{BANTIME_S}s"', source=f"file:{log}")
            up.start()
            for target, ip in ((server.ip4, attacker.ip4), (server.ip6, attacker.ip6)):
                _be_banned_and_freed(up, attacker, user, (target, ip))
                assert attacker.reaches(server.ip4, port=PORT, protocol="tcp", source=neighbour)
            assert bans(up, attacker.ip4) == bans(up, attacker.ip6) == [3]


def _be_banned_and_freed(up: Service, attacker: Host, user: str, way: tuple[str, str]) -> None:
    target, ip = way

    def counted() -> bool:
        return len(failures(up, ip)) == 2

    def is_banned() -> bool:
        return ip in up.elements()

    def is_free() -> bool:
        return ip not in up.elements()

    for _ in range(2):
        fail_to_log_in(attacker, target, user=user)
    eventually(counted, f"two failures of {ip}")
    assert is_free()
    third = log_in(attacker, target, user=user)
    eventually(is_banned, f"{ip} is banned")
    banned_at = time.monotonic()
    assert not attacker.reaches(target, port=PORT, protocol="tcp")
    third.kill()
    eventually(is_free, f"{ip} is free", BANTIME_S + 10)
    assert time.monotonic() - banned_at > BANTIME_S - 3
    assert attacker.reaches(target, port=PORT, protocol="tcp")


def failures(up: Service, ip: str) -> list[str]:
    """The lines of an address's counted failures."""
    return [each["line"] for each in up.json("events", ip, code=None) if each["kind"] == "failed"]


def bans(up: Service, ip: str) -> list[int]:
    """How many failures each ban of an address was for."""
    decided = [chain["decision"] for chain in up.json("explain", ip)]
    return [each["count"] for each in decided if each["type"] == "ban"]
