"""Our bans as a list for other programs. Pure: bans in, text out.

| format | is | for |
|---|---|---|
| plain | a prefix a line | whoever reads lists |
| csv | fields quoted as RFC 4180 has it, with a header: a line for each jail's ban | people, spreadsheets |
| nginx | `deny PREFIX;` a line | `include` in http, server or location (ngx_http_access_module) |
| haproxy | a prefix a line, comments with `#` | `acl banned src -f FILE` |
| mikrotik | a RouterOS script: address lists, with timeouts | `/import FILE` |

What every host's firewall has refused, or what has ended, is in none of them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from banstream.standings import StandingBan

OUT: Final = frozenset({"refused", "ended"})
NAME: Final = "banstream"
"""Of the address lists on a router."""
SAFE: Final = re.compile(rb"[A-Za-z0-9 ._/-]")
HEADER: Final = ("prefix", "jail", "since", "until", "ports")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula."""
Bans = Sequence[StandingBan]


def listed(bans: Iterable[StandingBan]) -> list[StandingBan]:
    """Those of bans that belong into a list."""
    return [ban for ban in bans if not ban.states or not OUT.issuperset(ban.states)]


def _plain(bans: Bans, now_ms: int) -> Iterator[str]:
    del now_ms
    return iter(_by_prefix(bans))


def _csv(bans: Bans, now_ms: int) -> Iterator[str]:
    del now_ms
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(HEADER)
    for ban in bans:
        until = "" if ban.hold.until_ms is None else _instant(ban.hold.until_ms)
        row = (ban.prefix, ban.hold.jail, _instant(ban.since_ms), until, " ".join(map(str, ban.hold.ports)))
        writer.writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row])
    return iter(made.getvalue().split("\n")[:-1])


def _nginx(bans: Bans, now_ms: int) -> Iterator[str]:
    del now_ms
    return (f"deny {prefix};" for prefix in _by_prefix(bans))


def _mikrotik(bans: Bans, now_ms: int) -> Iterator[str]:
    """Both families' lists are emptied first: what is banned no longer is not in them."""
    found = _by_prefix(bans)
    for family in ("ip", "ipv6"):
        yield f"/{family} firewall address-list"
        yield f"remove [find list={NAME}]"
        for prefix, holds in found.items():
            if (":" in prefix) != (family == "ipv6"):
                continue
            address = f"{prefix}/128" if family == "ipv6" and "/" not in prefix else prefix
            jails = ", ".join(ban.hold.jail for ban in holds)
            yield f'add list={NAME} address={address}{_timeout(holds, now_ms)} comment="{_quoted(jails)}"'


def _timeout(holds: Bans, now_ms: int) -> str:
    """Until the last jail lets go, a second at least; nothing for ever."""
    ends = [ban.hold.until_ms for ban in holds]
    if None in ends:
        return ""
    return f" timeout={max(1, (max(filter(None, ends)) - now_ms + 999) // 1_000)}s"


def _quoted(text: str) -> str:
    r"""A text within quotes of RouterOS: whatever is no plain character is its bytes, as `\1B`."""
    return "".join(
        chr(byte) if SAFE.match(bytes([byte])) else f"\\{byte:02X}" for byte in text.encode("utf-8")
    )


def _by_prefix(bans: Bans) -> dict[str, list[StandingBan]]:
    found: dict[str, list[StandingBan]] = {}
    for ban in bans:
        found.setdefault(ban.prefix, []).append(ban)
    return found


def _instant(at_ms: int) -> str:
    """An instant in UTC (RFC 3339)."""
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


FORMATS: Final[Mapping[str, Callable[[Bans, int], Iterator[str]]]] = MappingProxyType(
    {"plain": _plain, "csv": _csv, "nginx": _nginx, "haproxy": _plain, "mikrotik": _mikrotik}
)
"""By name: the lines of a list, of bans, at an instant."""
