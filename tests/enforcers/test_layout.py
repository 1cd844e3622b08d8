"""The table as text: places, timeouts, rules, and listings read back."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcers import layout
from enforcers.contract import Element
from schemas.addresses import canonical_prefix, format_prefix
from schemas.errors import EnforcementFailed

NETWORKS = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
        lambda pair: IPv4Network(pair, strict=False)
    ),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
        lambda pair: IPv6Network(pair, strict=False)
    ),
)
PORTS = st.sets(st.integers(1, 65_535), max_size=5).map(lambda ports: tuple(sorted(ports)))

LISTING = """table inet banstream {
  set v4_32 {
    type ipv4_addr
    flags timeout
    elements = { 192.0.2.7 timeout 1d1h2m3s4ms expires 1d1h2m3s4ms, 192.0.2.8,
           192.0.2.9 timeout 5m expires 4m, 192.0.2.10 timeout 1s expires 500ms }
  }

  set v6_128 {
    type ipv6_addr
    flags timeout
    elements = { ::1.2.3.4, 2001:db8::7 timeout 1h expires 59m59s908ms }
  }

  set other {
    type ipv4_addr
    elements = { 192.0.2.99 }
  }

  set v4_24_p22_2222 {
    type ipv4_addr
    flags timeout
    elements = { 198.51.100.0 }
  }

  set v6_64 {
    type ipv6_addr
    flags timeout
  }

  chain prerouting {
    type filter hook prerouting priority raw - 10; policy accept;
    ip saddr @v4_32 counter packets 12 bytes 34 drop
    ip saddr & 255.255.255.0 == @v4_24_p22_2222 th dport { 22, 2222 } counter drop
    ip6 saddr & ffff:ffff:ffff:ffff:: @v6_64 counter packets 0 bytes 0 drop
  }
}
""".replace("  ", "\t")


def test_a_listing_reads_as_elements() -> None:
    """Prefixes are canonical, remaining times are what `expires` says, and sets of others are left out."""
    listing = layout.parse(LISTING)
    assert listing.sets == {
        "v4_32": [
            Element("192.0.2.7", (), 90_123_004),
            Element("192.0.2.8", (), None),
            Element("192.0.2.9", (), 240_000),
            Element("192.0.2.10", (), 500),
        ],
        "v6_128": [Element("::102:304", (), None), Element("2001:db8::7", (), 3_599_908)],
        "v4_24_p22_2222": [Element("198.51.100.0/24", (22, 2222), None)],
        "v6_64": [],
    }


def test_a_listing_tells_which_sets_are_looked_up() -> None:
    """Both ways in which versions of nft write a masked look-up are understood."""
    assert layout.parse(LISTING).looked_up == ("v4_32", "v4_24_p22_2222", "v6_64")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\t\tip saddr @v4_32", "\t\taccept\n\t\tip saddr @v4_32"),
        ("34 drop", "34 accept"),
        ("hook prerouting", "hook input"),
        ("chain prerouting", "chain elsewhere"),
    ],
)
def test_a_chain_that_others_changed_is_told(old: str, new: str) -> None:
    """A rule that might let packets by, another hook, or no chain at all."""
    assert layout.parse(LISTING.replace(old, new)).looked_up is None


@given(NETWORKS, PORTS)
def test_every_prefix_has_a_place_and_comes_back_from_it(
    network: IPv4Network | IPv6Network, ports: tuple[int, ...]
) -> None:
    """Set and address together give the prefix and the ports again."""
    prefix = canonical_prefix(format_prefix(network))
    name, address = layout.place(Element(prefix, ports))
    listing = layout.parse(f"{{\n\tset {name} {{\n\t\telements = {{ {address} }}\n\t}}\n}}")
    assert listing.sets == {name: [Element(prefix, ports, None)]}


@given(st.text(max_size=60) | st.from_regex(r"[0-9a-f:./]{1,40}", fullmatch=True))
def test_no_other_text_gets_a_place(text: str) -> None:
    """Whatever the text, the address is digits, hex, dots and colons, or it is refused."""
    try:
        _, address = layout.place(Element(text))
    except EnforcementFailed:
        return
    assert set(address) <= set("0123456789abcdef.:")
    assert canonical_prefix(text) == canonical_prefix(
        address + text[text.find("/") :] if "/" in text else address
    )


@given(st.integers(1, 200_000 * layout.DAY_MS))
def test_a_timeout_is_the_remaining_time(remaining_ms: int) -> None:
    """Days and milliseconds add up to it, up to 100,000 days, within nft's 32 bits of milliseconds."""
    days, _, rest = layout.timeout(remaining_ms).removeprefix(" timeout ").rpartition("d")
    rest_ms = int(rest.removesuffix("ms"))
    assert int(days or 0) * layout.DAY_MS + rest_ms == min(remaining_ms, layout.MAX_TIMEOUT_MS)
    assert rest_ms < 2**32


def test_no_time_left_is_the_shortest_time_and_none_is_for_ever() -> None:
    """A timeout of zero would be none at all to nft."""
    assert layout.timeout(0) == layout.timeout(-1) == " timeout 0d1ms"
    assert layout.timeout(None) == ""
