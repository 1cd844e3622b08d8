"""Formats and transports by name: whatever is installed under their entry points, ours as anybody's."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from schemas.registries import FORMATS, TRANSPORTS
from sinks.contract import FormatKind, TransportKind


def format_names() -> tuple[str, ...]:
    """The names of all formats."""
    return _names(FORMATS)


def schemes() -> tuple[str, ...]:
    """The schemes of all transports."""
    return _names(TRANSPORTS)


def format_kind(name: str) -> FormatKind | None:
    """The format of a name; None where there is none."""
    kind: FormatKind | None = _loaded(FORMATS, name)
    return kind


def transport_kind(to: str) -> TransportKind | None:
    """The transport for a value of `to`, such as `file:/var/log/bans.json`; None where there is none."""
    kind: TransportKind | None = _loaded(TRANSPORTS, to.partition(":")[0])
    return kind


def _names(group: str) -> tuple[str, ...]:
    return tuple(sorted({each.name for each in entry_points(group=group)}))


def _loaded(group: str, name: str) -> Any:
    for each in entry_points(group=group, name=name):
        return each.load()
    return None
