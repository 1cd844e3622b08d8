"""Who a failure is put down to: the address, the host name or the other id that its line or session named.

| captured | the failure is of |
|---|---|
| fid, no address | the id; the address that it names, if it names one |
| ip4 or ip6, no fid or the same | the address, or the network where a prefix length was captured too |
| ip4 or ip6, and fid | the id; `ip` is the address |
| dns alone | the address it is written as; else the name, unless usedns is `no` |
| nothing | nobody yet: a later line of the session may tell |
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Final, NamedTuple

from producers.filters.fail2ban.expressions import Captured
from schemas.addresses import canonical_address

HIDDEN: Final = frozenset({"ip4", "ip6", "dns", "fid", "nofail", "mlfgained", "mlfforget", "content"})
REMEMBERED: Final = 16_384


class Identity(NamedTuple):
    """Whom a failure is of.

    Attributes:
        text: a canonical address, a network, or what else is named; empty: a name that usedns leaves alone.
        role: what it is called where it is no address: `dns` or `fid`; empty otherwise.
        ip: the address, where `text` is another id.
    """

    text: str
    role: str = ""
    ip: str = ""


def identity_of(found: Captured, *, usedns: str) -> Identity | None:
    """Whom a failure is of; None when nothing captured says so."""
    fid = found.get("fid")
    address = found.get("ip4") or found.get("ip6")
    if address is not None:
        if fid is None or fid == address:
            return _of_address(text_of(address), found.get("cidr"))
        return _of_id(text_of(fid), text_of(address))
    name = found.get("dns")
    if name is None:
        return None if fid is None else _of_id(text_of(fid), "")
    text = text_of(name)
    if usedns == "raw":
        return Identity(text, "dns")
    try:
        if isinstance(ip_address(text), IPv4Address):
            return Identity(canonical_address(text))
    except ValueError:
        pass
    return Identity("") if usedns == "no" else Identity(text, "dns")


def fields_of(found: Captured, identity: Identity) -> dict[str, str]:
    """What else was captured, under fail2ban's names."""
    fields = {
        name: value if isinstance(value, str) else text_of(value)
        for name, value in found.items()
        if name not in HIDDEN
    }
    if identity.role:
        fields[identity.role] = identity.text
        if identity.ip:
            fields["ip"] = identity.ip
    return fields


def text_of(value: str | tuple[str | None, ...]) -> str:
    """A captured value as text; the parts of a tuple with a space between."""
    return value if isinstance(value, str) else " ".join(part for part in value if part)


@lru_cache(maxsize=REMEMBERED)
def _of_address(text: str, cidr: str | tuple[str | None, ...] | None) -> Identity:
    try:
        if not cidr:
            return Identity(canonical_address(text))
        address = ip_address(text)
        length = min(int(text_of(cidr)), address.max_prefixlen)
        network = ip_network(f"{text}/{length}", strict=False)
    except ValueError:
        return Identity(text, "fid")
    return Identity(str(network.network_address) if length == network.max_prefixlen else str(network))


def _of_id(text: str, address: str) -> Identity:
    """An id, which may be an address or a network itself."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        if "/" not in bare:
            return Identity(canonical_address(bare), "", "")
        return Identity(str(ip_network(bare, strict=False)))
    except ValueError:
        pass
    return Identity(text, "fid", address and (_of_address(address, None).text))
