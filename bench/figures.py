"""How every benchmark says its figures: one JSON line each."""

from __future__ import annotations

import json


def say(figure: str, value: float | None, unit: str) -> None:
    """Print one figure; None says that it could not be measured."""
    rounded = None if value is None else round(value, 3 if abs(value) < 100 else 0)  # noqa: PLR2004 - digits that matter
    print(json.dumps({"figure": figure, "value": rounded, "unit": unit}), flush=True)
