"""fail2ban's tags: `<ip>`, `<name>`, `<matches>` ... in arguments and templates, and what they stand for.

Each text is gone through once: what a tag stands for is never looked at for tags again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from sinks.contract import Item
from sinks.sentences import sentence

TAG: Final = re.compile(r"<([A-Za-z][A-Za-z0-9_-]*)>")
HOSTILE: Final = frozenset(
    {"user", "F-USER", "matches", "ipmatches", "ipjailmatches", "line", "message", "why"}
)
"""Tags whose text others write."""


def tags_of(item: Item) -> Mapping[str, str]:
    """What each tag stands for; empty where the record has no such thing."""
    record: Any = item.record
    known = item.background
    lines = known.lines or getattr(record, "lines", ()) or ((record.line,) if hasattr(record, "line") else ())
    matches = "\n".join(lines)
    users = known.users or ((record.user,) if getattr(record, "user", None) else ())
    until_ms, at_ms = getattr(record, "until_ms", None), record.at_ms
    bantime = "-1" if until_ms is None else str((until_ms - at_ms) // 1_000)
    subject = item.key
    ports = getattr(record, "ports", ()) or ((record.port,) if getattr(record, "port", None) else ())
    prefix = subject.partition("/")[0]
    return {
        "ip": subject,
        "fid": subject,
        "F-ID": subject,
        "ip-rev": _reversed(prefix),
        "family": "" if not subject else "inet6" if ":" in subject else "inet4",
        "name": str(getattr(record, "jail", None) or ""),
        "failures": str(getattr(record, "count", "")),
        "ipfailures": str(getattr(record, "count", "")),
        "ipjailfailures": str(getattr(record, "count", "")),
        "bancount": str(getattr(record, "ban_count", "")),
        "bantime": bantime if hasattr(record, "until_ms") else "",
        "time": str(at_ms // 1_000),
        "port": ",".join(map(str, ports)),
        "matches": matches,
        "ipmatches": matches,
        "ipjailmatches": matches,
        "user": users[0] if users else "",
        "F-USER": users[0] if users else "",
        "id": item.id,
        "happening": item.happening,
        "message": sentence(record),
        "why": str(getattr(record, "why", None) or ""),
        "line": lines[-1] if lines else "",
    }


def filled(text: str, tags: Mapping[str, str], written: Callable[[str, str], str]) -> str:
    """A text with its tags filled in; `written` gives what stands for a tag's name and value."""
    return TAG.sub(lambda found: written(found[1], tags[found[1]]) if found[1] in tags else found[0], text)


def unknown_tags(text: str, known: Mapping[str, str]) -> list[str]:
    """The tags of a text that stand for nothing here."""
    return [found[0] for found in TAG.finditer(text) if found[1] not in known]


def _reversed(address: str) -> str:
    """As DNS lists have it (IPv4)."""
    return ".".join(reversed(address.split("."))) if "." in address else address
