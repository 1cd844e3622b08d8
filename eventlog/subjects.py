"""What the records of a message are about, and the hashes by which eventlog.index finds them. Pure.

| topic | its records are about |
|---|---|
| events | an address |
| decisions | a prefix; and each has an id |
| enforcements | a decision, by its id |

A subject's hash has 32 bits: the upper 16 of the CRC-32 of its network (the /24 or /64 of an address; of
anything else itself), the lower 16 of its own. So one number finds an address, and a span its network.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network
from operator import attrgetter
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec

from eventlog.contract import Message
from eventlog.follower import Located
from schemas.addresses import Network, parse_prefix
from schemas.codec import decode, lines_of
from schemas.errors import InvalidMessage
from schemas.topics import DECISIONS, ENFORCEMENTS, EVENTS

NETWORK_BITS: Final = 16
OWN_MASK: Final = (1 << NETWORK_BITS) - 1
MOST_NETWORKS: Final = 256
"""A prefix that is wider than so many networks is not looked for by hash."""
MOST_REMEMBERED: Final = 65_536


class _Event(msgspec.Struct, gc=False):
    """Of a record among the events, what it is about."""

    ip: str | None = None


class _Decision(msgspec.Struct, gc=False):
    """Of a record among the decisions."""

    prefix: str | None = None
    id: str | None = None


class _Enforcement(msgspec.Struct, gc=False):
    """Of a record among the enforcements."""

    decision: str | None = None


_Form = type[_Event] | type[_Decision] | type[_Enforcement]
_FORMS: Final[Mapping[str, _Form]] = {
    EVENTS.name: _Event,
    DECISIONS.name: _Decision,
    ENFORCEMENTS.name: _Enforcement,
}
_FIELDS: Final = {topic: form.__struct_fields__ for topic, form in _FORMS.items()}
_DECODERS: Final = {topic: msgspec.json.Decoder(form) for topic, form in _FORMS.items()}
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for text that is no such record; schemas.codec may know better."""


class HashSpan(NamedTuple):
    """Hashes from the first to the last."""

    first: int
    last: int


@lru_cache(MOST_REMEMBERED)
def hash_of(subject: str) -> int:
    """The hash of a subject: an address or prefix in canonical form, or an id."""
    text = subject.encode("utf-8", "surrogatepass")
    own = network = crc32(text)
    if "/" not in subject:
        if ":" in subject:
            network = _crc_of_64(subject, own)
        elif "." in subject:
            network = crc32(text[: text.rindex(b".")])
    return network >> NETWORK_BITS << NETWORK_BITS | own & OWN_MASK


def span_of(subject: str) -> HashSpan:
    """The one hash of a subject, as a span."""
    number = hash_of(subject)
    return HashSpan(number, number)


def spans_inside(prefix: str) -> list[HashSpan] | None:
    """The hashes that addresses inside a prefix can have; None where they would be too many to look for."""
    if "/" not in prefix:
        return [span_of(prefix)]
    network = parse_prefix(prefix)
    length = 24 if network.version == 4 else 64  # noqa: PLR2004 - IP versions
    if network.prefixlen >= length:
        return [_span_of_network(network)]
    if length - network.prefixlen >= MOST_NETWORKS.bit_length():
        return None
    return [_span_of_network(each) for each in network.subnets(new_prefix=length)]


def hashes_of(topic: str, value: bytes) -> set[int]:
    """The hashes of all that the records of a message are about, and perhaps of more."""
    return set(map(hash_of, subjects_of(topic, value)))


def subjects_of(topic: str, value: bytes) -> set[str]:
    """What the records of a message are about, and perhaps more; never less."""
    found: set[Any] = set()
    try:
        records = _DECODERS[topic].decode_lines(value)
    except _UNREADABLE:
        for _, _, subjects in _one_by_one(topic, value):
            found.update(subjects)
    else:
        for field in _FIELDS[topic]:
            found.update(map(attrgetter(field), records))
    found.discard(None)
    return found


def about(topic: str, message: Message, is_wanted: Callable[[str], bool]) -> Iterator[Located]:
    """The records of a message that are about a subject that is wanted, in order."""
    for index, line, subjects in _one_by_one(topic, message.value):
        if any(subject is not None and is_wanted(subject) for subject in subjects):
            try:
                yield Located(topic, message.partition, message.offset, index, decode(line))
            except InvalidMessage:
                continue


def _one_by_one(topic: str, value: bytes) -> Iterator[tuple[int, bytes, tuple[str | None, ...]]]:
    """The lines of a frame with their indexes, and what each is about; none of one that is too large."""
    decoder, fields = _DECODERS[topic], _FIELDS[topic]
    try:
        lines = lines_of(value)
    except InvalidMessage:
        return
    for index, line in enumerate(lines):
        try:
            record: Any = decoder.decode(line)
        except _UNREADABLE:
            try:
                record = decode(line)
            except InvalidMessage:
                continue
        yield index, line, tuple(getattr(record, field, None) for field in fields)


def _span_of_network(network: Network) -> HashSpan:
    """The hashes of the addresses in the /24 or /64 that a network lies in."""
    if isinstance(network, IPv4Network):
        text = str(network.network_address).encode()
        high = crc32(text[: text.rindex(b".")])
    else:
        high = crc32(network.network_address.packed[:8])
    first = high >> NETWORK_BITS << NETWORK_BITS
    return HashSpan(first, first | OWN_MASK)


def _crc_of_64(subject: str, own: int) -> int:
    """The CRC-32 of the /64 of an IPv6 address; what is none stands for itself."""
    try:
        return crc32(socket.inet_pton(socket.AF_INET6, subject)[:8])
    except (OSError, ValueError):
        return own
