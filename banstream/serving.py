"""Where a role's metrics are answered, if they are."""

from __future__ import annotations

from banstream.config import Settings
from banstream.loop import Listener


def listener(settings: Settings) -> Listener | None:
    """The endpoint that `[metrics] listen` asks for; None where it asks for none. Raises LogError."""
    if settings.metrics.listen is None:
        return None
    from banstream.metrics import Metrics

    return Metrics(*settings.metrics.listen)
