"""The key of a shipped message: who sent it, when, in which order, and signed."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.shipments import MOST_HOST_BYTES, MOST_INSTANT_MS, Shipment, is_host, key_of, shipment_of
from tests.schemas.strategies import PATIENT

SIGNATURE = "-_aB" * 21 + "AQ"
instants = st.integers(0, MOST_INSTANT_MS)
signatures = st.text("AZaz09-_@+", min_size=86, max_size=86).filter(lambda text: "@" not in text)


@st.composite
def shipments(draw: st.DrawFn) -> Shipment:
    """Any shipment, signed or not; one that is not is never ahead."""
    host = draw(st.text("@+0a/\n\u00e9\U0001f600" + SIGNATURE, min_size=1, max_size=90).filter(is_host))
    signature = draw(st.none() | signatures)
    return Shipment(host, draw(instants), draw(instants) if signature else 0, signature)


@PATIENT
@given(shipments())
@example(Shipment(f"a@{SIGNATURE}", 0))
@example(Shipment(f"a@5@{SIGNATURE}", 7, 0, SIGNATURE))
def test_a_key_is_read_as_it_was_made(shipment: Shipment) -> None:
    """Whatever the host is called, also as a key is written."""
    assert shipment_of(key_of(shipment)) == shipment


@PATIENT
@given(st.text("a@+01" + SIGNATURE, max_size=200) | st.text(max_size=500))
@example("web1@1@" + "\u0661" * 86)
@example("@" * 100_000)
def test_whatever_is_read_was_written_so(key: str) -> None:
    """Any text is a key that is made the same again, or nothing."""
    shipment = shipment_of(key)
    assert shipment is None or key_of(shipment) == key


@pytest.mark.parametrize(
    "key",
    [
        None,
        *("", "web1", "@5", "web1@", "web1@-5", "web1@1e9", "web1@05", "web1@\u0665", "web1@ 5"),
        "web1@" + "9" * 14,
        *("web1@5+3", "web1@5+", f"web1@5+0@{SIGNATURE}", f"web1@5+@{SIGNATURE}", f"web1@+3@{SIGNATURE}"),
        *(f"web1@{SIGNATURE}", f"@5@{SIGNATURE}", f"web1@5@{SIGNATURE}=", f"web1@5@{SIGNATURE[1:]}"),
        f"web1@5+{MOST_INSTANT_MS + 1}@{SIGNATURE}",
        "\ud800@5",
        "a" * (MOST_HOST_BYTES + 1) + "@5",
        "\u00e9" * (MOST_HOST_BYTES // 2 + 1) + "@5",
    ],
)
def test_any_other_key_says_nothing(key: str | None) -> None:
    """A key that is no shipment's is none, and no error."""
    assert shipment_of(key) is None


def test_the_bounds_are_inclusive() -> None:
    """The longest name, the last instant, and as much ahead, are read."""
    shipment = Shipment("\u00e9" * (MOST_HOST_BYTES // 2), MOST_INSTANT_MS, MOST_INSTANT_MS, SIGNATURE)
    assert shipment_of(key_of(shipment)) == shipment
    assert shipment.order_ms == 2 * MOST_INSTANT_MS


def test_a_key_of_before_is_read() -> None:
    """Unsigned, as shippers of before write it."""
    assert shipment_of("web1@1795351806062") == Shipment("web1", 1_795_351_806_062, 0, None)
