"""Documents of events, written by their shape: what events of one source share is written once, and kept.

A shape is the document of one event with places left free for what differs from the next: instants, id, line,
address, port, user, reference. So the document is described once, as a dict, and most are filled in as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from secrets import token_hex
from typing import Any, Final, NamedTuple

import orjson

from schemas.codec import AuthLine
from schemas.steering import harmless
from sinks.contract import Item

ShapedDocument = dict[str, Any]
DocumentPath = tuple[str | int, ...]

SLOTS: Final = ("at", "seen", "id", "line", "ip", "port", "user", "ref")
MOST_KEPT: Final = 4_096


class EventShape(NamedTuple):
    """A document with free places, and what goes into them, in order."""

    template: bytes
    pick: Callable[[Sequence[bytes]], Any]


class Shapes:
    """Writes events of which `document` makes a dict."""

    def __init__(
        self,
        document: Callable[[Item, AuthLine], ShapedDocument],
        places: Mapping[str, Sequence[DocumentPath]],
        instant: Callable[[int], bytes],
    ) -> None:
        """`places`: by slot, where in the document it stands; `instant`: how one is written."""
        self._document = document
        self._places = places
        self._instant = instant
        self._known: dict[tuple[object, ...], EventShape] = {}

    def write(self, item: Item, event: AuthLine) -> bytes:
        """An event's document."""
        user, port = event.user, event.port
        key = (
            event.kind, event.filter, event.filter_version, event.source, event.host, event.service,
            event.country, item.technique, not user, port is None,
        )  # fmt: skip
        shape = self._known.get(key)
        if shape is None:
            shape = self._learned(key, item, event)
        values = (
            self._instant(event.at_ms),
            self._instant(event.seen_at_ms),
            b'"%b"' % item.id.encode("ascii"),
            harmless(orjson.dumps(event.line)),
            b'"%b"' % event.ip.encode("ascii"),
            b"%d" % (port or 0),
            harmless(orjson.dumps(user)) if user else b"",
            b'"%b"' % item.ref.encode("ascii"),
        )
        written: bytes = shape.template % shape.pick(values)
        return written

    def _learned(self, key: tuple[object, ...], item: Item, event: AuthLine) -> EventShape:
        document = self._document(item, event)
        mark = token_hex(16)  # no text of anybody's holds it
        for slot, places in self._places.items():
            for place in places:
                _set(document, place, f"{mark}{SLOTS.index(slot)}")
        parts = harmless(orjson.dumps(document)).split(f'"{mark}'.encode("ascii"))
        order = [int(part[:1]) for part in parts[1:]]
        texts = [parts[0], *(part[2:] for part in parts[1:])]
        made = EventShape(b"%b".join(text.replace(b"%", b"%%") for text in texts), itemgetter(*order))
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[key] = made
        return made


def _set(document: Any, place: DocumentPath, value: str) -> None:
    """Put a value into a place, where the document has that place."""
    for step in place[:-1]:
        if not _has(document, step):
            return
        document = document[step]
    if _has(document, place[-1]):
        document[place[-1]] = value


def _has(document: Any, step: str | int) -> bool:
    return step < len(document) if isinstance(step, int) else step in document
