"""What the library's lines hold, kept beside it from one start to the next, as Python keeps bytecode.

To find it by analysis takes half of the time in which the library is loaded. It follows from an expression's
text and from the code that looks at it, so these are the key. Who may not write there finds it anew.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from producers.filters.native.compiler import Pattern
from producers.filters.rows import Needle, Needles
from producers.library import LIBRARY

FOLDER: Final = LIBRARY / "__pycache__"
CODE: Final = tuple(
    LIBRARY.parent / name
    for name in (
        "literals.py",
        "syntax.py",
        *(f"native/{each}.py" for each in ("compiler", "pieces", "targets")),
    )
)
KEY_LENGTH: Final = 16


def with_needles(patterns: Iterable[Pattern], folder: Path = FOLDER) -> None:
    """Find the needles of patterns: those of an earlier start are taken as they were."""
    file = folder / f"needles-{_key()}.json"
    known, new = _read(file), False
    found: dict[str, Needles | None] = {}
    for pattern in patterns:
        if pattern.text in known:
            vars(pattern)["needles"] = known[pattern.text]  # where cached_property keeps it
        else:
            new = True
        found[pattern.text] = pattern.needles
    if new:
        with suppress(OSError):
            _write(file, found)


def _key() -> str:
    text = sys.version.encode() + b"".join(path.read_bytes() for path in CODE)
    return hashlib.sha256(text).hexdigest()[:KEY_LENGTH]


def _read(file: Path) -> Mapping[str, Needles | None]:
    try:
        kept = orjson.loads(file.read_bytes())
        return {text: None if needles is None else _needles(needles) for text, needles in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _needles(kept: Iterable[tuple[str, bool]]) -> Needles:
    return frozenset(Needle(text.encode("latin-1"), caseless) for text, caseless in kept)


def _plain(needles: Needles | None) -> list[tuple[str, bool]] | None:
    return (
        None if needles is None else sorted((each.text.decode("latin-1"), each.caseless) for each in needles)
    )


def _write(file: Path, found: Mapping[str, Needles | None]) -> None:
    """In one move, so that nobody reads half of it; older ones go."""
    file.parent.mkdir(exist_ok=True)
    written = file.with_suffix(f".{os.getpid()}")
    try:
        written.write_bytes(orjson.dumps({text: _plain(needles) for text, needles in found.items()}))
        for old in file.parent.glob("needles-*.json"):
            old.unlink(missing_ok=True)
        written.replace(file)
    finally:
        written.unlink(missing_ok=True)
