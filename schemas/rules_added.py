"""What rules of before could not say: left out where it is as usual, so that a version stays what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ADDED: Final[Mapping[str, object]] = {
    "increment": None,
    "on": "events",
    "ipv4_prefix": 32,
    "ipv6_prefix": 128,
    "escalate": None,
    "steps": (),
    "prolong": False,
    "lists": (),
    "ignoreself": True,
    "decoy_users": (),
    "distinct": None,
    "count": "address",
    "scope": None,
    "first_scope": None,
    "decoy_paths": (),
    "halve": False,
    "known_good_ms": None,
    "known_good_factor": 2,
    "ignorecommand": (),
    "behaviour": None,
    "mode": "ban",
}
"""What jails of before could not say, and what they meant."""
ADDED_TO_INCREMENT: Final[Mapping[str, object]] = {"formula": "", "overalljails": False}
"""The same, of how their bans grow."""
ADDED_TO_ESCALATION: Final[Mapping[str, object]] = {"spared": "nothing"}
"""The same, of how they ban networks."""
ADDED_TO_STEPS: Final[Mapping[str, object]] = {"scope": None}
"""The same, of their thresholds."""


def leave_out(wire: dict[str, Any], usual: Mapping[str, object]) -> None:
    """Take what is as usual out of an object."""
    for name in [name for name, value in usual.items() if name in wire and wire[name] == value]:
        del wire[name]
