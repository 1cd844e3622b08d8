"""Where the configuration is: the file that is named, or the first of the usual ones, and its `conf.d/`.

What stands in the working directory was named by nobody. Where it cannot be trusted it is passed over, with a
word: an error would let anybody who leaves a file there stop root's commands.
"""

from __future__ import annotations

from logging import getLogger
from pathlib import Path
from typing import Final

from banstream.show import printable
from eventlog.trust import doubt

LOCAL_FILE: Final = Path("banstream.toml")
SYSTEM_FILE: Final = Path("/etc/banstream/banstream.toml")

log = getLogger("banstream")


def locate(file: str | None) -> list[Path]:
    """The files of a configuration, in the order in which later ones win; none where there is none."""
    path = _usual() if file is None else Path(file)
    return [] if path is None else [path, *sorted((path.parent / "conf.d").glob("*.toml"))]


def _usual() -> Path | None:
    if LOCAL_FILE.exists():
        why = doubt(LOCAL_FILE, found=True)
        if why is None:
            return LOCAL_FILE
        facts = printable(str(LOCAL_FILE.absolute())), printable(why)
        log.warning("Configuration passed over, since it cannot be trusted file=%s reason=%s", *facts)
    return SYSTEM_FILE if SYSTEM_FILE.exists() else None
