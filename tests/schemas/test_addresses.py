"""Addresses and prefixes have one form, and the wire takes no other."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.addresses import canonical_address, canonical_prefix, network_of, parse_prefix
from schemas.codec import decode, encode
from schemas.errors import InvalidMessage
from schemas.records import Standing
from tests.schemas.strategies import PATIENT, prefixes

CANONICAL = {
    "192.0.2.7": "192.0.2.7",
    "192.0.2.7/32": "192.0.2.7",
    "192.0.2.0/24": "192.0.2.0/24",
    "192.0.2.0/255.255.255.0": "192.0.2.0/24",
    "0.0.0.0/0": "0.0.0.0/0",
    "2001:DB8:0:0:0:0:0:1": "2001:db8::1",
    "2001:db8::1/128": "2001:db8::1",
    "2001:0db8::/32": "2001:db8::/32",
    "::/0": "::/0",
    "::ffff:192.0.2.7": "192.0.2.7",
    "::FFFF:c000:207": "192.0.2.7",
    "::ffff:192.0.2.0/120": "192.0.2.0/24",
    "::ffff:0:0/96": "0.0.0.0/0",
    "fe80::1%eth0": "fe80::1",
    "fe80::%eth0/64": "fe80::/64",
}
NEITHER = (
    *("", "/", "example.org", "3221225991", "0xc0000207", "1::2::3"),
    *("192.0.2", "192.0.2.256", "192.0.2.07", "192.0.2.7\n", " 192.0.2.7", "192.0.2.7\x00", "\u0661.2.3.4"),
    *("192.0.2.7/24", "192.0.2.0/33", "192.0.2.0/+24", "192.0.2.0/24/24"),
    *("2001:db8::1/64", "2001:db8::/129", "::ffff:0:0/95", "::1/64%eth0"),
)


def on_the_wire(prefix: str) -> str:
    """The prefix of a record that was written with one and read back."""
    record = decode(encode(Standing(prefix=prefix, decision="", decided_at_ms=0, holds=())))
    assert isinstance(record, Standing)
    return record.prefix


@pytest.mark.parametrize(("text", "canonical"), CANONICAL.items())
def test_every_spelling_has_one_form(text: str, canonical: str) -> None:
    """Case, zeros, masks, mapped IPv6 and zones are folded into one form, which is its own."""
    assert canonical_prefix(text) == canonical
    assert canonical_prefix(canonical) == canonical


@pytest.mark.parametrize("text", [text for text, canonical in CANONICAL.items() if text != canonical])
def test_the_wire_takes_no_other_spelling(text: str) -> None:
    """A record with another spelling is refused, so that one prefix is one key."""
    assert on_the_wire(CANONICAL[text]) == CANONICAL[text]
    with pytest.raises(InvalidMessage, match=r"^prefix: expected the canonical form "):
        on_the_wire(text)


@pytest.mark.parametrize("text", NEITHER)
def test_what_is_no_prefix_is_refused(text: str) -> None:
    """Neither names, numbers, host bits nor anything around an address is a prefix."""
    with pytest.raises(InvalidMessage, match="not an address or prefix"):
        parse_prefix(text)
    with pytest.raises(InvalidMessage, match="prefix: not an address or prefix"):
        on_the_wire(text)


def test_a_zone_cannot_smuggle_text() -> None:
    """A zone is any text at all; none of it gets through, neither in an address nor in a prefix."""
    for zone in ("%eth0", '%"; flush ruleset', "%\n\x1b[31m", "%a%b"):
        assert canonical_address(f"fe80::1{zone}") == "fe80::1"
        assert canonical_prefix(f"fe80::{zone}/64") == "fe80::/64"
        with pytest.raises(InvalidMessage):
            on_the_wire(f"fe80::{zone}/64")


@PATIENT
@given(st.ip_addresses())
def test_the_form_of_an_address_is_the_shortest(address: object) -> None:
    """Any spelling of an address, and its prefix of full length, have the same canonical form."""
    text = str(address)
    canonical = canonical_address(text)
    assert canonical_prefix(text) == canonical_prefix(text.upper()) == canonical
    assert canonical_prefix(f"{canonical}/{ip_network(canonical).prefixlen}") == canonical


@PATIENT
@given(prefixes())
def test_a_prefix_lies_in_its_network(prefix: str) -> None:
    """The unit of partitioning holds the prefix, or is the prefix when that is wider."""
    network, unit = parse_prefix(prefix), parse_prefix(network_of(prefix))
    assert network.version == unit.version
    assert unit.prefixlen == min(network.prefixlen, 24 if network.version == 4 else 48)
    assert network.network_address in unit


@PATIENT
@given(st.text(max_size=30))
def test_any_text_is_a_prefix_or_refused(text: str) -> None:
    """Whatever the text, it has a canonical form made of hex digits, dots, colons and a slash, or none."""
    try:
        canonical = canonical_prefix(text)
    except InvalidMessage:
        return
    assert set(canonical) <= set("0123456789abcdef.:/")
