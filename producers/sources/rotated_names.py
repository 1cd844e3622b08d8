"""What rotation and compression make of a file's name: `auth.log` is the root of `auth.log.2.gz`.

| made by | name |
|---|---|
| logrotate | `auth.log.1`, `auth.log-20261130`, `auth.log-30-11-2026`, `auth.log.1.gz` |
| logrotate with `extension .log` | `auth-20261130.log` |
| by hand, editors | `auth.log.old`, `auth.log.bak`, `auth.log~` |

Names only say which files belong together; which of them is the older, and what of them has been read, is
told by times and contents.
"""

from __future__ import annotations

import re
from typing import Final

PACKED: Final = re.compile(r"\.(?:gz|bz2|xz|zst|lzma|Z)$")
ADDED: Final = re.compile(
    r"(?:\.\d{1,20}(?:[._:T-]\d{1,20})*|[_-](?=(?:\D?\d){6})\d{1,20}(?:[._:T-]\d{1,20})*|\.(?:old|bak|orig|save)|~)$"
)
"""A number after a dash is a date, or it would be a log of its own: `worker-1`, `worker-2`."""
BACKUP: Final = re.compile(r"(?:\.bak|\.orig|\.save|~)$")
DATED: Final = re.compile(r"[._-]\d{4}-?\d\d-?\d\d(?:[._:T-]?\d{1,20})*(?=\.[A-Za-z]{1,8}$)")
COUNT: Final = re.compile(r"\.(\d{1,4})(?:\.[a-z0-9]{1,4})?$")


def root_of(name: str) -> str:
    """The name of the log that a file was made of by rotation; its own where it looks like none of that."""
    root = PACKED.sub("", name)
    while (shorter := ADDED.sub("", root)) not in {"", root}:
        root = shorter
    return DATED.sub("", root) or name


def is_packed(name: str) -> bool:
    """Whether a file is compressed, by its name."""
    return PACKED.search(name) is not None


def is_backup(name: str) -> bool:
    """Whether an editor, or a person before an edit, kept a file by this name; rotation makes no such."""
    return BACKUP.search(PACKED.sub("", name)) is not None


def count_of(name: str) -> int:
    """The number of rotations in a name, as in `.2`; 0 without."""
    found = COUNT.search(name)
    return int(found[1]) if found else 0
