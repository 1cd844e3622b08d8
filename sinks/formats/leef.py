"""QRadar's Log Event Extended Format, 1.0 and 2.0: a header in `|`, then keys and values with a tab between.

LEEF has no escape at all, so nothing that could end a value is left in one: what steers is written as its
escape, and a `|` in the header is a blank. QRadar maps events by their id and `cat`: both are words that
never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.steering import printable
from sinks.contract import FormatKind, Item, Option, Options, SentBy, Writing
from sinks.facts import facts_of, severity_of
from sinks.formats.cef import CATEGORIES

IDS: Final = {"failed": "login_failed", "succeeded": "login_succeeded", "probed": "service_probed"}
KEYS: Final[Mapping[str, str]] = {
    "ip": "src",
    "port": "srcPort",
    "user": "usrName",
    "who": "usrName",
    "host": "identHostName",
    "service": "application",
    "jail": "policy",
    "why": "reason",
    "detail": "reason",
    "id": "eventId",
    "message": "msg",
    "record": "record",
}
LEFT_OUT: Final = frozenset({"at", "kind", "record"})


def writer(sender: SentBy, options: Options) -> Writing:
    """The function from an item to its line."""
    version = options["leef"]

    def write(item: Item) -> bytes:
        facts = facts_of(item)
        word = IDS.get(item.happening, item.happening.replace(" ", "_"))
        begin = f"LEEF:{version}|banstream|banstream|{_header(sender.version)}|{word}|"
        begin += "x09|" if version == "2.0" else ""
        found: dict[str, str] = {
            "devTime": str(getattr(item.record, "at_ms", 0)),
            "cat": CATEGORIES.get(item.what, "configuration"),
            "sev": str(max(1, severity_of(item).cef)),
        }
        for name, value in facts.items():
            if name not in LEFT_OUT:
                found.setdefault(KEYS.get(name, name), printable(str(value)))
        return (begin + "\t".join(f"{key}={value}" for key, value in found.items())).encode(
            "utf-8", "replace"
        )

    return write


def _header(text: str) -> str:
    return printable(text).replace("|", " ")


KIND: Final = FormatKind(writer, options={"leef": Option("text", "2.0", ("1.0", "2.0"))})
