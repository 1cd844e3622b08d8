"""Firewalls by name: whatever is installed as a `banstream.backends` entry point, ours as anybody's.

An entry point names a function `opened(table) -> Backend`: the firewall, ready, under a name for what it
makes there; or it raises EnforcementFailed, which says why it cannot be used here and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

from enforcers.contract import Backend
from enforcers.null import NullBackend
from schemas.errors import ConfigError, EnforcementFailed
from schemas.registries import BACKENDS

TABLE: Final = "banstream"
CONFIGURED_NULL: Final = 'the null backend is configured; set enforcer.backend = "nftables" to ban'

Opener = Callable[[str], Backend]


def names() -> tuple[str, ...]:
    """The names of all backends."""
    return tuple(sorted({each.name for each in entry_points(group=BACKENDS)}))


def open_backend(name: str, *, table: str = TABLE) -> tuple[Backend, str | None]:
    """An opened backend, and why it only observes; None when it bans.

    Raises:
        ConfigError: there is no backend of this name.
    """
    try:
        backend = _opener(name)(table)
    except EnforcementFailed as error:
        return NullBackend(), str(error)
    if isinstance(backend, NullBackend):
        return backend, CONFIGURED_NULL
    return backend, None


def _opener(name: str) -> Opener:
    for each in entry_points(group=BACKENDS, name=name):
        opener: Opener = each.load()
        return opener
    raise ConfigError(f"enforcer.backend: {name!r} is unknown; expected one of {', '.join(names())}")
