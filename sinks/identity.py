"""The id under which a record leaves the log: the same whenever it is sent, and nobody else's.

| record | its id |
|---|---|
| event | a hash of host, source, incarnation, position, filter: an event that a shipper sent twice has one |
| decision | the log's id and its own: a new log begins its decisions anew |
| enforcement | a hash of host, decision, verb, outcome, instant |
| command | the log's id, and a hash of its own: others make it, of any length |
| anything else | the log's id and its place |
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from schemas.behaviours import Alert
from schemas.codec import AuthLine
from schemas.records import AuthEvent, Ban, Command, Enforcement, Prolong, Record, Unban

HASH_CHARACTERS: Final = 24


def exported_id(record: Record | AuthLine, log: str, ref: str) -> str:
    """The id of a record that stands at a place of a log; 40 characters at most where the log's is 8."""
    match record:
        case AuthLine() | AuthEvent():
            return event_id(record)
        case Ban() | Unban() | Prolong() | Alert():
            named = f"{log}-{record.id}"
            return named if len(named) <= 40 else f"{log}-{hashed(record.id)}"  # noqa: PLR2004 - CEF's bound
        case Enforcement():
            named = f"{record.host}\0{record.decision}\0{record.verb}\0{record.outcome}\0{record.at_ms}"
            return f"{log}-{hashed(named)}"
        case Command():
            return f"{log}-{hashed(record.id)}"
        case _:
            return f"{log}-{ref}"


def event_id(event: AuthLine | AuthEvent) -> str:
    """The id of an event, wherever it stands."""
    return hashed(f"{event.host}\0{event.source}\0{event.incarnation}\0{event.position}\0{event.filter}")


def hashed(named: str) -> str:
    """A name made short."""
    return sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARACTERS]
