"""Instants as people write them on the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import click

from eventlog.clock import wall_clock_ms
from schemas.durations import parse_duration

now_ms: Final = wall_clock_ms


class Instant(click.ParamType):
    """`2026-11-22T09:00`, `2026-11-22 09:00:00+01:00` (local time without an offset), `1h` ago, `@unix`."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The instant in Unix milliseconds."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        try:
            if text.startswith("@"):
                return int(float(text[1:]) * 1_000)
            if text[:1].isdigit() and "-" not in text:
                return now_ms() - parse_duration(text)
            return int(datetime.fromisoformat(text).astimezone().timestamp() * 1_000)
        except (ValueError, OverflowError):
            self.fail(
                f'{text!r} is no instant; expected "2026-11-22T09:00", "1h" (ago) or "@1700000000"',
                param,
                ctx,
            )


class DurationType(click.ParamType):
    """`10m`, `1d12h`, or a number of seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The duration in milliseconds."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: expected {error}", param, ctx)
