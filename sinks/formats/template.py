r"""A text of your own with fail2ban's tags: `template = '{"text": "<ip> banned by <name>"}'`.

Each value is written as the text around it needs it (`escape`): within a JSON string, a url, HTML, or as
plain text without line breaks. So nothing in it can end the string that it stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Final
from urllib.parse import quote

import orjson

from schemas.steering import harmless, printable
from sinks.contract import FormatKind, Item, Option, Options, SentBy, Writing
from sinks.tags import filled, tags_of


def _json(value: str) -> str:
    return harmless(orjson.dumps(value.encode("utf-8", "replace").decode()))[1:-1].decode()


ESCAPES: Final[Mapping[str, Callable[[str], str]]] = {
    "json": _json,
    "url": lambda value: quote(value.encode("utf-8", "replace"), safe=""),
    "html": lambda value: escape(printable(value)),
    "text": printable,
}
USUAL: Final = '{"text": "<message>"}'


def writer(_: SentBy, options: Options) -> Writing:
    """The function that fills the template in."""
    template, escaped = options["template"], ESCAPES[options["escape"]]

    def write(item: Item) -> bytes:
        return filled(template, tags_of(item), lambda _, value: escaped(value)).encode()

    return write


KIND: Final = FormatKind(
    writer,
    content_type="application/json",
    options={"template": Option("text", USUAL), "escape": Option("text", "json", tuple(ESCAPES))},
)
