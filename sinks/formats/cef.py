r"""ArcSight's Common Event Format, version 0.

In the header `\` and `|` are escaped, in values `\` and `=`; whatever else could end a line or steer a
terminal is written as its escape. `src` takes IPv4 alone: IPv6 is in `c6a2`. Texts have the lengths of
CEF's dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.steering import printable
from sinks.contract import FormatKind, Item, Options, SentBy, Writing
from sinks.facts import FlatFacts, facts_of, severity_of

NAMES: Final[Mapping[str, str]] = {
    "failed": "Login failed",
    "succeeded": "Login succeeded",
    "probed": "Service probed",
    "ban": "Address banned",
    "expired ban": "Ban decided late",
    "unban": "Address unbanned",
    "prolong": "Ban prolonged",
    "alert": "Jail not as usual",
    "command": "Operator's command",
    "rules": "Rules changed",
    "request": "Request",
    "host silent": "Host silent",
}
KEYS: Final[Mapping[str, tuple[str, int]]] = {
    "id": ("externalId", 40),
    "verb": ("act", 63),
    "outcome": ("outcome", 63),
    "port": ("spt", 5),
    "user": ("duser", 1_023),
    "users": ("duser", 1_023),
    "host": ("dhost", 1_023),
    "service": ("dproc", 1_023),
    "failures": ("cnt", 10),
    "who": ("suser", 1_023),
    "why": ("reason", 1_023),
    "detail": ("reason", 1_023),
    "reason": ("reason", 1_023),
}
LABELLED: Final[Mapping[str, tuple[str, str]]] = {
    "jail": ("cs1", "jail"),
    "filter": ("cs1", "filter"),
    "technique": ("cs2", "technique"),
    "rules": ("cs3", "rules"),
    "prefix": ("cs4", "prefix"),
    "ref": ("cs5", "ref"),
    "ban": ("cs6", "ban"),
    "decision": ("cs6", "ban"),
    "ban_count": ("cn1", "banCount"),
}
CATEGORIES: Final = {"events": "authentication", "decisions": "intrusion_detection"}
LABELLED_CHARACTERS: Final = 4_000


def writer(sender: SentBy, _: Options) -> Writing:
    """The function from an item to its line."""
    head = f"CEF:0|banstream|banstream|{_header(sender.version)}|"

    def write(item: Item) -> bytes:
        facts = facts_of(item)
        word = f"{item.what.removesuffix('s')}:{item.happening.replace(' ', '_')}"
        name = NAMES.get(item.happening, item.happening.capitalize())
        begin = f"{head}{_header(word)}|{_header(name)}|{severity_of(item).cef}|"
        pairs = [f"{key}={_value(value)}" for key, value in _extension(item, facts)]
        return (begin + " ".join(pairs)).encode("utf-8", "replace")

    return write


def _extension(item: Item, facts: FlatFacts) -> list[tuple[str, str]]:
    found = [*_begin(item, facts), *_address(str(facts.get("ip", "")))]
    there = {key for key, _ in found}
    for name, (key, most) in KEYS.items():
        if name in facts and key not in there:
            there.add(key)
            found.append((key, printable(str(facts[name]))[:most]))
    for name, (key, label) in LABELLED.items():
        if name in facts and key not in there:
            there.add(key)
            found += [(f"{key}Label", label), (key, printable(str(facts[name]))[:LABELLED_CHARACTERS])]
    if (until_ms := getattr(item.record, "until_ms", None)) is not None:
        found += [("deviceCustomDate1Label", "until"), ("deviceCustomDate1", str(until_ms))]
    if item.background.first_at_ms is not None:
        found.append(("start", str(item.background.first_at_ms)))
    return [*found, ("msg", printable(str(facts["message"]))[:1_023])]


def _begin(item: Item, facts: FlatFacts) -> list[tuple[str, str]]:
    found = [("rt", str(getattr(item.record, "at_ms", 0)))]
    found.append(("cat", CATEGORIES.get(item.what, "configuration")))
    if "verb" not in facts:
        found.append(("act", "login" if item.what == "events" else item.happening))
    if item.happening in {"failed", "succeeded"}:
        found.append(("outcome", "failure" if item.happening == "failed" else "success"))
    return found


def _address(address: str) -> list[tuple[str, str]]:
    if ":" in address:
        return [("c6a2Label", "Source IPv6 Address"), ("c6a2", address)]
    return [("src", address)] if address else []


def _header(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=")


KIND: Final = FormatKind(writer)
