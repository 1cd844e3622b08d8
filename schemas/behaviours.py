"""What a jail's usual behaviour is left by, and the record that says it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from schemas.bounds import InstantMs, Name, Position

Measure = Literal["failures", "addresses", "users"]
"""What is counted in a minute: failures, and the different addresses and users among them."""
Basis = Literal["last hour", "same hour of earlier days"]
MOST_DEVIATIONS: Final = 1_000
MOST_LEAST: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """When a jail's minute is unusual: more than its median and `deviations` times its median deviation.

    Attributes:
        least: no fewer in a minute are unusual, whatever was usual.
        tighten: while it is unusual maxretry is half as many.
    """

    deviations: Annotated[int, msgspec.Meta(ge=1, le=MOST_DEVIATIONS)] = 8
    least: Annotated[int, msgspec.Meta(ge=1, le=MOST_LEAST)] = 30
    tighten: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A jail's minute is not as usual. It bans nobody.

    Attributes:
        id: as a ban's: of the event that was one too many.
        measure: of what there were too many.
        minute_ms: when the minute began; `count`: how many there were in it then.
        usual: the median a minute; `deviation`: the median distance from it; `limit`: what they allow.
        basis: of which minutes these are.
        tightened: maxretry is halved while this lasts.
        rules: the version of the rules in force.
    """

    TYPE: ClassVar[str] = "alert"
    id: Name
    jail: Name
    at_ms: InstantMs
    measure: Measure
    minute_ms: InstantMs
    count: Position
    usual: Position
    deviation: Position
    limit: Position
    basis: Basis
    rules: Name
    tightened: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
