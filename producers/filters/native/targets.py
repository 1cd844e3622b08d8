"""What a request asked for, as the server saw it, out of a log's line (RFC 3986, sections 5.2.4 and 6.2.2).

A client writes one path in many ways, and a server takes them for one. So what a filter says of a path is
looked for in all of these:

| reading | of `/a//../%6Cogin;x?next=/b` |
|---|---|
| as it stands | `/a//../%6Cogin;x?next=/b` |
| the path: decoded once, `//`, `/./`, `/../`, parameters and the query gone | `/login` |
| that in lower case, as case-blind servers take it | `/login` |
| all of it, decoded twice, in lower case, `+` a blank: what a page is fed | `/a//../login;x?next=/b` |

A quote, a backslash, a control character or a byte beyond ASCII stays encoded.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from producers.filters.rows import Needle, Needles

ESCAPE: Final = re.compile(rb"%([2-7][0-9A-Fa-f])")
KEPT: Final = frozenset(b'"\\\x7f')
IN_PATHS: Final = frozenset(b" ?#%")
"""What would be taken for something else once it is decoded: it stays encoded in a path."""
ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{0,15}://[^/?#]*")
END: Final = re.compile(rb"[?#]")
PARAMETERS: Final = re.compile(rb";[^/]*")
PLAIN: Final = re.compile(rb"(?:/[a-z0-9_][a-z0-9_.~-]*)*/?")
"""A path that all servers read alike."""
TARGET: Final = re.compile(rb"/|[A-Za-z][A-Za-z0-9+.-]{0,15}://")
MOST_BYTES: Final = 65_536
"""Of a longer one only as much is looked at: no server takes so many."""
SPELT: Final = frozenset(
    Needle(text, caseless=True) for text in (b"%25", b"%2d", b"%2e", b"%3", b"%4", b"%5", b"%6", b"%7")
)
"""What a line holds in whose target a text without a slash may be spelt otherwise than it reads."""
LEAST: Final = 3
SIGNS: Final = {
    sign: frozenset({Needle(sign), Needle(b"%%%02x" % sign[0], caseless=True)})
    for sign in (b"'", b"<", b"{", b"|", b"`")
}
"""What few lines hold, and may be spelt."""
UPWARDS: Final = frozenset(map(Needle, (b"../", b"..\\", b"..;")))
SCHEMES: Final = frozenset({b"http:", b"https:"})
"""What every line with a referer holds."""
APART: Final = re.compile(rb"[/ ]")


@lru_cache(maxsize=16)
def readings(target: bytes) -> tuple[bytes, ...]:
    """The ways to read a target, each once, the text as it stands first."""
    if PLAIN.fullmatch(target):
        return (target,)
    some = target[:MOST_BYTES]
    path = _path(some)
    return tuple(dict.fromkeys((target, path, path.lower(), _fed(some))))


def path_of(target: bytes) -> bytes:
    """The path of a target as a case-blind server takes it, and without a query, which may hold secrets."""
    return target if PLAIN.fullmatch(target) else _path(target[:MOST_BYTES]).lower()


def is_target(text: bytes) -> bool:
    """Whether a text may be what a request asked for: a path, or a URI."""
    return TARGET.match(text) is not None


def spelt(needles: Needles) -> Needles | None:
    """The needles of the lines in whose target one of these texts may stand, however it is spelt.

    None when one of them has no part, between slashes and blanks, that is long enough.
    """
    found = set(SPELT)
    for text, _ in needles:
        part = max((each for each in reversed(APART.split(text)) if each not in SCHEMES), key=len)
        if len(part) >= LEAST:
            found.add(Needle(part.lower(), caseless=True))
        elif b".." in text:
            found |= UPWARDS
        elif sign := next((each for each in SIGNS if each in text), None):
            found |= SIGNS[sign]
        else:
            return None
    return frozenset(found)


def _path(target: bytes) -> bytes:
    begun = ABSOLUTE.match(target)
    path = END.split(target[begun.end() :] if begun else target, 1)[0]
    decoded = PARAMETERS.sub(b"", ESCAPE.sub(_decoded_in_path, path)).replace(b"\\", b"/")
    *folders, last = decoded.split(b"/")
    kept: list[bytes] = []
    for each in folders:
        if each == b"..":
            del kept[-1:]
        elif each not in {b"", b"."}:
            kept.append(each)
    if last == b"..":
        del kept[-1:]
    return b"/" + b"/".join([*kept, b"" if last in {b"..", b"."} else last])


def _fed(target: bytes) -> bytes:
    once = ESCAPE.sub(_decoded, target.replace(b"+", b" "))
    return ESCAPE.sub(_decoded, once).lower()


def _decoded(found: re.Match[bytes]) -> bytes:
    number = int(found[1], 16)
    return found[0] if number in KEPT else bytes([number])


def _decoded_in_path(found: re.Match[bytes]) -> bytes:
    number = int(found[1], 16)
    return found[0] if number in KEPT or number in IN_PATHS else bytes([number])
