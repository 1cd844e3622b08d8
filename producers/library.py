"""The names by which jails ask for filters. It loads no filter: who decides or enforces knows names alone."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final

from schemas.bounds import NAME_CHARACTERS
from schemas.errors import ConfigError

AUTO: Final = "auto"
"""The name that stands for whichever filter of the library a line is for."""
LIBRARY: Final = Path(__file__).parent / "filters" / "library"
OWN_ENDING: Final = ".toml"
FAIL2BAN_FOLDER: Final = Path("/etc/fail2ban/filter.d")
FAIL2BAN_ENDINGS: Final = (".conf", ".local")


FAILED: Final = ("failed",)
LAYOUT_NAMES: Final = ("nginx-proxy",)
"""How an access log's line may be said to begin (`producers.filters.native.pieces.LAYOUTS`)."""


@cache
def library_names() -> tuple[str, ...]:
    """The names of the library's filters, sorted."""
    return tuple(sorted(path.stem for path in LIBRARY.glob("*.toml")))


def is_fail2ban(name: str) -> bool:
    """Whether a text names a filter of fail2ban's: by its options, its path or one that is installed."""
    file = name.partition("[")[0].strip()
    installed = "/" not in file and (FAIL2BAN_FOLDER / f"{file}.conf").is_file()
    return "[" in name or file.endswith(FAIL2BAN_ENDINGS) or installed


def check_name(name: str) -> None:
    """Raise ConfigError for a text that names no filter; whether a named file is there is not looked at."""
    if len(name) > NAME_CHARACTERS:
        raise ConfigError(f"filter {name:.40}... has {len(name)} characters; use {NAME_CHARACTERS} at most")
    if name not in library_names() and not name.endswith(OWN_ENDING) and not is_fail2ban(name):
        close = get_close_matches(name, library_names(), n=1, cutoff=0.75)
        near = "".join(f"; did you mean {each}?" for each in close)
        raise ConfigError(f"no filter is named {name!r}{near}; see `banstream filters list`")


@cache
def counts_of(name: str) -> tuple[str, ...]:
    """The kinds of event that a jail of this filter counts unless it says which: what the filter is for.

    A filter says so itself (`counts`); fail2ban's, and one that cannot be read here, mean failures.
    """
    file = LIBRARY / f"{name}{OWN_ENDING}" if name in library_names() else Path(name)
    if file.suffix != OWN_ENDING:
        return FAILED
    try:
        head = tomllib.loads(file.read_text(encoding="utf-8").partition("\n[")[0])
        return tuple(map(str, head.get("counts", FAILED)))
    except (OSError, ValueError, TypeError):
        return FAILED
