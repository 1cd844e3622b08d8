"""Addresses that are listened on, and topics, as jails name them; `[intake.NAME]` says who may send."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from producers.contract import Source, SourceKind, StartPosition
from producers.intakes.settings import LISTEN, TOPIC
from schemas.errors import ConfigError


def _open(
    spec: str, _resume: Mapping[str, Any] | None, _start: StartPosition, _now_ms: Callable[[], int]
) -> Source:
    raise ConfigError(f'{spec}: nobody may send to it; say who in [intake.NAME] with listen = "{spec}"')


KIND: Final = SourceKind(spec=re.compile(f"{LISTEN.pattern}|{TOPIC.pattern}"), open=_open, check=lambda _: [])
