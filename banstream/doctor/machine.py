"""The machine itself: its firewall, who else bans here, who is logged in, its disk and its clock."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from banstream.config import Settings
from banstream.doctor.finding import Finding, Grade
from enforcers.backends import open_backend
from enforcers.machine import own_networks
from eventlog.urls import is_shared, sqlite_path

OTHERS: Final = {
    "fail2ban-server": "fail2ban",
    "crowdsec": "CrowdSec",
    "sshguard": "SSHGuard",
    "sshg-blocker": "SSHGuard",
    "reaction": "reaction",
    "wazuh-execd": "Wazuh's active response",
    "denyhosts.py": "DenyHosts",
}
"""Who else bans, by the names of their processes (proc_pid_comm(5): 15 characters)."""
FIREWALLS: Final = {"docker0": "Docker", "firewalld": "firewalld"}
LEAST_FREE_BYTES: Final = 200 << 20
NO_ROOM_BYTES: Final = 16 << 20
TIME_ERROR: Final = 5
"""adjtimex(2): the clock is not synchronized."""
TIMEX_BYTES: Final = 512
"""More than a struct timex of any architecture takes; all zero: only ask."""
MOST_PARENTS: Final = 32


def look_at_firewall(settings: Settings) -> Iterator[Finding]:
    """Whether bans reach it."""
    backend, observing = open_backend(settings.enforcer.backend, table="banstream_doctor")
    if observing is None:
        backend.flush()  # a table of its own, gone again: looking changes nothing
    backend.close()
    if observing is None:
        yield Finding("firewall", "good", f"{backend.name} works{_before_others()}")
    else:
        verdict: Grade = "warning" if settings.enforcer.backend == "null" or os.geteuid() else "bad"
        yield Finding("firewall", verdict, f"observing only: {observing}")


def look_at_neighbours(_settings: Settings) -> Iterator[Finding]:
    """Who else bans on this machine."""
    found = {OTHERS[name]: pid for pid, name in _processes() if name in OTHERS}
    for name, pid in sorted(found.items()):
        yield Finding(
            "neighbours",
            "warning",
            f"{name} runs beside it (process {pid}): whom it bans `banstream unban` does not free, nor the "
            "other way round; stop one of them",
        )


def look_at_own_address(settings: Settings) -> Iterator[Finding]:
    """Whether the address that one is logged in from may be banned."""
    own = logged_in_from()
    if own is None:
        return
    safe = [*settings.enforcer.never_ban, *own_networks()]
    if settings.enforcer.protect_ssh_peers or _within(own, safe):
        yield Finding("own address", "good", f"{own}, from where you are logged in, is never banned")
    elif settings.jails and all(_within(own, jail.rules.ignoreip) for jail in settings.jails):
        yield Finding("own address", "good", f"{own}, from where you are logged in, is ignored by every jail")
    else:
        yield Finding(
            "own address",
            "warning",
            f"you are logged in from {own}, which is banned as anybody's when it fails; if it is yours for "
            f'good: never_ban = ["{own}"] in [enforcer]',
        )


def look_at_disk(settings: Settings) -> Iterator[Finding]:
    """Whether the log has room, where it is this machine's own."""
    if is_shared(settings.log_url):
        return
    folder = nearest_folder(sqlite_path(settings.log_url))
    state = os.statvfs(folder)
    free_bytes = state.f_bavail * state.f_frsize
    if state.f_flag & os.ST_RDONLY:
        yield Finding(
            "disk", "bad", f"{folder} is read-only, so nothing can be recorded; name another log.url"
        )
    elif free_bytes < LEAST_FREE_BYTES:
        verdict: Grade = "bad" if free_bytes < NO_ROOM_BYTES else "warning"
        yield Finding(
            "disk",
            verdict,
            f"{free_bytes >> 20} MB are free at {folder}; make room, or set max_size of [log]",
        )
    else:
        yield Finding("disk", "good", f"{free_bytes >> 20} MB are free at {folder}")


def look_at_clock(_settings: Settings) -> Iterator[Finding]:
    """Whether something keeps the clock right."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return
    if adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)) == TIME_ERROR:
        yield Finding(
            "clock",
            "warning",
            "nothing keeps the clock right (adjtimex): bans end by it; systemd-timesyncd or chrony would",
        )
    else:
        yield Finding("clock", "good", "kept right")


def nearest_folder(path: Path) -> Path:
    """The folder that a file is in, or is to be made below."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def _before_others() -> str:
    """That other firewalls' rules come later, where there are some."""
    names = {name for _, name in _processes()} | {path.name for path in Path("/sys/class/net").glob("*")}
    found = sorted({word for name, word in FIREWALLS.items() if name in names} | _ufw())
    return f"; bans hold before {', '.join(found)}" if found else ""


def _ufw() -> set[str]:
    try:
        text = Path("/etc/ufw/ufw.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return {"ufw"} if "ENABLED=yes" in text else set()


def _processes() -> Iterator[tuple[int, str]]:
    """The number and name of every process that can be seen."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield (
                    int(folder.name),
                    (folder / "comm").read_text(encoding="utf-8", errors="replace").strip(),
                )
            except OSError:
                continue


def logged_in_from() -> str | None:
    """The address in SSH_CONNECTION of this process or one above it: sudo takes it out of one's own."""
    pid = os.getpid()
    for _ in range(MOST_PARENTS):
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        for entry in environ:
            if entry.startswith(b"SSH_CONNECTION="):
                return _address(entry.partition(b"=")[2].split(b" ")[0].decode("ascii", "replace"))
        pid = int(state.rpartition(")")[2].split()[1])
        if pid <= 1:
            return None
    return None


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _within(address: str, networks: Iterator[str] | list[str] | tuple[str, ...]) -> bool:
    return any(ip_address(address) in ip_network(network, strict=False) for network in networks)
