"""How a fail2ban filter is named: `NAME`, `PATH.conf`, either with `[option=value, other="a, b"]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from producers.library import FAIL2BAN_ENDINGS, FAIL2BAN_FOLDER
from schemas.errors import ConfigError

NAMED: Final = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<options>.*)\])?\s*", re.DOTALL)
OPTION: Final = re.compile(
    r"""\s* (?P<key>[\w.-]+) = (?: "(?P<double>[^"]*)" | '(?P<single>[^']*)' | (?P<bare>[^,\]]*) )
        (?: , | \]\s*\[ | \Z )""",
    re.VERBOSE,
)
NOTHING: Final = re.compile(r"[\s,]*\Z")


class Specification(NamedTuple):
    """What a jail asks for.

    Attributes:
        path: the filter's main file, which need not be there: its `.local` may be alone.
        whole: whether the file is one of a `filter.d`, where `.local` and `.d` belong to it.
        options: what the jail sets, over the file's own.
    """

    path: Path
    whole: bool
    options: Mapping[str, str]


def parse_specification(text: str, folder: Path = FAIL2BAN_FOLDER) -> Specification:
    """The file and the options that a text asks for; ConfigError when it is no such text."""
    named = NAMED.fullmatch(text.strip())
    if named is None:
        raise ConfigError(f"filter {text!r}: expected NAME, PATH.conf or either with [option=value, ...]")
    name = named["name"].strip()
    path = Path(name) if "/" in name else folder / name
    if path.suffix not in FAIL2BAN_ENDINGS:
        path = path.with_name(path.name + ".conf")
    options = _options(text, named["options"] or "")
    return Specification(
        path.absolute(), "/" not in name or path.absolute().parent.name == "filter.d", options
    )


def _options(text: str, listed: str) -> dict[str, str]:
    options: dict[str, str] = {}
    at = 0
    while not NOTHING.match(listed, at):
        found = OPTION.match(listed, at)
        if found is None:
            raise ConfigError(f"filter {text!r}: expected option=value at {listed[at : at + 30]!r}")
        options[found["key"]] = (found["double"] or found["single"] or found["bare"] or "").strip()
        at = found.end()
    return options
