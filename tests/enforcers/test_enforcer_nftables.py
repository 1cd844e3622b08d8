"""The enforcer on the real firewall: from the log to the packet, and back after others meddled."""

from __future__ import annotations

import select
import subprocess
import time
from collections.abc import Iterator

import pytest

from enforcers.enforcer import Enforcer, EnforcerConfig
from enforcers.nftables import NftablesBackend
from eventlog.clock import wall_clock_ms
from eventlog.memory import MemoryLog
from tests.enforcers.standings import HOUR_MS, enforcements, eventually, freed, hold, outcomes, standing
from tests.namespaces import Fleet, fleet

pytestmark = pytest.mark.real("nftables")

REPAIRED_WITHIN_S = 2.0


class Guard:
    """An enforcer on a server, driven as the wiring drives it: polled when woken, and once a second."""

    def __init__(self, net: Fleet, config: EnforcerConfig | None = None) -> None:
        self.server = net["server"]
        self.log = MemoryLog()
        self.config = config or EnforcerConfig(host="server")
        self.start()

    def start(self) -> None:
        """A new backend and a new enforcer on the same log."""
        self.backend = NftablesBackend()
        self.enforcer = Enforcer(self.log, self.backend, self.config)
        with self.server.inside():
            self.backend.open()
            self.enforcer.start()

    def nft(self, commands: str) -> None:
        """What somebody else does."""
        with self.server.inside():
            subprocess.run(["nft", "-f", "-"], input=commands, check=True, text=True)

    def poll(self) -> bool:
        """Poll once."""
        with self.server.inside():
            return self.enforcer.poll()

    def listed(self) -> str:
        """What the administrator sees."""
        return self.server.run(["nft", "list", "table", "inet", "banstream"]).stdout

    def repaired(self, prefix: str) -> bool:
        """Whether a prefix comes back within two seconds, woken by the fileno alone."""
        begun = time.monotonic()
        while time.monotonic() - begun < REPAIRED_WITHIN_S:
            select.select(self.enforcer.filenos(), [], [], 0.2)
            self.poll()
            tables = self.server.run(["nft", "list", "ruleset"]).stdout
            if prefix in tables and "drop" in tables:
                return True
        return False


@pytest.fixture
def net() -> Iterator[Fleet]:
    """A server and an attacker with one more address of each family."""
    with fleet("server", "attacker") as made:
        made["attacker"].add("203.0.113.9")
        made["attacker"].add("2001:db8::9")
        yield made


@pytest.fixture
def guard(net: Fleet) -> Iterator[Guard]:
    """An enforcer that has started on an empty log."""
    made = Guard(net)
    yield made
    made.enforcer.close()


def test_a_ban_in_the_log_stops_packets_and_its_end_lets_them_pass(net: Fleet, guard: Guard) -> None:
    """Both families; each step is recorded as applied by nftables on this host."""
    attacker, server = net["attacker"], net["server"]
    guard.log.append([standing("203.0.113.9"), standing("2001:db8::/64", hold(wall_clock_ms() + HOUR_MS))])
    assert guard.poll()
    assert not attacker.reaches(server.ip4, source="203.0.113.9", within_s=0.2)
    assert not attacker.reaches(server.ip6, source="2001:db8::9", within_s=0.2)
    assert attacker.reaches(server.ip4)
    assert attacker.reaches(server.ip6)
    guard.log.append([freed("203.0.113.9"), freed("2001:db8::/64")])
    assert guard.poll()
    assert attacker.reaches(server.ip4, source="203.0.113.9")
    assert attacker.reaches(server.ip6, source="2001:db8::9")
    assert sorted(outcomes(guard.log)) == [
        ("ban", "2001:db8::/64", "applied"),
        ("ban", "203.0.113.9", "applied"),
        ("unban", "2001:db8::/64", "applied"),
        ("unban", "203.0.113.9", "applied"),
    ]
    assert {(record.host, record.backend) for record in enforcements(guard.log)} == {("server", "nftables")}


@pytest.mark.parametrize(
    "meddling",
    [
        "flush ruleset",
        "delete table inet banstream",
        "flush set inet banstream v4_32",
        "delete element inet banstream v4_32 { 203.0.113.9 }",
        "flush chain inet banstream prerouting",
    ],
)
def test_what_others_destroyed_is_repaired_within_two_seconds(
    net: Fleet, guard: Guard, meddling: str
) -> None:
    """Packets are dropped again, the ban still ends when it should, and our own repair wakes nobody."""
    guard.log.append([standing("203.0.113.9", hold(wall_clock_ms() + HOUR_MS))])
    guard.poll()
    guard.nft(meddling)
    assert guard.repaired("203.0.113.9 timeout")
    assert not net["attacker"].reaches(net["server"].ip4, source="203.0.113.9", within_s=0.2)
    assert eventually(lambda: not guard.poll())
    time.sleep(0.6)
    assert not guard.poll()
    repairs = 0 if "chain" in meddling else 1
    assert guard.enforcer.status().repaired == repairs


def test_a_restart_leaves_what_is_right_alone(net: Fleet, guard: Guard) -> None:
    """The timeout of an element still counts from its ban, and so do the rules' counters."""
    guard.log.append([standing("203.0.113.9", hold(wall_clock_ms() + HOUR_MS)), standing("198.51.100.0/24")])
    guard.poll()
    assert not net["attacker"].reaches(net["server"].ip4, source="203.0.113.9", within_s=0.2)
    before = [line.split("expires")[0] for line in guard.listed().splitlines()]
    assert any("counter packets" in line and "packets 0 " not in line for line in before)
    guard.enforcer.close()
    guard.start()
    assert [line.split("expires")[0] for line in guard.listed().splitlines()] == before
    assert len(outcomes(guard.log)) == 2


def test_own_addresses_gateways_and_operators_are_never_in_the_firewall(net: Fleet) -> None:
    """Whatever the log says; prefixes around them neither, and addresses that come later are let go."""
    guard = Guard(net, EnforcerConfig(host="server", never_ban=("203.0.113.0/28",), refresh_ms=0))
    server, attacker = net["server"], net["attacker"]
    server.run(["ip", "route", "replace", "default", "via", attacker.ip4])
    guard.poll()
    refused = [server.ip4, server.ip6, attacker.ip4, "10.77.0.0/24", "fd77::/16", "203.0.113.9", "127.0.0.1"]
    guard.log.append([*map(standing, refused), standing("198.51.100.7")])
    guard.poll()
    assert {(prefix, outcome) for _, prefix, outcome in outcomes(guard.log)} == {
        *((prefix, "refused") for prefix in refused),
        ("198.51.100.7", "applied"),
    }
    assert attacker.reaches(server.ip4)
    server.add("198.51.100.7")
    guard.poll()
    assert guard.backend.list() == []
    guard.enforcer.close()


def test_ssh_peers_are_protected_by_option(net: Fleet) -> None:
    """While their connection stands; a ban of another address of the same machine is applied."""
    guard = Guard(net, EnforcerConfig(host="server", protect_ssh_peers=True))
    server, attacker = net["server"], net["attacker"]
    with server.listen(22), attacker.connect(server.ip4, 22):
        guard.log.append([standing(attacker.ip4), standing("203.0.113.9")])
        guard.poll()
    assert outcomes(guard.log) == [("ban", attacker.ip4, "refused"), ("ban", "203.0.113.9", "applied")]
    guard.enforcer.close()


def test_a_firewall_that_dies_is_recorded_and_recovers(guard: Guard) -> None:
    """Bans fail while the library does, each is recorded with its words, and applied when it works again."""
    library = guard.backend._library  # noqa: SLF001 - takes the place of a library that breaks down

    class Broken:
        def cmd(self, cmdline: bytes) -> tuple[int, bytes, bytes]:
            """Fail with words."""
            return -1, b"", b"netlink: Error: Could not process rule: Cannot allocate memory\n" + cmdline[:0]

    guard.backend._library = Broken()  # noqa: SLF001 - as above
    guard.log.append([standing("203.0.113.9"), standing("198.51.100.0/24", hold(None, (22,)))])
    guard.poll()
    assert [record.outcome for record in enforcements(guard.log)] == ["failed", "failed"]
    assert "Cannot allocate memory" in (enforcements(guard.log)[0].detail or "")
    guard.nft("flush ruleset")
    guard.poll()
    guard.backend._library = library  # noqa: SLF001 - as above
    assert eventually(lambda: guard.poll() and len(guard.backend.list()) == 2)
    assert sorted(outcomes(guard.log)[2:]) == [
        ("ban", "198.51.100.0/24", "applied"),
        ("ban", "203.0.113.9", "applied"),
    ]


def test_a_ban_costs_about_a_millisecond(guard: Guard) -> None:
    """From the poll that sees it to the kernel and the record: half of 200 within 2 ms."""
    took_s = []
    for number in range(200):
        guard.log.append([standing(f"203.0.114.{number}", hold(wall_clock_ms() + HOUR_MS))])
        begun = time.perf_counter()
        guard.poll()
        took_s.append(time.perf_counter() - begun)
    assert len(guard.backend.list()) == 200
    assert sorted(took_s)[100] < 0.002
