"""Who may have events counted: what is to be said where that is anybody who may write, or nobody."""

from __future__ import annotations

from typing import Final

from banstream.config import Settings
from eventlog.urls import is_shared
from schemas.rules import Rules
from streams.hosts import ANYBODY, Hosts

KEY: Final = "decider.require_enrolled"
NOBODY: Final = (
    "is true, and on a log of this machine's own nobody signs: no event counts, and nobody is banned; leave "
    "the key out"
)
NOBODY_ENROLLED: Final = (
    "only enrolled hosts count, and no host is enrolled: no event counts until `banstream hosts enroll`"
)
UNSIGNED: Final = (
    "this host signs nothing, and where only enrolled hosts count, as by default, none of its events does; "
    "`banstream hosts --help` says how it is enrolled"
)


def caution(settings: Settings) -> str | None:
    """What is wrong with who counts under this configuration's rules; None: nothing."""
    shared, require = is_shared(settings.log_url), settings.decider.require_enrolled
    if shared and not require:
        return f"{KEY} is false: {ANYBODY}"
    return f"{KEY} {NOBODY}" if require and not shared else None


def caution_in_force(rules: Rules | None, hosts: Hosts) -> str | None:
    """What is wrong with who counts under the rules in force in a fleet; None: nothing, or there are none."""
    if rules is None:
        return None
    if not rules.require_enrolled:
        return f"{KEY} is false in the rules in force: {ANYBODY}"
    keys = (key for host in hosts.enrolled.values() for key in host.keys)
    return None if any(key.until_ms is None for key in keys) else NOBODY_ENROLLED
