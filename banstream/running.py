"""The roles that run on this machine, and signals to them: only to a process that is banstream's still.

`up` and `ship` hold a lock beside their files; `enforce` and `decide` say how they are in $RUNTIME_DIRECTORY,
or their unit's (banstream.health). A role on another configuration's log is not ours.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from banstream.config import Settings
from banstream.health import health
from banstream.reading import heartbeat, open_to_read
from eventlog.claim import Claim
from eventlog.urls import is_shared, sqlite_path
from schemas.errors import LogError

ROLES: Final = ("up", "ship", "decide", "enforce", "sink")
WAIT_S: Final = 20.0
LOOK_S: Final = 0.1

Facts = Mapping[str, Any]
"""What a role said of itself (banstream.account)."""
FactsReader = Callable[[], Facts]


class Running(NamedTuple):
    """A role of this machine: its name and its process."""

    role: str
    pid: int


def running(settings: Settings) -> list[Running]:
    """The roles that run here on this configuration's log."""
    held = {"ship": settings.ship.spool}
    if not is_shared(settings.log_url):
        held["up"] = sqlite_path(settings.log_url)
    pids = {role: _holder(path, role) for role, path in held.items()}
    for role in ("decide", "enforce", "sink"):
        found = health(role)
        pids[role] = int(found.facts["pid"]) if found.alive and _is_ours(settings, found.facts) else None
    return [Running(role, pid) for role in ROLES if (pid := pids.get(role)) is not None]


def facts_of(settings: Settings, role: str) -> Facts:
    """What a role last said of itself; empty where it has said nothing yet."""
    match role:
        case "up":
            log = open_to_read(settings)
            try:
                return heartbeat(log) or {}
            finally:
                log.close()
        case "ship":
            from banstream.shipper import shipper

            return shipper(settings)
        case _:
            return health(role).facts


def ask(
    pid: int, number: signal.Signals, look: FactsReader, done: Callable[[Facts], bool], wait_s: float = WAIT_S
) -> tuple[Facts, bool]:
    """Send a signal, and look until what a role says of itself shows what came of it.

    What it said last, and whether it was in time. Raises as `send`.
    """
    send(pid, number)
    deadline = time.monotonic() + wait_s
    while not done(facts := look()):
        if time.monotonic() >= deadline:
            return facts, False
        time.sleep(LOOK_S)
    return facts, True


def waits_for(facts: Facts) -> str:
    """What the stages of a role wait for, as it said itself."""
    return "; ".join((facts.get("waiting") or {}).values())


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; LogError where the process is gone, is another program's, or another user's."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        raise LogError(f"process {pid} is gone") from error
    try:
        if not is_banstream(pid):
            raise LogError(f"process {pid} is no banstream any more")
        signal.pidfd_send_signal(descriptor, number)
    except PermissionError as error:
        raise LogError(f"process {pid} is another user's; ask as root, or as that user") from error
    except ProcessLookupError as error:
        raise LogError(f"process {pid} is gone") from error
    finally:
        os.close(descriptor)


def is_banstream(pid: int) -> bool:
    """Whether a process is one of banstream's: a number may have been given to another since."""
    try:
        return b"banstream" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def unit_of(pid: int) -> str | None:
    """The service of systemd that a process belongs to, which would start it again; None: of none."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            name = line.rpartition("/")[2]
            if name.endswith(".service") and Path("/run/systemd/system").is_dir():
                return name
    return None


def _holder(path: Path, role: str) -> int | None:
    """Who holds a role's lock, as the lock's file says."""
    if not Claim.is_held(path, role):
        return None
    with suppress(OSError, ValueError):
        return int(Path(f"{path}.{role}.lock").read_text(encoding="ascii"))
    return None


def _is_ours(settings: Settings, facts: Facts) -> bool:
    """Whether a role has read the files that this command has."""
    ours, theirs = ({os.path.realpath(file) for file in files} for files in (settings.files, facts["files"]))
    return ours == theirs
