"""Bans seen from the attacker's side: real packets between network namespaces."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from enforcers.contract import Element
from enforcers.nftables import NftablesBackend
from tests.enforcers.standings import eventually
from tests.namespaces import Fleet, Host, fleet

pytestmark = pytest.mark.real("nftables")

BANNED = {4: "203.0.113.9", 6: "2001:db8::9"}
NEIGHBOUR = {4: "203.0.113.10", 6: "2001:db8::a"}
STRANGER = {4: "203.0.112.9", 6: "2001:db8:0:1::9"}


@pytest.fixture
def net() -> Iterator[Fleet]:
    """A server, a router that may stand between, and an attacker with addresses near and far."""
    with fleet("server", "attacker", "router") as made:
        for addresses in (BANNED, NEIGHBOUR, STRANGER):
            for address in addresses.values():
                made["attacker"].add(address)
        yield made


@pytest.fixture
def backend(net: Fleet) -> Iterator[NftablesBackend]:
    """The server's firewall."""
    with net["server"].inside():
        opened = NftablesBackend()
        opened.open()
    yield opened
    opened.close()


def target(host: Host, version: int) -> str:
    """The address of a host in one family."""
    return host.ip4 if version == 4 else host.ip6


def reached(net: Fleet, version: int, source: str) -> set[str]:
    """The protocols over which an attacker's address gets answers from the server."""
    attacker, server = net["attacker"], target(net["server"], version)
    tried = {
        "icmp": attacker.reaches(server, source=source, within_s=0.2),
        "tcp": attacker.reaches(server, 22, source=source, within_s=0.2),
        "udp": attacker.reaches(server, 53, protocol="udp", source=source, within_s=0.2),
    }
    return {protocol for protocol, answered in tried.items() if answered}


@pytest.mark.parametrize("version", [4, 6])
def test_a_banned_address_gets_no_answer_and_others_do(
    net: Fleet, backend: NftablesBackend, version: int
) -> None:
    """ICMP, TCP and UDP of the address are dropped, its neighbour's pass; after the unban all pass again."""
    assert reached(net, version, BANNED[version]) == {"icmp", "tcp", "udp"}
    assert not backend.ban([Element(BANNED[version])])
    assert reached(net, version, BANNED[version]) == set()
    assert reached(net, version, NEIGHBOUR[version]) == {"icmp", "tcp", "udp"}
    assert not backend.unban([Element(BANNED[version])])
    assert reached(net, version, BANNED[version]) == {"icmp", "tcp", "udp"}


@pytest.mark.parametrize(
    ("version", "prefix"), [(4, "203.0.113.0/24"), (6, "2001:db8::/64"), (4, "200.0.0.0/5")]
)
def test_a_banned_prefix_covers_its_addresses_only(
    net: Fleet, backend: NftablesBackend, version: int, prefix: str
) -> None:
    """Every address inside is dropped; one outside passes, where there is one on the wire."""
    assert not backend.ban([Element(prefix)])
    assert reached(net, version, BANNED[version]) == set()
    assert reached(net, version, NEIGHBOUR[version]) == set()
    if not prefix.endswith("/5"):
        assert reached(net, version, STRANGER[version]) == {"icmp", "tcp", "udp"}


@pytest.mark.parametrize("version", [4, 6])
def test_a_ban_on_ports_covers_these_ports_only(net: Fleet, backend: NftablesBackend, version: int) -> None:
    """TCP and UDP to ports 22 and 53 are dropped, other ports and ICMP pass."""
    assert not backend.ban([Element(BANNED[version], (22, 53))])
    assert reached(net, version, BANNED[version]) == {"icmp"}
    assert net["attacker"].reaches(target(net["server"], version), 80, source=BANNED[version])
    assert reached(net, version, NEIGHBOUR[version]) == {"icmp", "tcp", "udp"}


def test_the_kernel_ends_a_ban_without_us(net: Fleet, backend: NftablesBackend) -> None:
    """With the process's hands off, packets pass again when the ban's time is over, and not before."""
    banned_at = time.monotonic()
    backend.ban([Element(BANNED[4], (), 700)])
    backend.close()
    assert not net["attacker"].reaches(net["server"].ip4, source=BANNED[4], within_s=0.1)
    assert eventually(lambda: net["attacker"].reaches(net["server"].ip4, source=BANNED[4], within_s=0.05))
    assert time.monotonic() - banned_at >= 0.6


@pytest.mark.parametrize("version", [4, 6])
def test_an_established_connection_is_cut(net: Fleet, backend: NftablesBackend, version: int) -> None:
    """What is sent over a connection from before the ban does not arrive; after the unban it does."""
    with net["server"].listen(2222) as listener:
        attacker = net["attacker"].connect(target(net["server"], version), 2222, source=BANNED[version])
        server, _ = listener.accept()
        with attacker, server:
            attacker.sendall(b"before")
            server.settimeout(10)
            assert server.recv(100) == b"before"
            backend.ban([Element(BANNED[version])])
            attacker.sendall(b"after")
            server.settimeout(0.4)
            with pytest.raises(TimeoutError):
                server.recv(100)
            backend.unban([Element(BANNED[version])])
            server.settimeout(20)
            assert server.recv(100) == b"after"


@pytest.mark.parametrize("version", [4, 6])
def test_forwarded_traffic_is_covered(net: Fleet, version: int) -> None:
    """A ban on a router drops what it would forward, as it does for containers behind a host."""
    net.route_through("router", "attacker", "server")
    source = target(net["attacker"], version)
    assert reached(net, version, source) == {"icmp", "tcp", "udp"}
    with net["router"].inside():
        backend = NftablesBackend()
        backend.open()
    backend.ban([Element(source)])
    assert reached(net, version, source) == set()
    backend.unban([Element(source)])
    assert reached(net, version, source) == {"icmp", "tcp", "udp"}
    backend.close()
