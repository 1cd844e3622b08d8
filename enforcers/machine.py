"""What this machine must never lose: its own addresses, its gateways, and who is logged in over SSH.

Read from /proc, which needs no privilege, no program and is of the network namespace one is in. Formats:
proc_net(5); /proc/net/fib_trie, if_inet6, route, ipv6_route and tcp of the kernel's networking code.
Of a route with several next hops, /proc/net/route names the first.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from schemas.addresses import canonical_address

PROC: Final = Path("/proc/net")
LOCAL: Final = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
ESTABLISHED: Final = "01"
RTF_GATEWAY: Final = 2


def own_networks(proc: Path = PROC) -> dict[str, str]:
    """The addresses and gateways of this network namespace, each with the word that says what it is."""
    networks = dict.fromkeys(_gateways(proc), "gateway")
    networks.update(dict.fromkeys(_own_addresses(proc), "own address"))
    return networks


def own_addresses(proc: Path = PROC) -> set[str]:
    """The addresses of this network namespace."""
    return set(_own_addresses(proc))


def ssh_peers(ports: tuple[int, ...], proc: Path = PROC) -> dict[str, str]:
    """The addresses with an established TCP connection to one of these local ports.

    The kernel knows a connection, not whether anybody has logged in over it: a guesser is a peer as well,
    for as long as his connection stands.
    """
    peers = {}
    for name in ("tcp", "tcp6"):
        for line in _lines(proc / name, skip=1):
            _, local, remote, state, *_ = line.split()
            if state == ESTABLISHED and int(local.rpartition(":")[2], 16) in ports:
                peers[_socket_address(remote.partition(":")[0])] = "SSH peer"
    return peers


def _own_addresses(proc: Path) -> Iterator[str]:
    yield from LOCAL.findall("".join(_lines(proc / "fib_trie")))
    for line in _lines(proc / "if_inet6"):
        yield str(IPv6Address(int(line.split()[0], 16)))


def _gateways(proc: Path) -> Iterator[str]:
    for line in _lines(proc / "route", skip=1):
        fields = line.split()
        if int(fields[3], 16) & RTF_GATEWAY:
            yield _socket_address(fields[2])
    for line in _lines(proc / "ipv6_route"):
        fields = line.split()
        if int(fields[8], 16) & RTF_GATEWAY:
            yield str(IPv6Address(int(fields[4], 16)))


def _socket_address(words: str) -> str:
    """An address as the kernel prints it: 32-bit words in hex, each in the machine's byte order."""
    raw = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6  # noqa: PLR2004 - bytes of an IPv4 address
    return canonical_address(socket.inet_ntop(family, raw))


def _lines(path: Path, *, skip: int = 0) -> list[str]:
    """The lines of a file; none when the kernel has no such file (IPv6 switched off)."""
    try:
        with path.open() as file:
            return file.readlines()[skip:]
    except FileNotFoundError:
        return []
