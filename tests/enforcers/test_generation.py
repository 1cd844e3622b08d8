"""Changes by others are told from our own, and from those to other tables."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from enforcers.contract import Element
from enforcers.nftables import NftablesBackend
from tests.namespaces import fleet

pytestmark = pytest.mark.real("nftables")


@pytest.fixture
def backend() -> Iterator[NftablesBackend]:
    """An opened backend that has listed its table; the test itself is inside its namespace."""
    with fleet("server") as net, net["server"].inside():
        opened = NftablesBackend()
        opened.open()
        opened.ban([Element("10.0.0.1")])
        opened.list()
        yield opened
        opened.close()


def nft(commands: str) -> None:
    """What somebody else's nft does."""
    subprocess.run(["nft", "-f", "-"], input=commands, check=True, text=True)


def crowd(table: str, count: int = 20_000) -> str:
    """Commands whose notification overflows any socket."""
    elements = ", ".join(f"10.1.{n >> 8}.{n & 255}" for n in range(count))
    return (
        f"add table inet {table}\nadd set inet {table} crowd {{ type ipv4_addr; }}\n"
        f"add element inet {table} crowd {{ {elements} }}\n"
    )


def test_a_change_to_our_table_is_noticed_once(backend: NftablesBackend) -> None:
    """One change is one notice, and wakes the reader."""
    nft("flush set inet banstream v4_32")
    assert backend.changed()
    assert not backend.changed()


def test_a_change_to_another_table_is_none(backend: NftablesBackend) -> None:
    """Other programs' tables and other families' tables of our name are not ours."""
    nft("add table inet other; add table ip banstream; add chain ip banstream prerouting")
    assert not backend.changed()


def test_a_change_between_our_own_is_noticed(backend: NftablesBackend) -> None:
    """Our own transactions before and after do not hide another's, whether small or large."""
    for count in (1, 5_000):
        batch = [Element(f"10.2.{n >> 8}.{n & 255}") for n in range(count)]
        backend.ban(batch)
        nft("delete element inet banstream v4_32 { 10.0.0.1 }")
        backend.unban(batch)
        assert backend.changed()
        backend.ban([Element("10.0.0.1")])
        assert not backend.changed()


def test_another_table_between_our_own_is_still_none(backend: NftablesBackend) -> None:
    """What others do elsewhere costs no listing, even amid our own work."""
    backend.ban([Element("10.0.0.2")])
    assert not backend.changed()
    nft("add table inet other")
    backend.ban([Element("10.0.0.3")])
    assert not backend.changed()


def test_lost_messages_count_as_a_change(backend: NftablesBackend) -> None:
    """When the kernel dropped messages, another's transaction is taken for one on our table."""
    nft(crowd("other", 20_000))
    nft("flush set inet banstream v4_32")
    assert backend.changed()
    assert not backend.changed()


def test_a_change_while_messages_were_off_is_noticed(backend: NftablesBackend) -> None:
    """During a large batch of ours nothing is heard, and the generation number tells all the same."""
    watch = backend._watch  # noqa: SLF001 - only so a change falls into the quiet moment
    assert watch is not None
    with watch.quiet():
        nft("flush set inet banstream v4_32")
    backend.ban([Element("10.0.0.4")])
    assert backend.changed()
