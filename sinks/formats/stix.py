"""STIX 2.1: a ban as an indicator, https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html, 4.7.

Its identifier is a UUID of version 5 of the ban's, so one that comes twice is the same object. A ban that had
ended when it was decided is no indicator (`valid_until` must lie after `valid_from`), nor is anything but a
ban: an unban does not know when the ban's object was created, which a new version of it must say.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from schemas.records import Ban
from schemas.steering import harmless
from sinks.contract import FormatKind, Item, Options, SentBy, Writing
from sinks.facts import technique_of_item
from sinks.sentences import rfc3339, sentence

NAMESPACE: Final = UUID("5f0b7c2e-3d0c-4b6e-9a51-0b9a4f0c2d67")
"""Ours: identifiers of version 5 are told apart by it."""
ATTACK_URL: Final = "https://attack.mitre.org/techniques/"


def writer(_: SentBy, __: Options) -> Writing:
    """The same for everybody."""
    return write


def write(item: Item) -> bytes:
    """A ban's indicator. Raises ValueError for anything else, and for a ban that had ended."""
    ban = item.record
    if not isinstance(ban, Ban):
        raise TypeError('STIX has indicators of bans alone: on = ["ban"]')
    if ban.until_ms is not None and ban.until_ms <= ban.at_ms:
        raise ValueError('a ban that had ended when it was decided is no indicator: on = ["ban"]')
    kind = "ipv6-addr" if ":" in ban.prefix else "ipv4-addr"
    at = rfc3339(ban.at_ms)
    indicator: dict[str, Any] = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": identifier_of(item),
        "created": at,
        "modified": at,
        "name": f"{'SAMPLE: ' if item.sample else ''}{ban.prefix}",
        "description": sentence(ban),
        "indicator_types": ["malicious-activity"],
        "pattern": f"[{kind}:value = '{ban.prefix}']",
        "pattern_type": "stix",
        "valid_from": at,
    }
    if ban.until_ms is not None:
        indicator["valid_until"] = rfc3339(ban.until_ms)
    if (technique := technique_of_item(item)) is not None:
        url = ATTACK_URL + technique.uid.replace(".", "/")
        reference = {"source_name": "mitre-attack", "external_id": technique.uid, "url": url}
        indicator["external_references"] = [reference]
    return harmless(orjson.dumps(indicator))


def identifier_of(item: Item) -> str:
    """The identifier of an item's object: the same whenever it is sent."""
    return f"indicator--{uuid5(NAMESPACE, item.id)}"


KIND: Final = FormatKind(writer, content_type="application/stix+json;version=2.1")
