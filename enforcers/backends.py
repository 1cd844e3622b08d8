"""Opens a firewall by name, or the one that only observes, and then says why and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from enforcers.contract import Backend
from enforcers.nftables import PRIORITY, NftablesBackend
from enforcers.null import NullBackend
from schemas.errors import ConfigError, EnforcementFailed

NAMES: Final = ("nftables", "null")
CAP_NET_ADMIN: Final = 12


def open_backend(
    name: str, *, table: str = "banstream", priority: int = PRIORITY
) -> tuple[Backend, str | None]:
    """An opened backend, and why it only observes; None when it bans.

    Raises:
        ConfigError: there is no backend of this name.
    """
    if name not in NAMES:
        raise ConfigError(f"enforcer.backend: {name!r} is unknown; expected one of {', '.join(NAMES)}")
    if name == "null":
        return NullBackend(), 'the null backend is configured; set enforcer.backend = "nftables" to ban'
    if not _may_administer():
        return NullBackend(), "nftables needs root or CAP_NET_ADMIN; run it with sudo, or as a system service"
    try:
        backend = NftablesBackend(table, priority)
        backend.open()
    except EnforcementFailed as error:
        return NullBackend(), f"{error}; {_advice(str(error))}"
    return backend, None


def _advice(reason: str) -> str:
    if "Python module" in reason:
        return 'install the extra: pip install "banstream[nftables]"'
    if "libnftables" in reason:
        return "install the system's libnftables (Debian: apt install libnftables1)"
    return "check that this kernel has nf_tables, and that `nft list ruleset` works here"


def _may_administer() -> bool:
    """Whether this process has CAP_NET_ADMIN in effect, by proc_pid_status(5)."""
    status = Path("/proc/thread-self/status").read_bytes()
    effective = status.partition(b"CapEff:")[2].split(maxsplit=1)[0]
    return bool(int(effective, 16) >> CAP_NET_ADMIN & 1)
