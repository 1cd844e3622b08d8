"""The contract of every backend, on the one that observes and on the real firewall."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from enforcers.contract import Backend, Element
from enforcers.nftables import NftablesBackend
from enforcers.null import NullBackend
from tests.enforcers.standings import HOUR_MS, eventually
from tests.namespaces import fleet

EVERYTHING = (
    Element("192.0.2.7", (), HOUR_MS),
    Element("192.0.2.0/24", (), 2 * HOUR_MS),
    Element("198.51.100.0/25", (22, 2222), None),
    Element("2001:db8::7", (), None),
    Element("2001:db8:0:1::/64", (443,), HOUR_MS),
    Element("::102:304", (), HOUR_MS),
)


@pytest.fixture(params=["null", pytest.param("nftables", marks=pytest.mark.real("nftables"))])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """An opened backend; the real one in a namespace of its own."""
    if request.param == "null":
        yield NullBackend()
        return
    with fleet("server") as net, net["server"].inside():
        opened = NftablesBackend()
        opened.open()
        yield opened
        opened.close()


def held(backend: Backend) -> dict[tuple[str, tuple[int, ...]], int | None]:
    """What it holds, by identity, in order."""
    listed = backend.list()
    ends = {(element.prefix, element.ports): element.remaining_ms for element in listed}
    assert len(ends) == len(listed)
    return dict(sorted(ends.items()))


def test_an_opened_backend_holds_nothing_it_was_not_told(backend: Backend) -> None:
    """A new firewall lists no element, and opening it again changes nothing."""
    backend.open()
    assert held(backend) == {}


def test_what_was_banned_is_listed_with_its_remaining_time(backend: Backend) -> None:
    """Prefix, ports and remaining time come back as they were given, both families, to 20 seconds."""
    assert not backend.ban(EVERYTHING)
    listed = held(backend)
    assert set(listed) == {(element.prefix, element.ports) for element in EVERYTHING}
    for prefix, ports, remaining_ms in EVERYTHING:
        left = listed[prefix, ports]
        assert (left is None) == (remaining_ms is None)
        assert left is None or remaining_ms is None or remaining_ms - 20_000 <= left <= remaining_ms + 100


@pytest.mark.parametrize("count", [1, 100])
def test_a_ban_again_gives_the_time_anew(backend: Backend, count: int) -> None:
    """Banning what is banned prolongs it, shortens it, makes it last for ever and ends that again."""
    elements = [Element(f"192.0.2.{last}", (), HOUR_MS) for last in range(count)]
    for remaining_ms in (HOUR_MS, HOUR_MS * 5, HOUR_MS // 2, None, HOUR_MS):
        again = [element._replace(remaining_ms=remaining_ms) for element in elements]
        assert not backend.ban(again)
        assert len(held(backend)) == count
        for left in held(backend).values():
            assert (left is None) == (remaining_ms is None)
            assert left is None or remaining_ms is None or remaining_ms - 20_000 <= left <= remaining_ms + 100


def test_an_unban_lets_go_only_what_it_names(backend: Backend) -> None:
    """The same prefix on other ports, and wider prefixes around it, stay."""
    backend.ban((*EVERYTHING, Element("192.0.2.7", (22,), None)))
    assert not backend.unban([Element("192.0.2.7"), Element("2001:db8:0:1::/64", (443,))])
    assert ("192.0.2.7", (22,)) in held(backend)
    assert ("192.0.2.0/24", ()) in held(backend)
    assert len(held(backend)) == len(EVERYTHING) - 1


def test_an_unban_of_what_is_not_held_is_no_failure(backend: Backend) -> None:
    """Also where no such prefix length or port group was ever banned, and beside one that is held."""
    backend.ban([Element("192.0.2.7")])
    assert not backend.unban([Element("192.0.2.7"), Element("192.0.2.8"), Element("10.0.0.0/9", (1, 2))])
    assert not backend.unban([Element("192.0.2.7")])
    assert held(backend) == {}


def test_a_ban_ends_by_itself(backend: Backend) -> None:
    """An element is gone after its remaining time, and can be banned again."""
    backend.ban([Element("192.0.2.7", (), 200), Element("192.0.2.8", (), HOUR_MS)])
    assert eventually(lambda: list(held(backend)) == [("192.0.2.8", ())])
    assert not backend.ban([Element("192.0.2.7", (), HOUR_MS)])
    assert len(held(backend)) == 2


def test_a_ban_of_no_time_left_does_not_last_for_ever(backend: Backend) -> None:
    """An element with nothing left, or less, is gone at once."""
    backend.ban([Element("192.0.2.7", (), 0), Element("192.0.2.8", (), -5)])
    assert eventually(lambda: not held(backend))


def test_a_flush_lets_everything_go_and_leaves_it_usable(backend: Backend) -> None:
    """After a flush, and a second one, nothing is held, and bans are taken again."""
    backend.ban(EVERYTHING)
    backend.flush()
    backend.flush()
    assert not backend.ban([Element("192.0.2.7")])
    assert held(backend) == {("192.0.2.7", ()): None}


def test_empty_batches_are_no_failure(backend: Backend) -> None:
    """Nothing to do is nothing to fail."""
    assert not backend.ban(())
    assert not backend.unban(())


def test_what_it_did_itself_is_no_change_by_others(backend: Backend) -> None:
    """Bans, unbans and listings of its own, small and large, never look like another's."""
    backend.list()
    for count in (1, 3_000):
        elements = [Element(f"10.0.{number >> 8}.{number & 255}") for number in range(count)]
        backend.ban(elements)
        assert not backend.changed()
        backend.unban(elements)
        assert not backend.changed()
