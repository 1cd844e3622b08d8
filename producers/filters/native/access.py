r"""Access logs of web servers: Common Log Format, combined, with or without a virtual host before it.

Columns as Apache's mod_log_config documents them, `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"`;
nginx, lighttpd, Caddy's transform encoder, Traefik, HAProxy's httplog in CLF, Tomcat's valve and others write
the same. What a client chose (user, request, referer, agent) stands in quotes or after the address, and
servers escape quotes in it: `\"` or `\x22`. So the address, at the line's beginning, is the server's own. A
list of addresses there is what a header said, and no word for an address: such a line is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

QUOTED: Final = r'(?:[^"\\]|\\.)*'
LAYOUT: Final = (
    r"(?:(?=[\w.*:-]*[g-zG-Z_*-])[\w.*:-]{1,255} )?{ip} \S+ <user> \[{time}\] "
    r'"(?:<method> <path>(?: <protocol>)?|<request>)" <status> <size>'
    r'(?: "<referer>" "<agent>"(?: <more>)?)?'
)
COLUMNS: Final[Mapping[str, str]] = {
    "user": r"(?P<user>\S{1,1024}|[^\[]{1,1024})",
    "method": r"[A-Z]{3,20}",
    "path": r"(?:[^\"\\ ]|\\.)*",
    "protocol": r"HTTP/[\d.]{1,4}",
    "request": QUOTED,
    "status": r"\d{3}",
    "size": r"(?:\d+|-)",
    "referer": QUOTED,
    "agent": QUOTED,
    "more": r".*",
}
REQUEST_COLUMNS: Final = frozenset({"method", "path", "protocol"})


def access_line(where: Mapping[str, str]) -> str:
    """The line, with pieces, of an access log in which some columns hold certain values.

    A `request` is one that is no proper request line (`method path protocol`).
    Raises ValueError for a column that is none.
    """
    unknown = [column for column in where if column not in COLUMNS]
    if unknown:
        raise ValueError(f"no column is named {unknown[0]}; known are {', '.join(COLUMNS)}")
    layout = LAYOUT
    if where.keys() & REQUEST_COLUMNS:
        layout = layout.replace(
            "(?:<method> <path>(?: <protocol>)?|<request>)", "<method> <path>(?: <protocol>)?"
        )
    elif "request" in where:
        layout = layout.replace("(?:<method> <path>(?: <protocol>)?|<request>)", "<request>")
    if "protocol" in where:
        layout = layout.replace("(?: <protocol>)?", " <protocol>")
    if where.keys() & {"referer", "agent", "more"}:
        layout = layout.replace(
            '(?: "<referer>" "<agent>"(?: <more>)?)?', '(?: "<referer>" "<agent>"(?: <more>)?)'
        )
    if "more" in where:
        layout = layout.replace("(?: <more>)?", " <more>")
    for column, value in COLUMNS.items():
        layout = layout.replace(f"<{column}>", f"(?:{where[column]})" if column in where else value)
    return layout
