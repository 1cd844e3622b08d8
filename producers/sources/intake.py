"""Addresses that are listened on, as jails name them; who may send to one says `[intake.NAME]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from producers.contract import Source, SourceKind, StartPosition
from producers.intakes.settings import LISTEN
from schemas.errors import ConfigError


def _open(
    spec: str, _resume: Mapping[str, Any] | None, _start: StartPosition, _now_ms: Callable[[], int]
) -> Source:
    raise ConfigError(f'{spec}: nobody may send to it; say who in [intake.NAME] with listen = "{spec}"')


KIND: Final = SourceKind(spec=LISTEN, open=_open, check=lambda _: [])
