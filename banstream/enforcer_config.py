"""An enforcer's configuration, made from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banstream.config import EnforcerSettings
from banstream.overview import VERSION
from enforcers.bans import Heeded
from enforcers.breaker import BreakerLimits
from enforcers.enforcer import EnforcerConfig
from enforcers.saying import Tell

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def enforcer_config(
    settings: EnforcerSettings,
    tell: Tell,
    heartbeat_ms: int | None = None,
    private: Ed25519PrivateKey | None = None,
) -> EnforcerConfig:
    """The enforcer's configuration on this host; the rest is as EnforcerConfig says."""
    return EnforcerConfig(
        host=settings.host,
        never_ban=settings.never_ban,
        protect_ssh_peers=settings.protect_ssh_peers,
        keep_on_stop=settings.keep_on_stop,
        breaker=BreakerLimits(bans_per_minute=settings.most_per_minute),
        heeded=Heeded(frozenset(settings.jails) or None, settings.labels),
        heartbeat_ms=heartbeat_ms,
        private=private,
        version=VERSION,
        tell=tell,
    )
