"""The nftables backend beyond the contract: bad elements, many of them, and a table that others touched."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from enforcers.contract import Element
from enforcers.nftables import NftablesBackend
from schemas.errors import EnforcementFailed
from tests.enforcers.standings import HOUR_MS, eventually
from tests.namespaces import fleet

pytestmark = pytest.mark.real("nftables")


@pytest.fixture
def backend() -> Iterator[NftablesBackend]:
    """An opened backend; the test itself is inside its namespace."""
    with fleet("server") as net, net["server"].inside():
        opened = NftablesBackend()
        opened.open()
        yield opened
        opened.close()


def nft(*words: str) -> str:
    """What somebody else's nft does."""
    return subprocess.run(["nft", *words], check=True, capture_output=True, text=True).stdout


def addresses(count: int) -> list[Element]:
    """So many addresses, banned for an hour."""
    return [Element(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", (), HOUR_MS) for n in range(count)]


def prefixes(backend: NftablesBackend) -> set[str]:
    """What it holds."""
    return {element.prefix for element in backend.list()}


class CountingLibrary:
    """Takes the place of a backend's library and counts what the kernel is asked."""

    def __init__(self, backend: NftablesBackend) -> None:
        assert backend._library is not None  # noqa: SLF001 - there is no other way in
        self._library = backend._library  # noqa: SLF001 - as above
        self.calls = 0
        backend._library = self  # noqa: SLF001 - as above

    def cmd(self, cmdline: bytes) -> tuple[int, bytes, bytes]:
        """Count and pass on."""
        self.calls += 1
        return self._library.cmd(cmdline)


@pytest.mark.parametrize(
    "bad",
    [
        Element("not-an-address"),
        Element("localhost"),
        Element("192.0.2.7 } ; flush ruleset ; add element inet banstream v4_32 { 192.0.2.8"),
        Element("192.0.2.7/24"),
        Element("192.0.2.07"),
        Element("192.0.2.7", (70_000,)),
        Element("192.0.2.7", tuple(range(1, 60))),
        Element(""),
    ],
    ids=lambda bad: bad.prefix[:12],
)
def test_an_element_that_is_none_fails_alone(backend: NftablesBackend, bad: Element) -> None:
    """It never reaches nft, the others of its batch are banned, and the failure names it and says why."""
    failures = backend.ban([Element("10.0.0.1"), bad, Element("10.0.0.2")])
    assert [failure.element for failure in failures] == [bad]
    assert failures[0].reason
    assert prefixes(backend) == {"10.0.0.1", "10.0.0.2"}


@pytest.mark.parametrize("count", [5, 500])
def test_elements_that_the_kernel_refuses_fail_alone(backend: NftablesBackend, count: int) -> None:
    """Where one set is full, as much of it is used as there is room, and all other sets take theirs."""
    nft("add set inet banstream v4_24 { type ipv4_addr; flags timeout; size 3; }")
    wide = [Element(f"192.0.{n}.0/24") for n in range(5)]
    failures = backend.ban([*addresses(count), *wide])
    assert len(failures) == 2
    assert {failure.element.prefix for failure in failures} <= {element.prefix for element in wide}
    assert len(backend.list()) == count + 3


def test_a_firewall_that_refuses_everything_fails_every_element_soon(backend: NftablesBackend) -> None:
    """When the set that all belong to is of another type, each is reported, without a try for each."""
    nft("add set inet banstream v4_32 { type ipv6_addr; flags timeout; }")
    library = CountingLibrary(backend)
    assert len(backend.ban(addresses(2_000))) == 2_000
    assert library.calls < 100


@pytest.mark.parametrize("count", [100_000, 300_000])
def test_sets_have_room_for_hundreds_of_thousands(backend: NftablesBackend, count: int) -> None:
    """No default size of a set stands in the way."""
    assert not backend.ban(addresses(count))
    if count == 100_000:
        assert len(backend.list()) == count


@pytest.mark.parametrize("count", [1, 100])
def test_every_set_has_one_rule(backend: NftablesBackend, count: int) -> None:
    """However many batches fill it."""
    for batch in range(3):
        backend.ban(addresses(count * (batch + 1)))
        backend.unban(addresses(count))
    assert nft("list", "chain", "inet", "banstream", "prerouting").count("@v4_32") == 1


def test_a_new_process_finds_what_an_older_one_banned(backend: NftablesBackend) -> None:
    """Bans, rules and counters outlive the process, and the next one leaves them as they are."""
    backend.ban([Element("10.0.0.1"), Element("2001:db8::/64", (22,), HOUR_MS)])
    before = nft("-a", "list", "table", "inet", "banstream").replace("expires", "").split("\tchain")[1]
    backend.close()
    backend.close()
    successor = NftablesBackend()
    successor.open()
    assert prefixes(successor) == {"10.0.0.1", "2001:db8::/64"}
    assert nft("-a", "list", "table", "inet", "banstream").split("\tchain")[1] == before
    successor.close()


@pytest.mark.parametrize(
    "meddling",
    [
        "flush ruleset",
        "flush table inet banstream",
        "flush chain inet banstream prerouting",
        "delete chain inet banstream prerouting",
        "insert rule inet banstream prerouting accept",
        "insert rule inet banstream prerouting ip saddr 10.0.0.1 accept",
        "delete element inet banstream v4_32 { 10.0.0.1 }",
        "flush set inet banstream v4_32",
        "add element inet banstream v4_32 { 10.9.9.9 }",
    ],
)
def test_meddling_is_noticed_and_a_listing_makes_the_frame_right(
    backend: NftablesBackend, meddling: str
) -> None:
    """After `list` and a new ban the rules are just ours again, one for each set."""
    backend.ban([Element("10.0.0.1"), Element("2001:db8::1")])
    backend.list()
    if meddling.startswith("delete chain"):
        nft("flush chain inet banstream prerouting")
        backend.list()
        nft("flush chain inet banstream prerouting; delete chain inet banstream prerouting")
    else:
        nft(meddling)
    assert eventually(backend.changed)
    backend.list()
    assert not backend.ban([Element("10.0.0.1"), Element("2001:db8::1")])
    chain = nft("list", "table", "inet", "banstream").split("\tchain")[1]
    assert chain.count("@v4_32") == chain.count("@v6_128") == 1
    assert "accept\n" not in chain.replace("policy accept", "")
    backend.list()
    assert not backend.changed()


def test_a_table_of_another_make_is_replaced() -> None:
    """A chain of our name on another hook, as an older version might leave, does not stop us."""
    with fleet("server") as net, net["server"].inside():
        nft("add table inet banstream")
        nft("add chain inet banstream prerouting { type filter hook input priority 0; }")
        backend = NftablesBackend()
        backend.open()
        assert not backend.ban([Element("10.0.0.1")])
        assert "hook prerouting priority raw - 10" in nft("list", "table", "inet", "banstream")
        backend.close()


def test_a_closed_backend_says_so() -> None:
    """Nothing is silently left undone after close."""
    backend = NftablesBackend()
    failures = backend.ban([Element("10.0.0.1")])
    assert [failure.reason for failure in failures] == ["nftables is not open"]


def test_a_table_has_a_plain_name() -> None:
    """Text that would be nft's syntax is refused before anything runs."""
    with pytest.raises(EnforcementFailed, match="letters, digits"):
        NftablesBackend("x; flush ruleset")
