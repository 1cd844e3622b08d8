r"""The pieces that lines of native filters are written with, each named once: `{ip}`, `{user}`, `{text}`.

| piece | stands for | captured as |
|---|---|---|
| `{ip}` | a literal address | ip |
| `{host}` | a literal address or a host name | ip |
| `{port}` | a port | port |
| `{user}` | whatever a client gave for a name, may be empty | user |
| `{session}` | the name under which a service speaks of one connection | session |
| `{time}` | a time in any form (producers.filters.times) | time |
| `{utc}` | the same, of a service that always writes UTC and does not say so | utc |
| `{text}` | free text | |
| `{rest}` | free text to the end of the line | |
| `{word}` | characters other than blanks | |
| `{int}` | digits | |
| `{quoted}` | a text in double quotes, in which `\` escapes | |
| `{path}` | what a request asked for | path |
| `{login_path}` | the path of a login, by its name, but not of a token's renewal: for `path = ...` | |

Of several free texts in a line `{user}` may have 10,240 characters and `{text}` 20,480, since what is tried
grows with their product; one alone may have as many as the line, so that no name is too long to be read.

`{user!TEXT}`, `{text!TEXT}` and `{rest!TEXT}` stand for the same without TEXT in it: behind an address, so
that the last TEXT of the line is the service's own, wherever the client wrote another. Behind an address, a
TEXT that has no `|`, `(` or the like must not begin before the piece either and end in it: with ` from ` for
a TEXT, the blank of `from {ip} {rest! from }` could be the client's. A regular expression's `{2,5}` stays
what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from producers.contract import LINE_LIMIT_BYTES
from producers.filters.times import TIME

IPV4: Final = r"\d{1,3}(?:\.\d{1,3}){3}"
IPV6: Final = r"[0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3}(?:%[\w.-]{1,16})?"
USER_BYTES: Final = 10_240
TEXT_BYTES: Final = 20_480
PIECES: Final[Mapping[str, str]] = {
    "ip": rf"(?P<ip>{IPV4}|{IPV6})",
    "host": r"(?P<ip>[\w.:%-]{1,255})",
    "port": r"(?P<port>\d{1,5})",
    "session": r"(?P<session>[^\s]{1,128}?)",
    "time": f"(?P<time>{TIME.decode()})",
    "utc": f"(?P<utc>{TIME.decode()})",
    "word": r"\S{1,256}",
    "int": r"\d{1,20}",
    "quoted": r'"(?:[^"\\]|\\.){0,2048}"',
    "path": r'(?P<asked>[^"\\ ]*(?:\\.[^"\\ ]*)*)',
    "login_path": (
        r"(?![^?]*/[\w-]*re(?:fresh|new)[\w-]*(?:[/?]|$))[^?]*"
        r"(?:log[_-]?[io]n|sign[_-]?in|auth(?!or))[^?]*(?:\?.*)?"
    ),
}
PLACE: Final = re.compile(r"\{([a-z][a-z_]*)(?:!((?:[^{}\\]|\\.)+))?\}")
FREE: Final = frozenset({"user", "text", "rest"})
CAPTURING: Final = tuple(piece for piece in PIECES.values() if piece.startswith("(?P<"))
FREE_TEXT: Final = re.compile(r"\(\?P<(?:user|_text\d+)>\.(?:\*|\{0,\d+\}\?)\)")
"""Free text within an expansion, but for that which is without something."""
DEPTH: Final = 4
ADDRESSES: Final = frozenset({"ip", "host"})
CHARACTER: Final = re.compile(r"[^\\.\[\](){}*+?|^$]|\\[^A-Za-z0-9]")
"""A character of an expression that stands for itself."""


def expand(text: str, own: Mapping[str, str]) -> str:
    """The regular expression that a text with pieces stands for; `own` are a filter's own pieces.

    Raises ValueError, naming the piece, when there is no such piece or it holds itself.
    """
    short = _Expansion(own, USER_BYTES, TEXT_BYTES)
    expression = short.expand(text, DEPTH)
    if short.free != 1:
        return expression
    return _Expansion(own, LINE_LIMIT_BYTES, LINE_LIMIT_BYTES).expand(text, DEPTH)


def outline(source: str) -> str:
    """An expansion with a dot for each piece that captures: none of them holds anything certain."""
    for piece in CAPTURING:
        source = source.replace(piece, ".")
    return FREE_TEXT.sub(".", source)


class _Expansion:
    """One expansion: free texts are numbered, since each is a group of its own.

    Attributes:
        free: how many free texts there are.
    """

    def __init__(self, own: Mapping[str, str], user_bytes: int, text_bytes: int) -> None:
        self.free = 0
        self._own = own
        self._user_bytes = user_bytes
        self._text_bytes = text_bytes
        self._texts = 0
        self._addressed = False

    def expand(self, text: str, depth: int) -> str:
        if depth == 0:
            raise ValueError(f"pieces within pieces within pieces, {DEPTH} deep")
        return PLACE.sub(lambda found: self._piece(found[1], found[2], depth), text)

    def _piece(self, name: str, without: str | None, depth: int) -> str:
        if name in FREE:
            return self._free(name, without)
        if without is not None:
            raise ValueError(f"only user, text and rest can be without a text, not {{{name}!...}}")
        if name in self._own:
            return self.expand(self._own[name], depth - 1)
        self._addressed |= name in ADDRESSES
        if name not in PIECES:
            known = ", ".join(sorted({*PIECES, *self._own, *FREE}))
            raise ValueError(f"no piece is named {{{name}}}; known are {known}")
        return PIECES[name]

    def _free(self, name: str, without: str | None) -> str:
        one = "." if without is None else f"(?:(?!{without}).)"
        self.free += 1
        unbegun = _unbegun(without) if without and self._addressed else ""
        if name == "user":
            return f"{unbegun}(?P<user>{one}{{0,{self._user_bytes}}}?)"
        self._texts += 1
        many = "*" if name == "rest" else f"{{0,{self._text_bytes}}}?"
        return f"{unbegun}(?P<_text{self._texts}>{one}{many})"


def _unbegun(text: str) -> str:
    """An assertion that a text did not begin before this place and end behind it."""
    parts = CHARACTER.findall(text)
    if "".join(parts) != text:
        return ""
    ends = range(1, len(parts))
    return "".join(f"(?!(?<={''.join(parts[:end])}){''.join(parts[end:])})" for end in ends)


QUOTED: Final = r'[^"\\]*(?:\\.[^"\\]*)*'
COLUMN: Final = rf"(?:{IPV4}|[0-9A-Fa-f]{{0,4}}:[0-9A-Fa-f]{{0,4}}:[0-9A-Fa-f:.]{{0,39}}(?:%[\w.-]{{1,16}})?)"
"""A first column that is an address, of a client or of a host that he asked for."""
HOST: Final = r"(?:[\w.*:-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?)"
"""The host that a client asked for, before his address."""
LAYOUTS: Final[Mapping[str, str]] = {
    "": rf"(?:(?!{COLUMN} ){HOST} )?{{ip}} (?!{COLUMN} )\S+ (?!{COLUMN} )<user> \[{{time}}\] ",
    "nginx-proxy": rf"{HOST} {{ip}} \S+ <user> \[{{time}}\] ",
}
"""How an access log's line begins: as it shows by itself; or, where that is declared, with the host."""
LAYOUT: Final = (
    r'"(?:<method> <path>(?: <protocol>)?|<request>)" <status> <size>'
    r'(?: "<referer>"(?: "<agent>"(?: <more>)?)?)?'
)
COLUMNS: Final[Mapping[str, str]] = {
    "user": r"(?!- [^\[])(?P<user>\S+|[^\"\\]+(?:\\.[^\"\\]*)*)",
    "method": r"[A-Z]{3,20}",
    "path": r'(?P<asked>[^"\\]*?(?:\\.[^"\\]*?)*?)',
    "protocol": r"HTTP/[\d.]{1,4}",
    "request": QUOTED,
    "status": r"\d{3}",
    "size": r"(?:\d+|-)",
    "referer": QUOTED,
    "agent": QUOTED,
    "more": r".*",
}
REQUEST_COLUMNS: Final = frozenset({"method", "path", "protocol"})


def access_line(where: Mapping[str, str], begins: str = "") -> str:
    r"""The line, with pieces, of an access log in which some columns hold certain values.

    Common Log Format, combined, with or without a virtual host before it; columns as Apache's mod_log_config
    documents them, `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"`. nginx, lighttpd, Caddy's
    transform encoder, Traefik, HAProxy's httplog in CLF, Tomcat's valve and others write the same. What a
    client chose (user, request, referer, agent) stands in quotes or after the address, and servers escape
    quotes in it: `\"` or `\x22`. So the address, at the line's beginning, is the server's own. A list of
    addresses there is what a header said, and no word for an address: such a line is not read. Nor is one of
    whose first three columns two are addresses: the first may be the host that a client asked for
    (nginx-proxy's `$host $remote_addr - $remote_user`).

    A `request` is one that is no proper request line (`method path protocol`). What the path has to be is
    looked at once the line is read (`producers.filters.native.targets`). `begins`: one of LAYOUTS.
    Raises ValueError for a column that is none.
    """
    unknown = [column for column in where if column not in COLUMNS]
    if unknown:
        raise ValueError(f"no column is named {unknown[0]}; known are {', '.join(COLUMNS)}")
    layout = LAYOUTS[begins] + LAYOUT
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
            '(?: "<referer>"(?: "<agent>"(?: <more>)?)?)?', '(?: "<referer>" "<agent>"(?: <more>)?)'
        )
    if "more" in where:
        layout = layout.replace("(?: <more>)?", " <more>")
    for column, value in COLUMNS.items():
        named = column in where and column != "path"
        layout = layout.replace(f"<{column}>", f"(?:{where[column]})" if named else value)
    return layout
