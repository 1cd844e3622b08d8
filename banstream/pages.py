"""Pages of one file: no script from anywhere, nothing loaded, every text escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final

from banstream.show import printable
from schemas.errors import SourceError

STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}"
    "th{border-bottom:1px solid;cursor:pointer}td{overflow-wrap:anywhere}svg{max-width:100%;height:auto}"
    "rect{fill:#47a}text{font:11px system-ui,sans-serif}"
)
SCRIPT: Final = (
    "document.addEventListener('click',function(e){var h=e.target;if(h.tagName!=='TH')return;"
    "var t=h.closest('table'),n=h.cellIndex,b=t.tBodies[0],r=Array.from(b.rows),d=h.dataset.d==='1'?-1:1;"
    "h.dataset.d=d===1?'1':'0';r.sort(function(x,y){return d*x.cells[n].textContent.localeCompare("
    "y.cells[n].textContent,undefined,{numeric:true})});r.forEach(function(x){b.appendChild(x)})});"
)
"""A click on a column's head sorts by it; the policy lets this one script run, by its hash."""
_HASH: Final = b64encode(sha256(SCRIPT.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'; base-uri 'none'"
MOST_ROWS: Final = 5_000


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page of parts that are HTML."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body>"
    )
    return "\n".join([head, f"<h1>{text(title)}</h1>", *parts, f"<script>{SCRIPT}</script></body></html>\n"])


def text(value: object) -> str:
    """A text, harmless in HTML; what could steer a reader's eye is written as its escape."""
    return escape(printable(str(value)))


def paragraph(value: object) -> str:
    """A paragraph."""
    return f"<p>{text(value)}</p>"


def preformatted(value: str) -> str:
    """Lines as they are."""
    return "<pre>" + "\n".join(map(text, value.split("\n"))) + "</pre>"


def heading(value: object) -> str:
    """The head of a section."""
    return f"<h2>{text(value)}</h2>"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of MOST_ROWS rows at most; how many more there are is said."""
    head = "".join(f"<th>{text(column)}</th>" for column in columns)
    shown = ("".join(f"<td>{text(cell)}</td>" for cell in row) for row in rows[:MOST_ROWS])
    body = "".join(f"<tr>{row}</tr>" for row in shown)
    left = len(rows) - MOST_ROWS
    more = f"<p>... and {left} more.</p>" if left > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def write_page(path: Path, content: str) -> None:
    """Write a page; SourceError when it cannot be written."""
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: the page cannot be written: {error.strerror}") from error
