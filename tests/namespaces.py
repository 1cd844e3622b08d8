"""A fleet for tests: network namespaces on one virtual switch, with real packets between them. Needs root.

    with fleet("server", "attacker") as net:
        server, attacker = net["server"], net["attacker"]
        server.run(["nft", "list", "ruleset"])           # a program inside
        with server.inside():                            # this thread inside: sockets, /proc/net, children
            backend = NftablesBackend()
        attacker.add("203.0.113.9")                      # any address is on the same wire
        assert attacker.reaches(server.ip4, port=22, source="203.0.113.9")

Hosts know each other's Ethernet addresses beforehand: else a dropped neighbour solicitation would hold back
other addresses' packets for seconds. The namespaces have no names and live as long as their file descriptors:
however a test ends, nothing stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

CLONE_NEWNET = 0x4000_0000
LIBC = ctypes.CDLL(None, use_errno=True)
Protocol = Literal["icmp", "tcp", "udp"]
T = TypeVar("T")


class Host:
    """One network namespace, with the interface eth0 on the switch."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.ip4 = f"10.77.0.{number}"
        self.ip6 = f"fd77::{number:x}"
        self.mac = f"02:77:00:00:00:{number:02x}"
        self.others: list[Host] = []
        self._namespace = _new_namespace()
        self._processes: list[subprocess.Popen[str]] = []

    @property
    def path(self) -> str:
        """The namespace as a file, for `nsenter --net=PATH`."""
        return f"/proc/{os.getpid()}/fd/{self._namespace}"

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Within it this thread, and the processes it starts, are in the namespace; sockets stay there."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _enter(self._namespace)
        try:
            yield
        finally:
            _enter(outside)
            os.close(outside)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function inside."""
        with self.inside():
            return function(*args)

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program inside and wait; CalledProcessError when it fails. Options are subprocess.run's."""
        with self.inside():
            settings: dict[str, Any] = {"text": True, "capture_output": True, **options}
            return subprocess.run(command, check=settings.pop("check", True), **settings)

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program inside; it is killed at the end of the fleet."""
        with self.inside():
            process = subprocess.Popen(command, **{"text": True, **options})
        self._processes.append(process)
        return process

    def add(self, address: str) -> str:
        """Give this host another address on the wire, bare or with a length; returns it bare."""
        self.run(["ip", "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else [])])
        bare = address.partition("/")[0]
        for other in self.others:
            other.run(
                ["ip", "neighbour", "replace", bare, "lladdr", self.mac, "dev", "eth0", "nud", "permanent"]
            )
        return bare

    def listen(self, port: int, *, address: str = "::") -> socket.socket:
        """A listening TCP socket inside; on `::` it takes IPv4 as well."""
        with self.inside():
            return socket.create_server(
                (address, port),
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                dualstack_ipv6=address == "::",
            )

    def connect(self, address: str, port: int, *, source: str | None = None) -> socket.socket:
        """A TCP connection from inside; OSError when there is none within two seconds."""
        with self.inside():
            return socket.create_connection((address, port), 2.0, (source, 0) if source else None)

    def reaches(
        self,
        address: str,
        port: int = 0,
        *,
        protocol: Protocol | None = None,
        source: str | None = None,
        within_s: float = 1.0,
    ) -> bool:
        """Whether an answer comes back: to an echo request, or, given a port, to a TCP SYN or a datagram.

        No listener is needed: a closed port answers with a reset or an ICMP error, and that counts.
        """
        kind = protocol or ("tcp" if port else "icmp")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.inside(), contextlib.closing(_probe_socket(family, kind)) as probe:
            if source:
                probe.bind((source, 0))
            probe.settimeout(within_s)
            try:
                probe.connect((address, port))
                if kind == "udp":
                    probe.send(b"banstream")
                    probe.recv(100)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                return False
            return kind == "tcp" or _echoed(probe, family, within_s)

    def close(self) -> None:
        """Kill what was started inside and let the namespace go."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        os.close(self._namespace)


class Fleet:
    """The hosts of one switch."""

    def __init__(self, names: Sequence[str]) -> None:
        self._switch = Host("switch", 0)
        self._hosts = {name: Host(name, number) for number, name in enumerate(names, 1)}

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def wire(self) -> None:
        """Join the hosts by veth pairs on a bridge; every address there is on the wire is in reach."""
        ports = "".join(
            f"link add port{number} type veth peer name eth0 netns {host.path}\n"
            f"link set port{number} master bridge up\n"
            for number, host in enumerate(self._hosts.values())
        )
        _ip(self._switch, f"link add bridge type bridge mcast_snooping 0\nlink set bridge up\n{ports}")
        for host in self._hosts.values():
            host.others = [other for other in self._hosts.values() if other is not host]
            _configure(host)

    def route_through(self, router: str, first: str, second: str) -> None:
        """From now on what two hosts send each other goes through a third, which forwards it."""
        middle = self[router]
        for key in ("ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"):
            _sysctl(middle, key, 1)
        for host, other in ((self[first], self[second]), (self[second], self[first])):
            _ip(
                host,
                f"route add {other.ip4}/32 via {middle.ip4}\nroute add {other.ip6}/128 via {middle.ip6}\n",
            )

    def close(self) -> None:
        """Take everything down."""
        for host in (*self._hosts.values(), self._switch):
            host.close()


@contextlib.contextmanager
def fleet(*names: str) -> Iterator[Fleet]:
    """Hosts of these names; they are gone afterwards, whatever happens."""
    net = Fleet(names)
    try:
        net.wire()
        yield net
    finally:
        net.close()


def _configure(host: Host) -> None:
    for key in ("ipv6/conf/all/accept_dad", "ipv6/conf/eth0/accept_dad", "ipv4/icmp_ratelimit"):
        _sysctl(host, key, 0)
    for key in ("ipv4/conf/all/send_redirects", "ipv4/conf/eth0/send_redirects", "ipv6/icmp/ratelimit"):
        _sysctl(host, key, 0)
    neighbours = "".join(
        f"neighbour add {address} lladdr {other.mac} dev eth0 nud permanent\n"
        for other in host.others
        for address in (other.ip4, other.ip6)
    )
    _ip(
        host,
        f"link set eth0 address {host.mac}\nlink set lo up\nlink set eth0 up\n"
        f"address add {host.ip4}/24 dev eth0\naddress add {host.ip6}/64 dev eth0 nodad\n"
        f"route add default dev eth0\n-6 route add default dev eth0\n{neighbours}",
    )


def _sysctl(host: Host, key: str, value: int) -> None:
    with host.inside(), open(f"/proc/sys/net/{key}", "w", encoding="ascii") as file:  # noqa: PTH123 - a line
        file.write(str(value))


def _ip(host: Host, commands: str) -> None:
    """Run the lines of an ip(8) batch inside; `-6` may begin a line."""
    for flags in ((), ("-6",)):
        lines = [line for line in commands.splitlines() if line.startswith("-6 ") == bool(flags)]
        if lines:
            host.run(
                ["ip", *flags, "-batch", "-"], input="\n".join(line.removeprefix("-6 ") for line in lines)
            )


def _new_namespace() -> int:
    """A file descriptor of a new network namespace, made in a thread that ends at once."""
    made: list[int] = []

    def make() -> None:
        if LIBC.unshare(CLONE_NEWNET) == 0:
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise PermissionError("cannot make a network namespace; run as root")
    return made[0]


def _enter(namespace: int) -> None:
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


def _probe_socket(family: socket.AddressFamily, protocol: Protocol) -> socket.socket:
    if protocol == "icmp":
        number = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        return socket.socket(family, socket.SOCK_RAW, number)
    return socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)


def _echoed(probe: socket.socket, family: socket.AddressFamily, within_s: float) -> bool:
    """Whether a connected raw socket gets an echo reply (RFC 792, RFC 4443)."""
    request, reply = (8, 0) if family == socket.AF_INET else (128, 129)
    token = os.urandom(8)
    body = struct.pack("!HH", 77, 1) + token
    probe.send(struct.pack("!BBH", request, 0, _checksum(struct.pack("!BBH", request, 0, 0) + body)) + body)
    while select.select([probe], [], [], within_s)[0]:
        packet = probe.recv(2_048)
        start = (packet[0] & 15) * 4 if family == socket.AF_INET else 0
        if packet[start] == reply and packet.endswith(token):
            return True
    return False


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
