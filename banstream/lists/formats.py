"""The forms in which lists are published, read: bytes in, prefixes out. Pure, and bounded whatever the bytes.

| format | an entry is |
|---|---|
| plain, netset | each word of a line, up to `#` or `;` |
| drop | the same: Spamhaus' `prefix ; SBL number` |
| csv | the field under `ip`, `cidr`, ..., or the first field that is an address |
| jsonl | the member `ip`, `cidr`, ... of an object a line |
| crowdsec | the `value` of each decision about an Ip or a Range: `cscli decisions list -o json` |
| auto | whichever it looks like |
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Final

import orjson

from banstream.lists.wanted import HOST_NAME, ListFormat, Wanted
from schemas.addresses import canonical_prefix, is_ipv4, is_prefix
from schemas.errors import BanstreamError, InvalidMessage
from schemas.lists import WIDEST_BANNED, PrefixTable, too_much

COMMENT: Final = re.compile(rb"[#;].*")
KEYS: Final = ("ip", "cidr", "prefix", "network", "range", "address", "ip_address", "src_ip", "value")
"""What lists call the column, or member, with the address; lower case."""
LINE_BYTES: Final = 4_096
"""A longer line is none of a list."""
MOST_LINES: Final = 4_000_000
MOST_NAMED: Final = 3
MOST_WRONG: Final = 10_000
MOST_NAMES: Final = 256
SNIFFED: Final = 20
SHOWN: Final = 60
WIDEST: Final = {4: 8, 6: 7}
"""A network of fewer bits holds whole countries."""
NOBODYS: Final = frozenset({"224.0.0.0/3", "224.0.0.0/4", "240.0.0.0/4", "fc00::/7", "fe80::/10", "ff00::/8"})
"""Multicast and the like, which published lists name besides."""
MUCH_WRONG: Final = "more of it is wrong than right"


ListEntry = tuple[int, str]
"""The number of a line (of a decision, in JSON), from 1, and a word of it: tuples, as there may be many."""


class Unusable(BanstreamError):  # noqa: N818 - an adjective on purpose: the copy of before is used
    """A list that cannot be taken; the text says why."""


@dataclass(slots=True)
class ListContent:
    """What a list holds.

    Attributes:
        prefixes: in canonical form.
        names: of hosts, where they are wanted.
        wrong: how many entries are none; `examples`: the first of them, in a sentence each.
    """

    prefixes: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    def complain(self, entry: ListEntry, what: str) -> None:
        """An entry is wrong. What it says is anybody's: only its escaped form is repeated."""
        self.wrong += 1
        line, word = entry
        if len(self.examples) < MOST_NAMED:
            self.examples.append(f"line {line}: {word[:SHOWN]!a} {what}")


def parse(data: bytes, wanted: Wanted) -> ListContent:
    """The content of a list. Raises Unusable where it is none, too long, or more wrong than right."""
    content = ListContent()
    for count, entry in enumerate(_entries(data, wanted.format), 1):
        if is_ipv4(entry[1]):  # as nearly all are
            content.prefixes.add(entry[1])
        else:
            _take(content, entry, wanted)
        if count > wanted.most_entries:
            raise Unusable(f"it has more than {wanted.most_entries} entries")
        if len(content.names) > MOST_NAMES:
            raise Unusable(f"it has more than {MOST_NAMES} host names")
        if content.wrong > MOST_WRONG and content.wrong > len(content.prefixes):
            raise Unusable(f"{MUCH_WRONG}: {content.examples[0]}")
    if content.wrong > len(content.prefixes) + len(content.names):
        raise Unusable(f"{MUCH_WRONG}: {content.examples[0]}")
    if wanted.bans and (why := too_much(PrefixTable(content.prefixes))) is not None:
        raise Unusable(f"refused: {why}")
    return content


def _take(content: ListContent, entry: ListEntry, wanted: Wanted) -> None:
    _, word = entry
    prefix = word if is_prefix(word) else _prefix(word)
    if prefix is None:
        if wanted.named and HOST_NAME.fullmatch(word) is not None:
            content.names.add(word.rstrip(".").lower())
        else:
            content.complain(
                entry, "is no address, prefix or host name" if wanted.named else "is no address or prefix"
            )
    elif _is_wider(prefix, WIDEST_BANNED if wanted.bans else WIDEST):
        if not wanted.bans:
            content.complain(entry, "holds so many addresses that hardly anybody could be banned")
        elif prefix in NOBODYS:
            content.complain(entry, "holds addresses that nobody comes from")
        else:
            raise Unusable(f"refused: {prefix} holds more addresses than a list may ban in one")
    else:
        content.prefixes.add(prefix)


def _is_wider(prefix: str, widest: Mapping[int, int]) -> bool:
    return "/" in prefix and int(prefix.rpartition("/")[2]) < widest[6 if ":" in prefix else 4]


def _prefix(word: str) -> str | None:
    """A prefix in canonical form, without bits beyond its length; None where it is none."""
    if len(word) > SHOWN:
        return None
    try:
        return canonical_prefix(str(ip_network(word, strict=False)) if "/" in word else word)
    except (ValueError, InvalidMessage):
        return None


def _entries(data: bytes, form: ListFormat) -> Iterator[ListEntry]:
    form = _form_of(data) if form == "auto" else form
    match form:
        case "csv":
            return _csv(data)
        case "jsonl":
            return _json_lines(data)
        case "crowdsec":
            return _decisions(data)
        case _:
            return _words(data)


def _form_of(data: bytes) -> ListFormat:
    """What a list looks like by its first lines."""
    first = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if first == b"[" or data.strip() == b"null":  # cscli's word for none
        return "crowdsec"
    if first == b"{":
        return "jsonl"
    fielded = 0
    for _, line in zip(range(SNIFFED), _lines(data), strict=False):
        words = [_prefix(word.strip(" \"'")) for word in line[1].split(",")]
        fielded += len(words) > 1 and None in words
    return "csv" if fielded else "plain"


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers; without comments. Raises Unusable."""
    for number, raw in enumerate(io.BytesIO(data), 1):
        if number > MOST_LINES:
            raise Unusable(f"it has more than {MOST_LINES} lines")
        if len(raw) > LINE_BYTES:
            raise Unusable(f"line {number} is longer than {LINE_BYTES} bytes")
        line = (COMMENT.sub(b"", raw) if b"#" in raw or b";" in raw else raw).strip()
        if line:
            yield number, line.decode("utf-8", "replace").lstrip("\ufeff")


def _words(data: bytes) -> Iterator[ListEntry]:
    for number, line in _lines(data):
        for word in line.replace(",", " ").split():
            yield number, word


def _csv(data: bytes) -> Iterator[ListEntry]:
    """The column that a header names; without one, the first field of each line that is an address."""
    column: int | None = None
    for nth, (number, line) in enumerate(_lines(data)):
        try:
            fields = [each.strip(" '") for each in next(csv.reader([line], skipinitialspace=True))]
        except (csv.Error, StopIteration):
            fields = [line]
        if nth == 0 and not any(map(_prefix, fields)):
            names = [each.lower() for each in fields]
            column = next((names.index(key) for key in KEYS if key in names), None)
            continue
        if column is None:
            yield number, next((each for each in fields if _prefix(each)), fields[0])
        else:
            yield number, fields[column] if column < len(fields) else ""


def _json_lines(data: bytes) -> Iterator[ListEntry]:
    for number, raw in enumerate(io.BytesIO(data), 1):
        if len(raw) > LINE_BYTES * 16:
            raise Unusable(f"line {number} is longer than {LINE_BYTES * 16} bytes")
        if raw.strip():
            found = _loaded(raw, number)
            entry = _member(found)
            if entry is not None:
                yield number, entry
            elif not (isinstance(found, dict) and found.get("type") == "metadata"):  # Spamhaus' last line
                yield number, raw.decode("utf-8", "replace").strip()[:SHOWN]


def _decisions(data: bytes) -> Iterator[ListEntry]:
    """The decisions of alerts, or alone; or plain strings."""
    found = _loaded(data, 1)
    if found is None:
        return
    if not isinstance(found, list):
        raise Unusable("it is no JSON array")
    for nth, each in enumerate(found, 1):
        inner = each.get("decisions") if isinstance(each, dict) else None
        for decision in inner if isinstance(inner, list) else [each]:
            if isinstance(decision, dict) and str(decision.get("scope", "Ip")).lower() not in {"ip", "range"}:
                continue
            yield nth, _member(decision) or ascii(decision)[:SHOWN]


def _member(found: Any) -> str | None:
    """The member of an object that is the address; a string is it itself."""
    if isinstance(found, dict):
        return next((str(found[key]) for key in KEYS if isinstance(found.get(key), str)), None)
    return found if isinstance(found, str) else None


def _loaded(raw: bytes, line: int) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unusable(f"line {line} is no JSON: {error!s:.80}") from error
