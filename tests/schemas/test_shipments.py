"""The key of a shipped message: who sent it, and when."""

from __future__ import annotations

import pytest

from schemas.shipments import Shipment, key_of, shipment_of


@pytest.mark.parametrize("host", ["web1", "web1.example.org", "a@b", "\n"])
def test_a_key_says_who_and_when(host: str) -> None:
    """What a key was made of is read from it, whatever the host is called."""
    shipment = Shipment(host, 1_795_351_806_062)
    assert shipment_of(key_of(shipment)) == shipment


@pytest.mark.parametrize("key", [None, "", "web1", "@5", "web1@", "web1@-5", "web1@1e9", "web1@" + "9" * 16])
def test_any_other_key_says_nothing(key: str | None) -> None:
    """A key that is no shipment's is none, and no error."""
    assert shipment_of(key) is None
