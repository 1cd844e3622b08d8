"""Whether a role is alive, said by itself once a second for as long as it turns: to a file, and to systemd.

The file is ROLE.pulse in $RUNTIME_DIRECTORY, which systemd (RuntimeDirectory=) and docker-compose.yml set;
without that variable none is written, and the one of banstream's own units is read. Where the service
manager gives a socket (Type=notify), it hears the same as WATCHDOG=1: with WatchdogSec= it restarts a role
that hangs (sd_notify(3)). A role that was killed, hangs, or was never started says nothing. One whose broker
is away is alive: it waits, and says that too.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from banstream.account import RoleStatus

DIRECTORY: Final = "RUNTIME_DIRECTORY"
UNITS: Final = {
    "up": "/run/banstream",
    **{role: f"/run/banstream-{role}" for role in ("ship", "parse", "decide", "enforce", "sink")},
}
"""The units' RuntimeDirectory= (deploy/systemd)."""
SOCKET: Final = "NOTIFY_SOCKET"
BEAT_S: Final = 1.0
SILENT_S: Final = 30.0
"""Longer than a call to a broker that does not answer takes (20 s)."""


class Pulse:
    """One role's sign of life. A file that cannot be written grows old, and that is the alarm."""

    def __init__(self, role: str) -> None:
        self._path = path_of(role)
        self._last = -BEAT_S
        self._ready = False

    def due(self) -> bool:
        """Whether BEAT_S have passed since the last beat."""
        return time.monotonic() - self._last >= BEAT_S

    def beat(self, status: RoleStatus) -> None:
        """Say that the role turns, and how it is."""
        self._last = time.monotonic()
        waits = "; ".join(f"{stage} waits: {reason}" for stage, reason in status.waiting.items())
        notify("WATCHDOG=1", f"STATUS={waits or 'running'}", *([] if self._ready else ["READY=1"]))
        self._ready = True
        if self._path is not None:
            value = orjson.dumps({**status.to_wire(), "monotonic_s": self._last})
            new = self._path.with_suffix(f".{os.getpid()}")
            with suppress(OSError):
                new.write_bytes(value)
                new.replace(self._path)

    def end(self) -> None:
        """The role stopped cleanly."""
        notify("STOPPING=1")
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


def notify(*facts: str) -> None:
    """Tell the service manager, if there is one that listens; a line break in a fact becomes a blank."""
    address = os.environ.get(SOCKET, "")
    if not address:
        return
    message = "\n".join(" ".join(fact.split()) for fact in facts).encode("utf-8", "backslashreplace")
    place = "\0" + address[1:] if address.startswith("@") else address
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
        sender.sendto(message, place)


@dataclass(frozen=True, slots=True)
class Health:
    """How a role is.

    Attributes:
        alive: whether it turns.
        said: a sentence about it.
        facts: what it last said of itself (banstream.account); empty where nothing is known.
    """

    alive: bool
    said: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def path_of(role: str) -> Path | None:
    """Where a role's file is; None where there is no directory for it."""
    directory = os.environ.get(DIRECTORY, "").partition(":")[0]
    return Path(directory) / f"{role}.pulse" if directory else None


def health(role: str) -> Health:
    """How a role on this machine is."""
    path = path_of(role) or Path(UNITS.get(role, UNITS["up"])) / f"{role}.pulse"
    try:
        facts = orjson.loads(path.read_bytes())
        pid, old_s = facts["pid"], time.monotonic() - facts["monotonic_s"]
        waiting = "; ".join(f"{stage} waits: {reason}" for stage, reason in facts["waiting"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Health(alive=False, said=f"`{role}` does not run: it has no {path}")
    if not Path(f"/proc/{pid}").exists():
        return Health(alive=False, said=f"`{role}` has died: process {pid} is gone", facts=facts)
    if not 0 <= old_s < SILENT_S:
        said = f"`{role}` hangs: process {pid} has not turned for {old_s:.0f} s"
        return Health(alive=False, said=said, facts=facts)
    said = f"`{role}` runs (process {pid}){'; ' if waiting else ''}{waiting}"
    return Health(alive=True, said=said, facts=facts)
