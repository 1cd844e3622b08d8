"""What this machine must never lose, read from a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcers.machine import own_networks, ssh_peers
from tests.namespaces import fleet


@pytest.mark.real("nftables")
def test_own_addresses_and_gateways_of_both_families_are_found() -> None:
    """Every address of every interface, and the next hop of every route, as canonical addresses."""
    with fleet("server", "attacker") as net:
        server = net["server"]
        server.add("198.51.100.77/24")
        server.add("2001:db8::77")
        server.run(["ip", "route", "replace", "default", "via", "10.77.0.2"])
        server.run(["ip", "-6", "route", "replace", "default", "via", "fd77::2"])
        found = server.call(own_networks)
    own = {"10.77.0.1", "fd77::1", "198.51.100.77", "2001:db8::77", "127.0.0.1", "::1"}
    assert own <= {network for network, why in found.items() if why == "own address"}
    assert {network for network, why in found.items() if why == "gateway"} == {"10.77.0.2", "fd77::2"}


@pytest.mark.real("nftables")
def test_peers_of_the_ssh_port_are_found_and_others_are_not() -> None:
    """Established connections to the port, over IPv4 on a dual-stack listener and over IPv6."""
    with fleet("server", "attacker") as net:
        server, attacker = net["server"], net["attacker"]
        with (
            server.listen(22),
            server.listen(80),
            attacker.connect(server.ip4, 22),
            attacker.connect(server.ip6, 22),
            attacker.connect(server.ip4, 80, source=attacker.add("203.0.113.9")),
        ):
            assert server.call(ssh_peers, (22,)) == {attacker.ip4: "SSH peer", attacker.ip6: "SSH peer"}
            assert server.call(ssh_peers, (2222,)) == {}
        assert attacker.call(ssh_peers, (22,)) == {}


def test_a_kernel_without_these_files_has_nothing_to_protect(tmp_path: Path) -> None:
    """IPv6 switched off, or a /proc that hides them, is no error."""
    assert own_networks(tmp_path) == {}
    assert ssh_peers((22,), tmp_path) == {}
