"""What `[sink.NAME]` says, and the plan that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eventlog.follower import Edge
from schemas.durations import format_duration
from schemas.errors import ConfigError
from schemas.secrets import HIDDEN, hidden
from sinks.contract import Parcel, SentBy
from sinks.registry import format_kind, transport_kind
from sinks.runner import SinkPlan
from sinks.selection import Selection

NAMES: Final = r"[A-Za-z0-9_-]{1,64}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """One sink.

    Attributes:
        to: its receiver: a scheme that names the transport, and what that makes of the rest.
        most: items in a batch; `every_ms`: batches come no closer together; `limit_per_minute`: of items.
        start: where it begins the first time: with what happens from now on, or with all that the log has.
        options, format_options: what the transport and the format have of their own.
    """

    name: str
    to: str
    format: str
    selection: Selection
    most: int
    every_ms: int = 0
    limit_per_minute: int | None = None
    start: Edge = "end"
    options: Mapping[str, Any] = field(default_factory=dict)
    format_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Its receiver, without secrets."""
        return hidden(self.to) if "://" in self.to else self.to

    def to_wire(self) -> dict[str, Any]:
        """It as configured, defaults filled in; of secrets the files they are in."""
        given = {**self.options, **self.format_options}
        given = {name: value for name, value in given.items() if value not in (None, "", {}, ())}
        kind = transport_kind(self.to)
        for name, option in () if kind is None else kind.options.items():
            if option.kind == "duration" and name in given:
                given[name] = format_duration(given[name])
        if "headers" in given:
            given["headers"] = dict.fromkeys(given["headers"], HIDDEN)
        chosen = self.selection
        return {
            "to": self.shown,
            "format": self.format,
            "what": chosen.what,
            "on": tuple(sorted(chosen.on)),
            "where": dict(chosen.where),
            "batch": self.most,
            "every": format_duration(self.every_ms) if self.every_ms else 0,
            "limit": self.limit_per_minute,
            "start": "now" if self.start == "end" else "beginning",
            **given,
        }


def plan_of(settings: SinkSettings, version: str, host: str) -> SinkPlan:
    """The plan of a sink. Raises ConfigError where its format or transport is not installed."""
    format_, kind = format_kind(settings.format), transport_kind(settings.to)
    if format_ is None or kind is None:
        raise ConfigError(f"sink.{settings.name}: its format or transport is not installed any more")
    origin = SentBy(version, host, settings.name)
    parcel = Parcel(format_.content_type, format_.header, settings.format)
    return SinkPlan(
        name=settings.name,
        to=settings.shown,
        format=settings.format,
        selection=settings.selection,
        write=format_.writer(origin, settings.format_options),
        transport=kind.opened(settings.to, settings.options, parcel, origin),
        most=settings.most,
        every_ms=settings.every_ms,
        limit_per_minute=settings.limit_per_minute,
        start=settings.start,
    )
