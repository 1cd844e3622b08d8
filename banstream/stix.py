"""A timeline as a STIX 2.1 bundle, for colleagues' tools: made by hand, the same each time.

https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html

| of the log | in the bundle |
|---|---|
| events of an address alike in kind, filter, user and host | an `observed-data`: how many, and when |
| an address, a user | `ipv4-addr`, `ipv6-addr`, `user-account` |
| a ban | an `indicator`, with a pattern, valid as long as the ban, based on what was observed of it |
| an unban, a prolongation, an enforcement, a command | a `note` on what it is about |

Identifiers are UUIDs of version 5 over what they stand for (of addresses as STIX 2.9 says), so that a bundle
made twice adds nothing. What stands in texts is as the log has it; JSON escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from banstream.sentences import sentence
from banstream.timeline import TimelineEntry
from schemas.records import AuthEvent, Ban, Command, Enforcement, Prolong, Record, Unban

StixObject = dict[str, Any]
NAMESPACE: Final = UUID("00abedb4-aa42-466c-9c23-fed23e77f40d")
"""Of cyber-observable objects (STIX 2.1, 2.9)."""
OWN: Final = UUID("6f1b7b3e-6d0e-5f0c-9b57-6b1d1d0f2c51")
"""Of what this program makes."""
MOST_OBSERVED: Final = 999_999_999


def bundle(log_id: str, entries: Iterable[TimelineEntry]) -> dict[str, Any]:
    """A bundle of a timeline; `log_id`: whose log it is."""
    made = _Making(log_id)
    for entry in entries:
        made.take(entry)
    objects = list(made.finished())
    return {"type": "bundle", "id": f"bundle--{made.name('bundle', len(objects))}", "objects": objects}


@dataclass(slots=True)
class _Observed:
    """Events that are alike."""

    first_ms: int
    last_ms: int
    count: int = 0


@dataclass(slots=True)
class _Making:
    log_id: str
    objects: dict[str, StixObject] = field(default_factory=dict)
    observed: dict[tuple[str, str, str, str, str], _Observed] = field(default_factory=dict)
    bans: list[Ban] = field(default_factory=list)
    notes: list[TimelineEntry] = field(default_factory=list)

    def name(self, *parts: object) -> UUID:
        """The same for the same."""
        return uuid5(OWN, orjson.dumps([self.log_id, *map(str, parts)]).decode())

    def take(self, entry: TimelineEntry) -> None:
        """Take in an entry."""
        match entry.record:
            case AuthEvent() as event:
                key = (event.ip, event.kind, event.filter, event.user or "", event.host or "")
                seen = self.observed.setdefault(key, _Observed(event.at_ms, event.at_ms))
                seen.first_ms, seen.last_ms = min(seen.first_ms, event.at_ms), max(seen.last_ms, event.at_ms)
                seen.count += event.times
            case Ban() as ban:
                self.bans.append(ban)
            case _:
                self.notes.append(entry)

    def finished(self) -> Iterator[StixObject]:
        """The objects: who says so first."""
        started = [seen.first_ms for seen in self.observed.values()] + [ban.at_ms for ban in self.bans]
        started += [entry.at_ms for entry in self.notes]
        author = self._object("identity", min(started, default=0), "author", by=None)
        author |= {"name": "banstream", "identity_class": "system"}
        sightings = self._observations(author["id"])
        for ban in self.bans:
            self._indicator(ban, sightings, author["id"])
        for entry in self.notes:
            self._note(entry, author["id"])
        yield from self.objects.values()

    def _observations(self, by: str) -> dict[str, list[str]]:
        """The observed-data of each address."""
        found: dict[str, list[str]] = {}
        for (ip, kind, name, user, host), seen in self.observed.items():
            refs = [self._address(ip)] + ([self._user(user)] if user else [])
            made = self._object("observed-data", seen.first_ms, ip, kind, name, user, host, by=by)
            made |= {
                "modified": _instant(max(seen.first_ms, seen.last_ms)),
                "first_observed": _instant(seen.first_ms),
                "last_observed": _instant(seen.last_ms),
                "number_observed": min(max(seen.count, 1), MOST_OBSERVED),
                "object_refs": refs,
                "labels": [f"banstream-{kind}", *([f"service-{name}"] if name else [])],
            }
            found.setdefault(ip, []).append(made["id"])
        return found

    def _indicator(self, ban: Ban, sightings: dict[str, list[str]], by: str) -> None:
        made = self._object("indicator", ban.at_ms, ban.id, by=by)
        family = "ipv6-addr" if ":" in ban.prefix else "ipv4-addr"
        compare = "ISSUBSET" if "/" in ban.prefix else "="
        made |= {
            "name": f"{ban.prefix} banned by jail {ban.jail}" + (" (observed only)" if ban.shadow else ""),
            "description": sentence(ban),
            "indicator_types": ["malicious-activity"],
            "pattern": f"[{family}:value {compare} '{ban.prefix}']",
            "pattern_type": "stix",
            "valid_from": _instant(ban.at_ms),
        }
        if ban.until_ms is not None and ban.until_ms > ban.at_ms:
            made["valid_until"] = _instant(ban.until_ms)
        for each in sightings.get(ban.prefix, ()):
            based = self._object("relationship", ban.at_ms, ban.id, each, by=by)
            based |= {"relationship_type": "based-on", "source_ref": made["id"], "target_ref": each}

    def _note(self, entry: TimelineEntry, by: str) -> None:
        made = self._object("note", entry.at_ms, entry.topic, entry.place, by=by)
        made |= {"abstract": entry.record.TYPE, "content": sentence(entry.record)}
        prefix = _prefix_of(entry.record)
        made["object_refs"] = [by if prefix is None else self._address(prefix)]

    def _object(self, kind: str, at_ms: int, *parts: object, by: str | None) -> StixObject:
        identity, at = f"{kind}--{self.name(kind, *parts)}", _instant(at_ms)
        made: StixObject = {
            "type": kind,
            "spec_version": "2.1",
            "id": identity,
            "created": at,
            "modified": at,
        }
        if by is not None:
            made["created_by_ref"] = by
        self.objects[identity] = made
        return made

    def _address(self, prefix: str) -> str:
        kind = "ipv6-addr" if ":" in prefix else "ipv4-addr"
        return self._observable(kind, {"value": prefix})

    def _user(self, user: str) -> str:
        return self._observable("user-account", {"account_login": user})

    def _observable(self, kind: str, contributing: dict[str, str]) -> str:
        """An observable, named by what it is: its contributing properties as canonical JSON."""
        wire = orjson.dumps(contributing, option=orjson.OPT_SORT_KEYS).decode()
        identity = f"{kind}--{uuid5(NAMESPACE, wire)}"
        self.objects.setdefault(
            identity, {"type": kind, "spec_version": "2.1", "id": identity, **contributing}
        )
        return identity


def _prefix_of(record: Record) -> str | None:
    return record.prefix if isinstance(record, Unban | Prolong | Enforcement | Command) else None


def _instant(at_ms: int) -> str:
    """An instant as STIX writes it (RFC 3339, UTC, milliseconds)."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03d}Z"
